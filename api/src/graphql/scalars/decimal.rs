//! `Decimal`: an amount as text, in both directions.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use wallet_core::money::Money;

/// An amount in major units. Output: a string with the currency's decimals, "12.50". Input: a string or a number, never with more
/// decimals than the currency has.
///
/// Nothing is calculated or rounded here: what a client wrote is kept as text until the currency is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal(String);

impl Decimal {
    /// Returns the amount as the client wrote it.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl From<Money> for Decimal {
    fn from(money: Money) -> Self {
        Self(money.amount().to_string())
    }
}

/// An amount in major units. Output: a string with the currency's decimals, "12.50". Input: a string or a number, never with more
/// decimals than the currency has.
#[Scalar(name = "Decimal")]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            // The shortest text that reads back as the same number: 12.5 stays, 0.1 + 0.2 shows its seventeen decimals. A whole number
            // has no decimals even if it was written with some, as 500.0 and 5e2 are.
            Value::Number(number) => {
                let text = number.to_string();
                let whole = text.strip_suffix(".0").map(str::to_owned);
                Ok(Self(whole.unwrap_or(text)))
            }
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(_) | Value::Number(_))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use wallet_core::money::{Currency, parse_amount};

    use super::*;

    fn amount(json: &str) -> Option<String> {
        amount_in(Currency::USD, json)
    }

    fn amount_in(currency: Currency, json: &str) -> Option<String> {
        let value = Value::from_json(serde_json::from_str(json).unwrap()).unwrap();
        let text = Decimal::parse(value).ok()?.into_text();
        Some(Decimal::from(parse_amount(&text, currency).ok()?).0)
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written_and_a_text_is_taken_by_its_word() {
        for (json, read) in [
            ("500", Some("500")),
            ("500.0", Some("500")),
            ("500.000", Some("500")),
            ("5e2", Some("500")),
            ("500.5", None),
            ("5e-1", None),
            ("\"500\"", Some("500")),
            ("\"500.0\"", None),
            ("\"5e2\"", None),
        ] {
            assert_eq!(amount_in(Currency::JPY, json).as_deref(), read, "{json}");
        }
        assert_eq!(amount("10.000").as_deref(), Some("10.00"));
    }

    #[test]
    fn strings_and_numbers_are_read_exactly() {
        for (json, read) in [
            ("\"12.50\"", "12.50"),
            ("\"12.5\"", "12.50"),
            ("12.5", "12.50"),
            ("12", "12.00"),
            ("0.07", "0.07"),
            ("9999999999999", "9999999999999.00"),
        ] {
            assert_eq!(amount(json).as_deref(), Some(read), "{json}");
        }
    }

    #[test]
    fn what_is_no_exact_amount_is_refused() {
        for json in [
            "0",
            "-1",
            "-0.0",
            "0.001",
            "0.30000000000000004",
            "1e300",
            "\"1e3\"",
            "\"NaN\"",
            "\"Infinity\"",
            "\" 10 \"",
            "\"10,00\"",
            "\"１０\"",
            "\"0x10\"",
            "\"\"",
            "9223372036854775807",
            "9223372036854775808",
            "true",
            "null",
            "{}",
            "[12]",
        ] {
            assert_eq!(amount(json), None, "{json}");
        }
    }
}
