//! Parsing an amount that a person or program sent.

use rust_decimal::Decimal;

use super::{Currency, Money, MoneyError};

/// The reason why a text is not an amount that can move. The messages follow the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// It is not plain decimal digits with at most one point.
    #[error("must be a plain decimal number such as \"12.50\"")]
    NotANumber,
    /// It is zero or below.
    #[error("must be greater than zero")]
    NotPositive,
    /// It has too many decimals, or is too large.
    #[error("{}", problem(*.0))]
    Money(#[from] MoneyError),
}

/// Returns what is wrong, in words that read well after the name of a field.
fn problem(error: MoneyError) -> String {
    match error {
        MoneyError::TooPrecise {
            currency,
            exponent: 0,
        } => format!("must be written without decimals in {currency}"),
        MoneyError::TooPrecise { currency, exponent } => {
            format!("must not have more than {exponent} decimals in {currency}")
        }
        MoneyError::OutOfRange => "is out of range".to_owned(),
        MoneyError::CurrencyMismatch { .. } => error.to_string(),
    }
}

/// Parses a positive amount in major units: ASCII digits with an optional point and nothing else, so that exponents, signs,
/// blanks, thousands separators and other digits are refused rather than guessed.
///
/// # Errors
/// When the text is no such number, not positive, has more decimals than the currency or is out of range.
pub fn parse_amount(text: &str, currency: Currency) -> Result<Money, AmountError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits
        .split_once('.')
        .map_or((digits, None), |(w, f)| (w, Some(f)));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || fraction.is_some_and(|part| !plain(part)) {
        return Err(AmountError::NotANumber);
    }
    if text.len() > 40 {
        return Err(AmountError::Money(MoneyError::OutOfRange));
    }
    let exponent = currency.exponent();
    if fraction.is_some_and(|part| u32::try_from(part.len()).is_ok_and(|decimals| decimals > exponent)) {
        return Err(AmountError::Money(MoneyError::TooPrecise { currency, exponent }));
    }
    let amount = Decimal::from_str_exact(text).map_err(|_| AmountError::Money(MoneyError::OutOfRange))?;
    let money = Money::new(amount, currency)?;
    if money.is_positive() {
        Ok(money)
    } else {
        Err(AmountError::NotPositive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_well_behind_the_name_of_its_field() {
        let told = |text, currency| parse_amount(text, currency).unwrap_err().to_string();
        for (told, expected) in [
            (
                told("1.005", Currency::USD),
                "must not have more than 2 decimals in usd",
            ),
            (
                told("1.5", Currency::JPY),
                "must be written without decimals in jpy",
            ),
            (told("99999999999999", Currency::USD), "is out of range"),
            (told("0", Currency::USD), "must be greater than zero"),
        ] {
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn only_plain_positive_decimals_are_amounts() {
        for wrong in [
            "", ".", "1.", ".5", " 10 ", "10,00", "1e3", "NaN", "Infinity", "0x10", "１０", "١٠", "+1",
            "--1", "1.2.3",
        ] {
            assert_eq!(
                parse_amount(wrong, Currency::USD),
                Err(AmountError::NotANumber),
                "{wrong:?}"
            );
        }
        for wrong in ["0", "-1", "-0.00", "0.00"] {
            assert_eq!(
                parse_amount(wrong, Currency::USD),
                Err(AmountError::NotPositive),
                "{wrong:?}"
            );
        }
        for wrong in [
            "0.001",
            "9223372036854775807",
            "9223372036854775808",
            "99999999999999999999999999999999",
        ] {
            assert!(
                matches!(parse_amount(wrong, Currency::USD), Err(AmountError::Money(_))),
                "{wrong:?}"
            );
        }
        assert_eq!(
            parse_amount("12.5", Currency::USD).unwrap().to_string(),
            "12.50 usd"
        );
        assert!(matches!(
            parse_amount("12.500", Currency::USD),
            Err(AmountError::Money(MoneyError::TooPrecise { .. }))
        ));
        assert!(parse_amount("100.0", Currency::JPY).is_err());
    }
}
