//! The limits per person: `WALLETS_PER_PERSON`, `WALLETS_PER_CURRENCY` and `OPEN_PAYMENTS_PER_WALLET`.

use std::num::NonZeroU32;

use super::env::parsed;
use super::{ConfigError, Env};

const WALLETS: &str = "WALLETS_PER_PERSON";
const WALLETS_OF_CURRENCY: &str = "WALLETS_PER_CURRENCY";
const OPEN_PAYMENTS: &str = "OPEN_PAYMENTS_PER_WALLET";

/// How many wallets and open payments one person may have. A write that would exceed a limit is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonLimits {
    /// The maximum number of wallets per person, and of wallets in one list.
    pub wallets: NonZeroU32,
    /// The maximum number of a person's wallets in one currency.
    pub wallets_of_currency: NonZeroU32,
    /// The maximum number of unfinished deposits and withdrawals per wallet; each is an object at Stripe that is polled.
    pub open_payments: NonZeroU32,
}

impl Default for PersonLimits {
    fn default() -> Self {
        let of = |number: u32| NonZeroU32::MIN.saturating_add(number - 1);
        Self {
            wallets: of(100),
            wallets_of_currency: of(25),
            open_payments: of(1_000),
        }
    }
}

impl PersonLimits {
    /// The maximum value of `WALLETS_PER_PERSON`, since it is also the length of a list.
    const MOST_WALLETS: u32 = 1_000;

    pub(super) fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        let usual = Self::default();
        let number = |name, default| parsed(env, name, default, "set it to a number from 1");
        let limits = Self {
            wallets: number(WALLETS, usual.wallets)?,
            wallets_of_currency: number(WALLETS_OF_CURRENCY, usual.wallets_of_currency)?,
            open_payments: number(OPEN_PAYMENTS, usual.open_payments)?,
        };
        if limits.wallets.get() > Self::MOST_WALLETS {
            return Err(ConfigError::new(
                WALLETS,
                "is more than a list can show",
                "set it to a number from 1 to 1000",
            ));
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{error_of, with};

    #[test]
    fn what_a_person_may_hold_is_bounded_by_default_and_can_be_set() {
        let usual = PersonLimits::read(&with(&[])).unwrap();
        assert_eq!(
            (
                usual.wallets.get(),
                usual.wallets_of_currency.get(),
                usual.open_payments.get()
            ),
            (100, 25, 1_000)
        );
        let set = PersonLimits::read(&with(&[(WALLETS, "3"), (WALLETS_OF_CURRENCY, "2")])).unwrap();
        assert_eq!((set.wallets.get(), set.wallets_of_currency.get()), (3, 2));
    }

    #[test]
    fn nothing_and_everything_are_no_limits() {
        for (name, value) in [
            (WALLETS, "0"),
            (WALLETS, "1001"),
            (WALLETS, "many"),
            (WALLETS_OF_CURRENCY, "0"),
            (OPEN_PAYMENTS, "-1"),
        ] {
            let line = error_of(PersonLimits::read(&with(&[(name, value)])));
            assert!(line.starts_with(&format!("{name}: ")), "{line}");
        }
    }
}
