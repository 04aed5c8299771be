//! Stripe's objects as the simulator stores them: typed state, rendered into Stripe's JSON shapes on demand.
//!
//! The shapes come from Stripe's own example objects in `fixtures` (MIT, see the LICENSE beside them):
//! [`shape`] takes such an example and overwrites the fields that have a value.

mod account;
mod balance;
mod charge;
mod customer;
mod dispute;
mod event;
mod payment_intent;
mod payment_method;
mod payout;
mod refund;
mod transfer;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use rand::Rng;
use rand::distr::Alphanumeric;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::clock::Moment;

pub(crate) use account::{Account, AccountKind, BankAccount, BankBehaviour};
pub(crate) use balance::{BalanceTransaction, BalanceType, Funds, TransactionKind};
pub(crate) use charge::{Charge, ChargeStatus};
pub(crate) use customer::Customer;
pub(crate) use dispute::{Dispute, DisputeStatus};
pub(crate) use event::{Event, EventView};
pub(crate) use payment_intent::{CaptureMethod, IntentStatus, PaymentIntent};
pub(crate) use payment_method::{BankFate, Behaviour, Decline, MethodKind, PaymentMethod, test_method};
pub(crate) use payout::{Payout, PayoutStatus};
pub(crate) use refund::{Refund, RefundStatus};
pub(crate) use transfer::{Reversal, Transfer};

/// The id of an object of type `T`, such as `pi_…`.
pub(crate) struct Id<T> {
    text: Arc<str>,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// Takes an existing id, for example one that a test chose.
    pub(crate) fn from_text(text: &str) -> Self {
        Self {
            text: Arc::from(text),
            of: PhantomData,
        }
    }

    /// Returns the id as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the id's shared text, which is the key of the tables.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }
}

impl<T: Resource> Id<T> {
    /// Generates an id with the type's prefix.
    pub(crate) fn generate() -> Self {
        Self::from_text(&random_id(T::PREFIX))
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        Self {
            text: Arc::clone(&self.text),
            of: PhantomData,
        }
    }
}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<T> Eq for Id<T> {}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_text(&String::deserialize(deserializer)?))
    }
}

impl<T> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Returns `prefix` followed by 24 random letters and digits.
pub(crate) fn random_id(prefix: &str) -> String {
    let mut id = String::with_capacity(prefix.len() + 24);
    id.push_str(prefix);
    id.extend(rand::rng().sample_iter(Alphanumeric).take(24).map(char::from));
    id
}

/// The owner of an object: the platform itself, or a connected account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Owner {
    /// The account that the secret key belongs to.
    Platform,
    /// An account named by the `Stripe-Account` header.
    Connected(Id<Account>),
}

impl Owner {
    /// Returns a text that is unique to the owner.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Platform => "platform",
            Self::Connected(account) => account.as_str(),
        }
    }

    /// Returns the connected account's id, if the owner is one.
    pub(crate) fn account(&self) -> Option<&str> {
        match self {
            Self::Platform => None,
            Self::Connected(account) => Some(account.as_str()),
        }
    }
}

/// The common interface of all kinds of objects.
pub(crate) trait Resource: Sized + 'static {
    /// The prefix of ids, such as `pi_`.
    const PREFIX: &'static str;
    /// The noun in Stripe's messages, as in `No such customer: 'cus_1'`.
    const NOUN: &'static str;

    /// Returns the object's id.
    fn id(&self) -> &Id<Self>;
    /// Returns the object's owner.
    fn owner(&self) -> &Owner;
    /// Returns when the object was created.
    fn created(&self) -> Moment;
    /// Returns the groups that it can be listed by, besides its owner's.
    fn groups(&self) -> Vec<Group> {
        Vec::new()
    }
    /// Renders Stripe's JSON of it.
    fn render(&self, around: &dyn Around) -> Value;
}

/// The surroundings on which an object's JSON depends: other objects, and settings.
pub(crate) trait Around {
    /// Returns whether refunds and payouts that failed name the movement that returned their money.
    fn names_failure_movements(&self) -> bool;
    /// Returns a charge.
    fn charge(&self, id: &Id<Charge>) -> Option<&Charge>;
    /// Renders Stripe's JSON of a movement of a balance.
    fn movement(&self, id: &Id<BalanceTransaction>) -> Value;
    /// Renders Stripe's JSON of a transfer's latest reversals, newest first.
    fn latest_reversals(&self, of: &Id<Transfer>, most: usize) -> Vec<Value>;
}

/// The properties that objects can be listed by without a scan of the whole table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GroupBy {
    Owner,
    Customer,
    TransferGroup,
    Destination,
    Intent,
    Charge,
    Transfer,
    Source,
}

/// The objects that share one value, for example all transfers of one `transfer_group`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    /// The property.
    pub(crate) by: GroupBy,
    /// Its value.
    pub(crate) value: String,
}

/// Returns a group that an object can be listed by.
pub(crate) fn group(by: GroupBy, value: impl fmt::Display) -> Group {
    Group {
        by,
        value: value.to_string(),
    }
}

/// Declares a lazily parsed example object from `fixtures`.
macro_rules! fixture {
    ($name:ident, $file:literal) => {
        static $name: std::sync::LazyLock<serde_json::Value> = std::sync::LazyLock::new(|| {
            serde_json::from_str(include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/fixtures/",
                $file,
                ".json"
            )))
            .unwrap_or(serde_json::Value::Null)
        });
    };
}
pub(crate) use fixture;

/// Returns Stripe's example object, overwritten with `fields`.
pub(crate) fn shape(example: &Value, fields: Value) -> Value {
    let mut rendered = example.clone();
    if let (Value::Object(target), Value::Object(fields)) = (&mut rendered, fields) {
        target.extend(fields);
    }
    rendered
}

/// Returns Stripe's list envelope.
pub(crate) fn list_object(url: &str, data: Vec<Value>, has_more: bool) -> Value {
    json!({ "object": "list", "url": url, "has_more": has_more, "data": data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_object_can_be_parsed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
        let mut parsed = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = std::fs::read_to_string(&path).unwrap();
                let example: Value = serde_json::from_str(&text).unwrap();
                assert!(example.is_object(), "{}", path.display());
                parsed += 1;
            }
        }
        assert!(parsed > 10, "{parsed}");
    }

    #[test]
    fn new_ids_have_their_prefix_and_differ() {
        let (one, two) = (Id::<Payout>::generate(), Id::<Payout>::generate());
        assert!(one.as_str().starts_with("po_") && one.as_str().len() == 27);
        assert_ne!(one, two);
    }
}
