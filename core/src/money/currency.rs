//! The supported currencies: one table with what Stripe and arithmetic need to know about each.
//!
//! Exponents are Stripe's (<https://docs.stripe.com/currencies#zero-decimal>), not ISO 4217's. Minimum charges are those of
//! <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>. Minimum payouts are those of
//! <https://docs.stripe.com/payouts#minimum-payout-amounts> for the country of the currency; where that page names none (KRW, UGX), one base unit,
//! which it calls typical. A payout to another country may need more; Stripe reports that when the payout is made. Three-decimal currencies
//! (KWD, BHD, JOD, OMR, TND) are refused: `DECIMAL(15,2)` cannot hold their thousandths.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

/// A currency this system can hold: an index into the table, so that an unsupported one cannot be named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(&'static Row);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Row {
    code: &'static str,
    exponent: u32,
    minimum_charge: i64,
    minimum_payout: i64,
    special: Special,
}

/// Restrictions of Stripe's on amounts that the exponent does not express.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Special {
    None,
    /// Two decimals in Stripe's API, but both must be zero (UGX).
    WholeUnits,
    /// Whole units only when paid out (HUF).
    WholePayouts,
}

/// The error for a currency code that is not in the table. Its text follows the name of a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not supported: use one of {}", Currency::codes())]
pub struct UnsupportedCurrency;

const fn row(code: &'static str, exponent: u32, minimum_charge: i64, minimum_payout: i64) -> Row {
    Row {
        code,
        exponent,
        minimum_charge,
        minimum_payout,
        special: Special::None,
    }
}

const fn special(code: &'static str, minimum_charge: i64, minimum_payout: i64, special: Special) -> Row {
    Row {
        code,
        exponent: 2,
        minimum_charge,
        minimum_payout,
        special,
    }
}

// Sorted by code. The numbers are the decimals, the smallest charge and the smallest payout, both in minor units.
static TABLE: [Row; 24] = [
    row("aed", 2, 200, 200),
    row("aud", 2, 50, 1),
    row("bgn", 2, 100, 100),
    row("brl", 2, 50, 1),
    row("cad", 2, 50, 1),
    row("chf", 2, 50, 500),
    row("czk", 2, 1500, 3000),
    row("dkk", 2, 250, 2000),
    row("eur", 2, 50, 100),
    row("gbp", 2, 30, 100),
    row("hkd", 2, 400, 1),
    special("huf", 17_500, 36_000, Special::WholePayouts),
    row("inr", 2, 50, 100),
    row("jpy", 0, 50, 1),
    row("krw", 0, 100, 1),
    row("mxn", 2, 1000, 1000),
    row("myr", 2, 200, 500),
    row("nok", 2, 300, 2000),
    row("nzd", 2, 50, 1),
    row("pln", 2, 200, 500),
    row("sek", 2, 300, 2000),
    row("sgd", 2, 50, 100),
    special("ugx", 10_000, 100, Special::WholeUnits),
    row("usd", 2, 50, 1),
];

static ALL: LazyLock<Vec<Currency>> = LazyLock::new(|| TABLE.iter().map(Currency).collect());

impl Currency {
    /// US dollar.
    pub const USD: Self = Self(&TABLE[23]);
    /// Euro.
    pub const EUR: Self = Self(&TABLE[8]);
    /// Japanese yen, without decimals.
    pub const JPY: Self = Self(&TABLE[13]);

    /// Returns every supported currency, ordered by code.
    #[must_use]
    pub fn all() -> &'static [Self] {
        ALL.as_slice()
    }

    /// Returns the ISO 4217 code in lower case, as Stripe writes it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.0.code
    }

    /// Returns the number of decimals: 0 or 2.
    #[must_use]
    pub const fn exponent(self) -> u32 {
        self.0.exponent
    }

    /// Returns the currency that has replaced this one, if one has: what is left in this one can be sent, and nothing more comes in. Stripe takes no
    /// payments in the lev since Bulgaria's currency is the euro (<https://docs.stripe.com/currencies>).
    #[must_use]
    pub fn replaced_by(self) -> Option<Self> {
        (self.code() == "bgn").then_some(Self::EUR)
    }

    /// Returns a sum in major units with this currency's decimals, and with more only if it has more. The sum may exceed what one amount may be.
    #[must_use]
    pub fn in_decimals(self, sum: Decimal) -> Decimal {
        let mut sum = sum.normalize();
        sum.rescale(self.exponent().max(sum.scale()));
        sum
    }

    /// Returns the same sum as text, with the currency.
    #[must_use]
    pub fn written(self, sum: Decimal) -> String {
        format!("{} {self}", self.in_decimals(sum))
    }

    /// Returns the smallest charge that Stripe accepts, in minor units.
    #[must_use]
    pub const fn minimum_charge_minor(self) -> i64 {
        self.0.minimum_charge
    }

    /// Returns the smallest payout that Stripe makes, in minor units.
    #[must_use]
    pub const fn minimum_payout_minor(self) -> i64 {
        self.0.minimum_payout
    }

    /// Returns whether charges must be whole major units although Stripe's API has two decimals.
    #[must_use]
    pub fn whole_units_only(self) -> bool {
        self.0.special == Special::WholeUnits
    }

    /// Returns whether payouts must be whole major units.
    #[must_use]
    pub fn whole_payouts_only(self) -> bool {
        self.0.special != Special::None
    }

    fn codes() -> String {
        TABLE.iter().map(|row| row.code).collect::<Vec<_>>().join(", ")
    }
}

impl FromStr for Currency {
    type Err = UnsupportedCurrency;

    /// Accepts any letter case.
    fn from_str(text: &str) -> Result<Self, UnsupportedCurrency> {
        let wanted = text.to_ascii_lowercase();
        ALL.iter()
            .copied()
            .find(|currency| currency.code() == wanted)
            .ok_or(UnsupportedCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_written_with_the_decimals_of_its_currency() {
        let written = |code: &str, sum: &str| {
            let currency: Currency = code.parse().unwrap();
            currency.written(sum.parse().unwrap())
        };
        assert_eq!(written("krw", "59.00"), "59 krw");
        assert_eq!(written("usd", "-3.2"), "-3.20 usd");
        assert_eq!(written("usd", "1000000000000"), "1000000000000.00 usd");
        assert_eq!(written("jpy", "0.5"), "0.5 jpy", "what cannot be is not hidden");
    }

    #[test]
    fn the_table_is_sorted_and_every_code_parses_in_any_case() {
        assert!(TABLE.is_sorted_by(|a, b| a.code < b.code));
        for currency in Currency::all() {
            assert_eq!(
                currency.code().to_uppercase().parse::<Currency>().unwrap(),
                *currency
            );
        }
        assert_eq!(
            (Currency::USD.code(), Currency::EUR.code(), Currency::JPY.code()),
            ("usd", "eur", "jpy")
        );
    }

    #[test]
    fn the_smallest_payout_is_one_that_could_be_paid_out() {
        for currency in Currency::all() {
            let least = currency.minimum_payout_minor();
            assert!(least > 0, "{currency}");
            assert!(!currency.whole_payouts_only() || least % 100 == 0, "{currency}");
        }
    }

    #[test]
    fn what_the_column_cannot_hold_is_refused() {
        for code in ["kwd", "bhd", "XXX", "", "us", "usd "] {
            assert_eq!(code.parse::<Currency>(), Err(UnsupportedCurrency), "{code:?}");
        }
    }
}
