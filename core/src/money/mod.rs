//! Money: an exact amount in one currency, with checked operations only.
//!
//! No floats, no implicit rounding, no mixing of currencies. Scale never exceeds the currency's exponent, and no value
//! exceeds what the specification's `DECIMAL(15,2)` can hold.

mod currency;
mod parse;

use std::fmt;

use rust_decimal::Decimal;
use serde::Serialize;

pub use currency::{Currency, UnsupportedCurrency};
pub use parse::{AmountError, parse_amount};

/// The largest absolute amount in major units: thirteen digits before the point, the limit of `DECIMAL(15,2)`.
pub const MAX_MAJOR: i64 = 9_999_999_999_999;

/// Why a calculation with money was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two different currencies met.
    #[error("cannot combine {left} with {right}")]
    CurrencyMismatch {
        /// The currency of the left operand.
        left: Currency,
        /// The currency of the right operand.
        right: Currency,
    },
    /// The result does not fit into `DECIMAL(15,2)`.
    #[error("the amount is out of range")]
    OutOfRange,
    /// More decimals than the currency has.
    #[error("{currency} amounts have at most {exponent} decimals")]
    TooPrecise {
        /// The currency.
        currency: Currency,
        /// Its number of decimals.
        exponent: u32,
    },
}

/// An exact amount in major units of one currency; it may be negative (a ledger leg).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

impl Money {
    /// Creates an amount from major units.
    ///
    /// # Errors
    /// When it has more decimals than the currency, or is out of range.
    pub fn new(amount: Decimal, currency: Currency) -> Result<Self, MoneyError> {
        let exponent = currency.exponent();
        let amount = amount.normalize();
        if amount.scale() > exponent {
            return Err(MoneyError::TooPrecise { currency, exponent });
        }
        if amount.abs() > Decimal::from(MAX_MAJOR) {
            return Err(MoneyError::OutOfRange);
        }
        let mut amount = amount;
        amount.rescale(exponent);
        Ok(Self { amount, currency })
    }

    /// Returns the zero amount of a currency.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        let mut amount = Decimal::ZERO;
        amount.rescale(currency.exponent());
        Self { amount, currency }
    }

    /// Creates an amount from the currency's minor units: cents for `usd`, yen for `jpy`.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn from_minor(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        Self::new(Decimal::new(minor, currency.exponent()), currency)
    }

    /// Returns the amount in the currency's minor units.
    ///
    /// # Errors
    /// When it does not fit into 64 bits, which [`MAX_MAJOR`] rules out.
    pub fn minor(self) -> Result<i64, MoneyError> {
        let mut scaled = self.amount;
        scaled.rescale(self.currency.exponent());
        i64::try_from(scaled.mantissa()).map_err(|_| MoneyError::OutOfRange)
    }

    /// Returns the amount in major units, with exactly the currency's decimals.
    #[must_use]
    pub const fn amount(self) -> Decimal {
        self.amount
    }

    /// Returns the currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Returns whether the amount is above zero.
    #[must_use]
    pub fn is_positive(self) -> bool {
        self.amount > Decimal::ZERO
    }

    /// Returns whether the amount is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.amount < Decimal::ZERO
    }

    /// Returns whether the amount is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.amount.is_zero()
    }

    /// Returns the smaller of the two amounts.
    ///
    /// # Errors
    /// When the currencies differ.
    pub fn at_most(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        Ok(if self.amount <= other.amount { self } else { other })
    }

    /// Returns the sum.
    ///
    /// # Errors
    /// When the currencies differ or the sum is out of range.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let sum = self
            .amount
            .checked_add(other.amount)
            .ok_or(MoneyError::OutOfRange)?;
        Self::new(sum, self.currency)
    }

    /// Returns the difference.
    ///
    /// # Errors
    /// When the currencies differ or the difference is out of range.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.checked_add(other.negated())
    }

    /// Returns the same amount with the opposite sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            amount: -self.amount,
            currency: self.currency,
        }
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch {
                left: self.currency,
                right: other.currency,
            })
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd(minor: i64) -> Money {
        Money::from_minor(minor, Currency::USD).unwrap()
    }

    proptest! {
        #[test]
        fn adding_and_taking_away_gives_back_the_same(a in -1_000_000_000_i64..1_000_000_000, b in -1_000_000_000_i64..1_000_000_000) {
            let there = usd(a).checked_add(usd(b)).unwrap();
            prop_assert_eq!(there.checked_sub(usd(b)).unwrap(), usd(a));
            prop_assert_eq!(there.minor().unwrap(), a + b);
        }

        #[test]
        fn minor_units_survive_the_round_trip(minor in any::<i32>(), index in 0..Currency::all().len()) {
            let currency = Currency::all()[index];
            let money = Money::from_minor(i64::from(minor), currency).unwrap();
            prop_assert_eq!(money.minor().unwrap(), i64::from(minor));
            prop_assert_eq!(money.amount().scale(), currency.exponent());
        }

        #[test]
        fn printing_and_parsing_give_the_same_amount(minor in 1_i64..1_000_000_000_000) {
            let text = usd(minor).amount().to_string();
            prop_assert_eq!(parse_amount(&text, Currency::USD).unwrap(), usd(minor));
        }
    }

    #[test]
    fn currencies_never_mix() {
        let jpy = Money::from_minor(100, Currency::JPY).unwrap();
        assert!(matches!(
            usd(100).checked_add(jpy),
            Err(MoneyError::CurrencyMismatch { .. })
        ));
    }

    #[test]
    fn amounts_beyond_the_column_are_refused() {
        let most = Money::new(Decimal::from(MAX_MAJOR), Currency::USD).unwrap();
        assert_eq!(most.checked_add(usd(1)), Err(MoneyError::OutOfRange));
    }

    #[test]
    fn yen_have_no_decimals() {
        assert!(matches!(
            Money::new(Decimal::new(1005, 1), Currency::JPY),
            Err(MoneyError::TooPrecise { exponent: 0, .. })
        ));
        assert_eq!(
            Money::from_minor(100, Currency::JPY).unwrap().to_string(),
            "100 jpy"
        );
        assert_eq!(usd(1250).to_string(), "12.50 usd");
    }
}
