//! Stripe's ids as types: no kind can be mistaken for another, and none can carry foreign text into a path or a column.

use std::fmt;
use std::str::FromStr;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The maximum length of an id or an idempotency key that Stripe accepts and our columns hold.
const LONGEST: usize = 255;

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a Stripe {kind} id")]
pub struct InvalidStripeId {
    kind: &'static str,
}

fn is_harmless(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= LONGEST && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_id(text: &str, prefixes: &[&str]) -> bool {
    is_harmless(text)
        && prefixes
            .iter()
            .any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
}

macro_rules! stripe_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $($prefix:literal)|+) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow, Serialize, Deserialize)]
        #[diesel(sql_type = Text)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the id as Stripe writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ToSql<Text, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <str as ToSql<Text, Pg>>::to_sql(&self.0, out)
            }
        }

        impl FromSql<Text, Pg> for $name {
            /// Accepts every prefix: a newer version may have stored an id of a kind that this one does not know.
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                let text = <String as FromSql<Text, Pg>>::from_sql(value)?;
                if is_harmless(&text) { Ok(Self(text)) } else { Err(InvalidStripeId { kind: $kind }.into()) }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidStripeId;

            fn try_from(text: String) -> Result<Self, InvalidStripeId> {
                if is_id(&text, &[$($prefix),+]) { Ok(Self(text)) } else { Err(InvalidStripeId { kind: $kind }) }
            }
        }

        impl FromStr for $name {
            type Err = InvalidStripeId;

            fn from_str(text: &str) -> Result<Self, InvalidStripeId> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

stripe_id!(
    /// The id of a customer, a person at Stripe: `cus_…`.
    CustomerId, "customer", "cus_"
);
stripe_id!(
    /// The id of a payment intent, that is of a payment, finished or not: `pi_…`.
    PaymentIntentId, "payment intent", "pi_"
);
stripe_id!(
    /// The id of a payment method, `pm_…`; older cards and bank accounts keep their own prefixes.
    PaymentMethodId, "payment method", "pm_" | "card_" | "src_" | "ba_"
);
stripe_id!(
    /// The id of a charge, `ch_…`; `py_…` if a bank account was debited.
    ChargeId, "charge", "ch_" | "py_"
);
stripe_id!(
    /// The id of a connected account, `acct_…`.
    AccountId, "account", "acct_"
);
stripe_id!(
    /// The id of a connected account's bank account or debit card, to which payouts go: `ba_…` or `card_…`.
    ExternalAccountId, "external account", "ba_" | "card_"
);
stripe_id!(
    /// The id of a transfer from the platform to a connected account, `tr_…`; not one between two wallets.
    StripeTransferId, "transfer", "tr_"
);
stripe_id!(
    /// The id of a transfer reversal, `trr_…`.
    ReversalId, "transfer reversal", "trr_"
);
stripe_id!(
    /// The id of a payout from a connected account to its bank, `po_…`.
    PayoutId, "payout", "po_"
);
stripe_id!(
    /// The id of a refund, `re_…`; `pyr_…` if a bank account had been debited.
    RefundId, "refund", "re_" | "pyr_"
);
stripe_id!(
    /// The id of a dispute, in which a payer's bank takes a charge back: `du_…`; older ones are `dp_…`.
    DisputeId, "dispute", "du_" | "dp_"
);
stripe_id!(
    /// The id of a movement of a Stripe balance, `txn_…`.
    BalanceTransactionId, "balance transaction", "txn_"
);
stripe_id!(
    /// The id of an event, `evt_…`.
    EventId, "event", "evt_"
);

/// The `Idempotency-Key` of one creating call: `<operation>:<subject>:<attempt>`, made and committed before the first try.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallKey(String);

impl CallKey {
    /// Returns the key of one attempt at an operation for a subject.
    #[must_use]
    pub fn of(operation: &str, subject: Uuid, attempt: i32) -> Self {
        Self(format!("{operation}:{subject}:{attempt}"))
    }

    /// Returns the key as it is sent in the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CallKey {
    type Error = InvalidStripeId;

    /// Accepts 1 to 255 visible ASCII characters.
    fn try_from(text: String) -> Result<Self, InvalidStripeId> {
        let valid =
            !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        if valid {
            Ok(Self(text))
        } else {
            Err(InvalidStripeId {
                kind: "idempotency key",
            })
        }
    }
}

impl FromStr for CallKey {
    type Err = InvalidStripeId;

    fn from_str(text: &str) -> Result<Self, InvalidStripeId> {
        Self::try_from(text.to_owned())
    }
}

impl From<CallKey> for String {
    fn from(key: CallKey) -> Self {
        key.0
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_prefix_and_nothing_that_could_leave_its_place() {
        assert_eq!("pi_3Abc".parse::<PaymentIntentId>().unwrap().as_str(), "pi_3Abc");
        let long = format!("pi_{}", "x".repeat(253));
        for wrong in [
            "",
            "pi_",
            "ch_1",
            "pi_1/../x",
            "pi_1?a",
            "pi_1\n",
            "pi_1 ",
            "pi_ä",
            "PI_1",
            &long,
        ] {
            assert!(wrong.parse::<PaymentIntentId>().is_err(), "{wrong:?}");
        }
        assert!("py_1".parse::<ChargeId>().is_ok());
        assert!("pyr_1".parse::<RefundId>().is_ok());
        assert!("trr_1".parse::<StripeTransferId>().is_err());
        assert!("dp_1".parse::<DisputeId>().is_ok() && "du_1".parse::<DisputeId>().is_ok());
    }

    #[test]
    fn stored_ids_are_checked_when_read_back() {
        assert_eq!(
            serde_json::from_str::<AccountId>("\"acct_1\"").unwrap().as_str(),
            "acct_1"
        );
        assert!(serde_json::from_str::<AccountId>("\"cus_1\"").is_err());
    }

    #[test]
    fn a_key_is_short_visible_ascii() {
        assert!(
            "transfer:018f2f5e-7b3c-7000-8000-000000000001:1"
                .parse::<CallKey>()
                .is_ok()
        );
        for wrong in [
            String::new(),
            "x".repeat(256),
            "a b".into(),
            "a\nb".into(),
            "ä".into(),
        ] {
            assert!(CallKey::try_from(wrong.clone()).is_err(), "{wrong:?}");
        }
    }
}
