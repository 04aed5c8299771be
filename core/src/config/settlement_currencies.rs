//! `STRIPE_SETTLEMENT_CURRENCIES`.

use std::collections::BTreeSet;
use std::fmt;

use super::env::{items, optional};
use super::{ConfigError, Env};
use crate::money::Currency;

const NAME: &str = "STRIPE_SETTLEMENT_CURRENCIES";

/// The currencies that Stripe settles to the platform's account. A payment in another one is converted when it arrives
/// (<https://docs.stripe.com/currencies/conversions>), so that the credited amount could never be paid out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SettlementCurrencies {
    /// Not configured: every currency is offered, and what arrived is read at Stripe before a payment is credited.
    #[default]
    Unsaid,
    /// These currencies; no others are offered.
    Only(BTreeSet<Currency>),
}

impl SettlementCurrencies {
    pub(super) fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        let fix = "list currency codes such as usd,eur, or remove it to offer every currency";
        let Some(text) = optional(env, NAME)? else {
            return Ok(Self::Unsaid);
        };
        let mut named = BTreeSet::new();
        for item in items(&text) {
            let currency = item
                .parse()
                .map_err(|_| ConfigError::new(NAME, format!("names the unknown currency {item:?}"), fix))?;
            named.insert(currency);
        }
        if named.is_empty() {
            return Err(ConfigError::new(NAME, "names no currency", fix));
        }
        Ok(Self::Only(named))
    }

    /// Returns whether wallets and deposits in `currency` are offered.
    #[must_use]
    pub fn offer(&self, currency: Currency) -> bool {
        match self {
            Self::Unsaid => true,
            Self::Only(named) => named.contains(&currency),
        }
    }

    /// Iterates over the currencies that are configured.
    pub fn named(&self) -> impl Iterator<Item = Currency> + '_ {
        match self {
            Self::Unsaid => None,
            Self::Only(named) => Some(named.iter().copied()),
        }
        .into_iter()
        .flatten()
    }
}

/// Lists the configured codes, for people.
impl fmt::Display for SettlementCurrencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes: Vec<&str> = self.named().map(Currency::code).collect();
        f.write_str(&codes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{error_of, with};

    #[test]
    fn only_what_is_named_is_offered_and_everything_when_nobody_has_said() {
        let read = |value: &str| SettlementCurrencies::read(&with(&[(NAME, value)])).unwrap();
        let unsaid = SettlementCurrencies::read(&with(&[])).unwrap();
        assert_eq!(unsaid, SettlementCurrencies::Unsaid);
        assert!(unsaid.offer(Currency::USD) && unsaid.offer(Currency::EUR));
        let usd = read("USD");
        assert!(usd.offer(Currency::USD) && !usd.offer(Currency::EUR));
        let both = read(" eur, usd ,eur");
        assert!(both.offer(Currency::USD) && both.offer(Currency::EUR));
        assert_eq!(both.named().count(), 2);
        for wrong in ["dollars", ",", "usd;eur", "kwd"] {
            let line = error_of(SettlementCurrencies::read(&with(&[(NAME, wrong)])));
            assert!(line.starts_with("STRIPE_SETTLEMENT_CURRENCIES: "), "{line}");
        }
    }
}
