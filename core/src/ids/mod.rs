//! Typed ids, and the only code that makes new ones.
//!
//! Our own ids are UUIDv7 (RFC 9562, section 5.7): they sort by time, which the monthly partitions rely on.

pub mod stripe;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::SharedClock;

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id")]
pub struct InvalidId {
    kind: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that is known to identify an object of this kind.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// Returns the plain UUID, for binding to SQL.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($kind, ":{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Accepts only the hyphenated form of 36 characters, so that one id has one spelling.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 36 {
                    return Err(InvalidId { kind: $kind });
                }
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId { kind: $kind })
            }
        }
    };
}

uuid_id!(
    /// The id of a wallet.
    WalletId,
    "wallet"
);
uuid_id!(
    /// The id of a person who owns wallets: the `sub` of the token.
    UserId,
    "user"
);
uuid_id!(
    /// The id of a wallet transaction.
    TransactionId,
    "transaction"
);

/// The id of a row of `jobs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The source of new ids; tests use a predictable one.
pub trait IdSource: std::fmt::Debug + Send + Sync + 'static {
    /// Returns a new UUIDv7, greater than all that this source made earlier in the same millisecond.
    fn next(&self) -> Uuid;
}

/// A shared source of ids.
pub type SharedIds = Arc<dyn IdSource>;

/// The system's ids: UUIDv7 from the injected clock and randomness, counted up within a millisecond.
#[derive(Debug)]
pub struct SystemIds {
    clock: SharedClock,
    context: Mutex<uuid::ContextV7>,
}

impl SystemIds {
    /// Creates a source that takes its time from `clock`.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            context: Mutex::new(uuid::ContextV7::new()),
        }
    }
}

impl IdSource for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes new ids")]
    fn next(&self) -> Uuid {
        let now = self.clock.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(uuid::Timestamp::from_unix(
            &*context,
            seconds,
            now.timestamp_subsec_nanos(),
        ))
    }
}

/// Returns the smallest UUIDv7 of an instant: the lower bound of a monthly partition.
#[must_use]
pub fn lowest_uuid_at(at: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(at.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    #[test]
    fn new_ids_grow() {
        let ids = SystemIds::new(Arc::new(SystemClock));
        let made: Vec<Uuid> = (0..10_000).map(|_| ids.next()).collect();
        assert!(made.is_sorted());
        assert!(made.iter().all(|id| id.get_version_num() == 7));
    }

    #[test]
    fn an_id_has_one_spelling() {
        let text = "018f2f5e-7b3c-7000-8000-000000000001";
        assert_eq!(text.parse::<WalletId>().unwrap().to_string(), text);
        for wrong in [
            "",
            "018f2f5e7b3c70008000000000000001",
            "{018f2f5e-7b3c-7000-8000-00000000001}",
            "x",
        ] {
            assert!(wrong.parse::<WalletId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_month_bound_is_below_every_id_of_its_first_millisecond() {
        let at = SystemClock.now();
        let ids = SystemIds::new(Arc::new(SystemClock));
        assert!(lowest_uuid_at(at) <= ids.next());
    }
}
