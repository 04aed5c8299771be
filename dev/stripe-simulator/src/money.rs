//! The currencies that the simulator knows, with Stripe's exponents and minimum charges. Amounts are `i64` in minor units.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::errors::ApiError;

/// The maximum amount of a charge at Stripe: eight digits.
pub(crate) const LARGEST_CHARGE: i64 = 99_999_999;

/// The maximum amount of transfers, payouts and top-ups, far below what could overflow a balance.
pub(crate) const LARGEST_MOVEMENT: i64 = 999_999_999_999;

/// A currency that Stripe settles in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Currency {
    code: &'static str,
    symbol: &'static str,
    decimals: u8,
    minimum_charge: i64,
}

const fn currency(code: &'static str, symbol: &'static str, decimals: u8, minimum_charge: i64) -> Currency {
    Currency {
        code,
        symbol,
        decimals,
        minimum_charge,
    }
}

const CURRENCIES: &[Currency] = &[
    currency("usd", "$", 2, 50),
    currency("aed", "", 2, 200),
    currency("aud", "$", 2, 50),
    currency("bgn", "", 2, 100),
    currency("brl", "R$", 2, 50),
    currency("cad", "$", 2, 50),
    currency("chf", "", 2, 50),
    currency("clp", "", 0, 500),
    currency("czk", "", 2, 1_500),
    currency("dkk", "", 2, 250),
    currency("eur", "€", 2, 50),
    currency("gbp", "£", 2, 30),
    currency("hkd", "$", 2, 400),
    currency("huf", "", 2, 17_500),
    currency("idr", "", 2, 1_000_000),
    currency("inr", "₹", 2, 50),
    currency("isk", "", 2, 10_000),
    currency("jpy", "¥", 0, 50),
    currency("krw", "₩", 0, 500),
    currency("mxn", "$", 2, 1_000),
    currency("myr", "", 2, 200),
    currency("nok", "", 2, 300),
    currency("nzd", "$", 2, 50),
    currency("pln", "", 2, 200),
    currency("pyg", "", 0, 5_000),
    currency("ron", "", 2, 200),
    currency("sek", "", 2, 300),
    currency("sgd", "$", 2, 50),
    currency("thb", "", 2, 1_000),
    currency("try", "", 2, 1_500),
    currency("twd", "$", 2, 2_000),
    currency("ugx", "", 2, 10_000),
    currency("vnd", "₫", 0, 15_000),
    currency("xaf", "", 0, 400),
    currency("xof", "", 0, 400),
    currency("zar", "", 2, 1_000),
];

/// Currencies written with two decimals that must be zero (<https://docs.stripe.com/currencies#special-cases>).
const WHOLE: [&str; 2] = ["isk", "ugx"];
/// Currencies whose decimals must be zero for payouts only.
const WHOLE_PAYOUTS: [&str; 2] = ["huf", "twd"];

impl Currency {
    /// Refuses an amount with a fraction if the currency is charged and refunded in whole units only.
    ///
    /// # Errors
    /// A 400 for such an amount.
    pub(crate) fn check_whole(self, amount: i64) -> Result<(), ApiError> {
        self.whole(WHOLE.contains(&self.code), amount)
    }

    /// Refuses an amount with a fraction if the currency is paid out in whole units only.
    ///
    /// # Errors
    /// A 400 for such an amount.
    pub(crate) fn check_whole_payout(self, amount: i64) -> Result<(), ApiError> {
        self.whole(
            WHOLE.contains(&self.code) || WHOLE_PAYOUTS.contains(&self.code),
            amount,
        )
    }

    fn whole(self, wanted: bool, amount: i64) -> Result<(), ApiError> {
        if !wanted || amount % 100 == 0 {
            return Ok(());
        }
        let message = format!(
            "Invalid amount: in {} it must be evenly divisible by 100",
            self.code
        );
        Err(ApiError::invalid_param("amount", message))
    }

    /// Returns the currency with this ISO code, in either case.
    ///
    /// # Errors
    /// Stripe's `Invalid currency` error for a code that is not in the table.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        CURRENCIES
            .iter()
            .find(|currency| currency.code.eq_ignore_ascii_case(text))
            .copied()
            .ok_or_else(|| {
                let known: Vec<&str> = CURRENCIES.iter().map(|currency| currency.code).collect();
                ApiError::invalid_param(
                    "currency",
                    format!(
                        "Invalid currency: {}. Stripe currently supports these currencies: {}",
                        text.to_lowercase(),
                        known.join(", ")
                    ),
                )
            })
    }

    /// Returns the lower-case ISO code.
    pub(crate) const fn code(self) -> &'static str {
        self.code
    }

    /// Returns the smallest amount that Stripe charges in this currency.
    pub(crate) const fn minimum_charge(self) -> i64 {
        self.minimum_charge
    }

    /// Returns an amount as Stripe's messages show it, such as `$0.50`.
    pub(crate) fn show(self, amount: i64) -> String {
        if self.decimals == 0 {
            return format!("{}{amount}", self.symbol);
        }
        let (units, cents) = (amount.div_euclid(100), amount.rem_euclid(100));
        format!("{}{units}.{cents:02}", self.symbol)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        let unknown = |_| serde::de::Error::custom(format!("{code} is no currency of the simulator"));
        Self::parse(&code).map_err(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_with_the_currency_s_decimals() {
        assert_eq!(Currency::parse("USD").unwrap().show(50), "$0.50");
        assert_eq!(Currency::parse("jpy").unwrap().show(50), "¥50");
        assert!(Currency::parse("xyz").is_err());
    }

    #[test]
    fn parts_of_a_unit_are_refused_where_stripe_knows_none() {
        for (code, charged, paid_out) in [
            ("isk", false, false),
            ("ugx", false, false),
            ("huf", true, false),
            ("twd", true, false),
            ("usd", true, true),
            ("jpy", true, true),
        ] {
            let currency = Currency::parse(code).unwrap();
            assert_eq!(currency.check_whole(1_045).is_ok(), charged, "{code}");
            assert_eq!(currency.check_whole_payout(1_045).is_ok(), paid_out, "{code}");
            assert!(currency.check_whole(1_000).is_ok() && currency.check_whole_payout(1_000).is_ok());
        }
    }
}
