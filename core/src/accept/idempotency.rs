//! Idempotency keys: the same key and input give the same transaction, another input is refused.
//!
//! The key is a row, written in the transaction of what it stands for. A request that is refused leaves no key, so it may be
//! repeated under the same key once its cause is mended. Keys of two people never meet.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::AcceptError;
use crate::chaos::{self, PlantedBug};
use crate::db::schema::idempotency_keys;
use crate::db::{DbError, PgConn};
use crate::ids::{TransactionId, UserId, WalletId};

/// A client's key: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// A text that cannot be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 visible ASCII characters without blanks")]
pub struct InvalidKey;

impl IdempotencyKey {
    /// Takes a client's text.
    ///
    /// # Errors
    /// When it is empty, longer than 255 characters or has others than visible ASCII.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidKey)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A digest of what was asked for; equal for equal requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// The digest of an operation and its input.
    #[must_use]
    pub fn of(operation: &str, input: &impl Serialize) -> Self {
        let mut hash = Sha256::new();
        hash.update(operation.as_bytes());
        hash.update([0]);
        // Values of our own types always serialize; objects are sorted by serde_json's map.
        let mut meaning = serde_json::to_value(input).unwrap_or_default();
        spell_alike(&mut meaning);
        hash.update(serde_json::to_vec(&meaning).unwrap_or_default());
        Self(hash.finalize().to_vec())
    }
}

/// Writes equal numbers in one way: 1.0 as 1. Other spellings of a number end when it is read.
fn spell_alike(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let written = number.to_string();
            let whole = written
                .strip_suffix(".0")
                .and_then(|whole| whole.parse::<i64>().ok());
            if let Some(whole) = whole {
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(spell_alike),
        Value::Object(fields) => fields.values_mut().for_each(spell_alike),
        _ => {}
    }
}

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Wallet(WalletId),
    Transaction(TransactionId),
}

/// What became of a key that a request brought.
pub(super) enum KeyUse {
    /// It is this request's now.
    New,
    /// It stood for an equal request before.
    Repeated(Subject),
}

/// Takes a key for a new subject, or finds what it stood for. Waits for a request that is just taking the same key.
pub(super) async fn take(
    conn: &mut PgConn,
    user: UserId,
    key: Option<&IdempotencyKey>,
    fingerprint: &Fingerprint,
    subject: Subject,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<KeyUse, AcceptError> {
    let Some(key) = key else { return Ok(KeyUse::New) };
    let (wallet, transaction) = match subject {
        Subject::Wallet(id) => (Some(id.uuid()), None),
        Subject::Transaction(id) => (None, Some(id.uuid())),
    };
    if chaos::is_planted(PlantedBug::ClientKeyIgnored) {
        return Ok(KeyUse::New);
    }
    let taken = diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::user_id.eq(user.uuid()),
            idempotency_keys::key.eq(key.as_str()),
            idempotency_keys::fingerprint.eq(&fingerprint.0),
            idempotency_keys::wallet_id.eq(wallet),
            idempotency_keys::transaction_id.eq(transaction),
            idempotency_keys::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await
        .map_err(DbError::from)?;
    if taken == 1 {
        return Ok(KeyUse::New);
    }
    match known(conn, user, Some(key), fingerprint).await? {
        Some(subject) => Ok(KeyUse::Repeated(subject)),
        None => Err(inconsistent(key)),
    }
}

/// What a key stands for already, if it does.
pub(super) async fn known(
    conn: &mut PgConn,
    user: UserId,
    key: Option<&IdempotencyKey>,
    fingerprint: &Fingerprint,
) -> Result<Option<Subject>, AcceptError> {
    let Some(key) = key else { return Ok(None) };
    if chaos::is_planted(PlantedBug::ClientKeyIgnored) {
        return Ok(None);
    }
    let row: Option<(Vec<u8>, Option<Uuid>, Option<Uuid>)> = idempotency_keys::table
        .find((user.uuid(), key.as_str()))
        .select((
            idempotency_keys::fingerprint,
            idempotency_keys::wallet_id,
            idempotency_keys::transaction_id,
        ))
        .first(conn)
        .await
        .optional()
        .map_err(DbError::from)?;
    match row {
        None => Ok(None),
        Some((stored, _, _)) if stored != fingerprint.0 => Err(AcceptError::IdempotencyConflict),
        Some((_, Some(id), _)) => Ok(Some(Subject::Wallet(WalletId::from_uuid(id)))),
        Some((_, _, Some(id))) => Ok(Some(Subject::Transaction(TransactionId::from_uuid(id)))),
        Some((_, None, None)) => Err(inconsistent(key)),
    }
}

fn inconsistent(key: &IdempotencyKey) -> AcceptError {
    AcceptError::Db(DbError::Inconsistent {
        table: "idempotency_keys",
        column: "transaction_id",
        row: key.as_str().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_visible_ascii_of_bounded_length_is_a_key() {
        for wrong in ["", " ", "a b", "a\n", "schlüssel", &"k".repeat(256)] {
            assert_eq!(IdempotencyKey::parse(wrong), Err(InvalidKey), "{wrong:?}");
        }
        assert!(IdempotencyKey::parse(&"k".repeat(255)).is_ok());
    }

    #[test]
    fn two_spellings_of_one_number_have_one_fingerprint() {
        let of = |text: &str| Fingerprint::of("transfer", &serde_json::from_str::<Value>(text).unwrap());
        for same in ["[{\"a\":1.0}]", "[{\"a\":1.00}]", "[{\"a\":1e0}]"] {
            assert_eq!(of("[{\"a\":1}]"), of(same), "{same}");
        }
        for other in ["[{\"a\":1.5}]", "[{\"a\":\"1\"}]", "[{\"a\":-1}]", "[{\"a\":10}]"] {
            assert_ne!(of("[{\"a\":1}]"), of(other), "{other}");
        }
    }

    #[test]
    fn equal_requests_have_equal_fingerprints_whatever_the_order_of_their_fields() {
        let one = Fingerprint::of("transfer", &json!({ "a": 1, "b": { "x": 1, "y": 2 } }));
        assert_eq!(
            one,
            Fingerprint::of("transfer", &json!({ "b": { "y": 2, "x": 1 }, "a": 1 }))
        );
        assert_ne!(
            one,
            Fingerprint::of("deposit", &json!({ "a": 1, "b": { "x": 1, "y": 2 } }))
        );
        assert_ne!(
            one,
            Fingerprint::of("transfer", &json!({ "a": 2, "b": { "x": 1, "y": 2 } }))
        );
    }
}
