//! The fees that the platform keeps of payments.
//!
//! A rule takes basis points of the amount, at least `minimum` and at most `maximum`, rounded half up to the currency's decimals. The most
//! specific rule applies: that for the payee in the currency, else that for the currency, else the general one. The fee is fixed when the
//! payment is accepted, and is shown on it.

mod store;

use rust_decimal::{Decimal, RoundingStrategy};

pub use store::{list, remove, rule_for, set};

use crate::ids::UserId;
use crate::money::{Currency, Money, MoneyError};

/// The maximum that a rule may take, in hundredths of a percent: a fee of the whole amount would refuse every payment, and one above half of
/// it is a typing error.
pub const HIGHEST_BASIS_POINTS: u16 = 5_000;

/// A fee rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeeRule {
    /// The currency of the payments that it is for; `None` for all that have no rule of their own.
    pub currency: Option<Currency>,
    /// The payee of the payments that it is for; `None` for all payees.
    pub payee: Option<UserId>,
    /// The fee in hundredths of a percent of the amount.
    pub basis_points: u16,
    /// The minimum fee, in major units.
    pub minimum: Option<Decimal>,
    /// The maximum fee, in major units.
    pub maximum: Option<Decimal>,
}

/// The reason why a rule cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFeeRule {
    /// It takes more than half of the amount.
    #[error(
        "it takes more than {HIGHEST_BASIS_POINTS} basis points, which are 50 %: hardly a payment would be worth making"
    )]
    TooMuch,
    /// A rule for all currencies must be for all payees and have no bounds.
    #[error("a payee, a minimum or a maximum needs a currency")]
    NeedsCurrency,
    /// A bound is below zero.
    #[error("a minimum or maximum is below zero")]
    Negative,
    /// The minimum is above the maximum.
    #[error("the minimum is above the maximum")]
    BoundsCross,
    /// A bound is not an amount of the currency.
    #[error("a minimum or maximum is no amount of the currency")]
    Bound(#[from] MoneyError),
}

impl FeeRule {
    /// Checks whether the rule can be set.
    ///
    /// # Errors
    /// When it cannot: what is wrong with it.
    pub fn check(&self) -> Result<(), InvalidFeeRule> {
        if self.basis_points > HIGHEST_BASIS_POINTS {
            return Err(InvalidFeeRule::TooMuch);
        }
        let bounds = [self.minimum, self.maximum];
        let Some(currency) = self.currency else {
            let is_general = self.payee.is_none() && bounds.iter().all(Option::is_none);
            return if is_general {
                Ok(())
            } else {
                Err(InvalidFeeRule::NeedsCurrency)
            };
        };
        for bound in bounds.into_iter().flatten() {
            if Money::new(bound, currency)?.is_negative() {
                return Err(InvalidFeeRule::Negative);
            }
        }
        match (self.minimum, self.maximum) {
            (Some(least), Some(most)) if least > most => Err(InvalidFeeRule::BoundsCross),
            _ => Ok(()),
        }
    }

    /// Returns the fee of a payment of `amount`.
    ///
    /// # Errors
    /// When a bound of the rule has more decimals than the currency, or the fee is out of range.
    pub fn fee_of(&self, amount: Money) -> Result<Money, MoneyError> {
        let currency = amount.currency();
        let part = amount
            .amount()
            .checked_mul(Decimal::new(i64::from(self.basis_points), 4))
            .ok_or(MoneyError::OutOfRange)?
            .round_dp_with_strategy(currency.exponent(), RoundingStrategy::MidpointAwayFromZero);
        let part = self.minimum.map_or(part, |least| part.max(least));
        let part = self.maximum.map_or(part, |most| part.min(most));
        Money::new(part, currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(basis_points: u16, minimum: Option<Decimal>, maximum: Option<Decimal>) -> FeeRule {
        FeeRule {
            currency: None,
            payee: None,
            basis_points,
            minimum,
            maximum,
        }
    }

    fn fee(rule: &FeeRule, minor: i64, currency: Currency) -> i64 {
        let amount = Money::from_minor(minor, currency).unwrap();
        rule.fee_of(amount).unwrap().minor().unwrap()
    }

    #[test]
    fn fees_round_half_up_to_the_currencys_decimals() {
        let one_percent = rule(100, None, None);
        assert_eq!(fee(&one_percent, 49, Currency::USD), 0);
        assert_eq!(fee(&one_percent, 50, Currency::USD), 1);
        assert_eq!(fee(&one_percent, 12_345, Currency::USD), 123);
        assert_eq!(fee(&one_percent, 149, Currency::JPY), 1);
        assert_eq!(fee(&one_percent, 150, Currency::JPY), 2);
    }

    #[test]
    fn only_rules_that_fit_every_payment_they_are_for_can_be_set() {
        let cents = |minor| Some(Decimal::new(minor, 2));
        let usd = |minimum, maximum| FeeRule {
            currency: Some(Currency::USD),
            ..rule(100, minimum, maximum)
        };
        let payee = Some(UserId::from_uuid(uuid::Uuid::from_u128(1)));
        assert_eq!(rule(5_000, None, None).check(), Ok(()));
        assert_eq!(rule(5_001, None, None).check(), Err(InvalidFeeRule::TooMuch));
        assert_eq!(
            rule(100, cents(1), None).check(),
            Err(InvalidFeeRule::NeedsCurrency)
        );
        let of_payee = FeeRule {
            payee,
            ..rule(100, None, None)
        };
        assert_eq!(of_payee.check(), Err(InvalidFeeRule::NeedsCurrency));
        assert_eq!(usd(cents(30), cents(30)).check(), Ok(()));
        assert_eq!(
            usd(cents(31), cents(30)).check(),
            Err(InvalidFeeRule::BoundsCross)
        );
        assert_eq!(usd(cents(-1), None).check(), Err(InvalidFeeRule::Negative));
        let yen = FeeRule {
            currency: Some(Currency::JPY),
            ..rule(100, cents(50), None)
        };
        assert!(matches!(yen.check(), Err(InvalidFeeRule::Bound(_))));
    }

    #[test]
    fn fees_keep_within_their_bounds() {
        let bounded = rule(250, Some(Decimal::new(30, 2)), Some(Decimal::new(10, 0)));
        assert_eq!(fee(&bounded, 100, Currency::USD), 30);
        assert_eq!(fee(&bounded, 4_000, Currency::USD), 100);
        assert_eq!(fee(&bounded, 1_000_000, Currency::USD), 1_000);
        assert!(
            bounded
                .fee_of(Money::from_minor(1, Currency::JPY).unwrap())
                .is_err()
        );
    }
}
