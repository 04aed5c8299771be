//! The country in which a connected account is opened, and the agreement that it has to accept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A country by its two-letter code (ISO 3166-1), in capitals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country(String);

/// A text that is not a country code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a country code of two letters")]
pub struct InvalidCountry;

impl FromStr for Country {
    type Err = InvalidCountry;

    fn from_str(text: &str) -> Result<Self, InvalidCountry> {
        let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        is_code
            .then(|| Self(text.to_ascii_uppercase()))
            .ok_or(InvalidCountry)
    }
}

impl TryFrom<String> for Country {
    type Error = InvalidCountry;

    fn try_from(text: String) -> Result<Self, InvalidCountry> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.0
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The European Economic Area and Switzerland: within this region a platform's transfers reach accounts under the full agreement
/// (<https://docs.stripe.com/connect/account-capabilities#transfers-cross-border>).
const ONE_REGION: [&str; 31] = [
    "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS",
    "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// The countries outside that region that Stripe pays across borders, among themselves and with the region.
const OTHERS_PAID: [&str; 3] = ["CA", "GB", "US"];

impl Country {
    /// Returns the two-letter code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0
    }

    /// Returns whether Stripe pays from `platform` to this country under the full agreement: within one country, and between the United States,
    /// the United Kingdom, Canada, Switzerland and the European Economic Area, where accounts under the recipient agreement cannot be paid across
    /// borders (<https://docs.stripe.com/connect/cross-border-payouts#availability>).
    fn is_paid_in_full_from(&self, platform: &Self) -> bool {
        let is_in =
            |country: &Self| ONE_REGION.contains(&country.code()) || OTHERS_PAID.contains(&country.code());
        self == platform || (is_in(self) && is_in(platform))
    }
}

/// The capabilities that an account requests, and the agreement it accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Terms {
    /// `transfers` alone under the full agreement: for accounts in the United States.
    Payee,
    /// `transfers` together with `card_payments` under the full agreement: outside the United States, `transfers` alone needs Stripe's approval of
    /// the platform (<https://docs.stripe.com/connect/account-capabilities>).
    Merchant,
    /// `transfers` alone under the recipient agreement, which excludes `card_payments`. It is for payees whose country Stripe pays from the
    /// platform's only by special arrangement (<https://docs.stripe.com/connect/service-agreement-types>).
    Recipient,
}

/// The country and the terms under which an account is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The country in which its owner lives. It cannot be changed later.
    pub country: Country,
    /// The terms that it accepts.
    pub terms: Terms,
}

impl Opening {
    /// Returns how an account of a person in `country` is opened for a platform in the same or another one.
    #[must_use]
    pub fn of(platform: &Country, country: Country) -> Self {
        let terms = if !country.is_paid_in_full_from(platform) {
            Terms::Recipient
        } else if country.code() == "US" {
            Terms::Payee
        } else {
            Terms::Merchant
        };
        Self { country, terms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(platform: &str, payee: &str) -> Terms {
        Opening::of(&platform.parse().unwrap(), payee.parse().unwrap()).terms
    }

    #[test]
    fn the_terms_are_those_that_stripe_demands_between_the_two_countries() {
        for (platform, payee, expected) in [
            ("US", "US", Terms::Payee),
            ("US", "us", Terms::Payee),
            ("US", "DE", Terms::Merchant),
            ("US", "GB", Terms::Merchant),
            ("US", "CH", Terms::Merchant),
            ("CA", "US", Terms::Payee),
            ("SG", "SG", Terms::Merchant),
            ("SG", "US", Terms::Recipient),
            ("US", "SG", Terms::Recipient),
            ("DE", "DE", Terms::Merchant),
            ("DE", "FR", Terms::Merchant),
            ("DE", "CH", Terms::Merchant),
            ("DE", "GB", Terms::Merchant),
            ("DE", "US", Terms::Payee),
            ("DE", "JP", Terms::Recipient),
            ("GB", "GB", Terms::Merchant),
        ] {
            assert_eq!(terms(platform, payee), expected, "{platform} {payee}");
        }
    }

    #[test]
    fn a_country_is_two_letters() {
        for wrong in ["", "U", "USA", "U1", "ÄÖ", "..", "de "] {
            assert_eq!(wrong.parse::<Country>(), Err(InvalidCountry), "{wrong:?}");
        }
        assert_eq!("de".parse::<Country>().unwrap().to_string(), "DE");
    }
}
