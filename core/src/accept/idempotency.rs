//! Idempotency keys: the same key and input return the same object; the same key with other input is refused.
//!
//! The key is a row, written in the database transaction that creates what it stands for. A refused request leaves no key, so it may
//! be repeated under the same key once the cause is fixed. The keys of different people are independent of each other.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::AcceptError;
use crate::crypto::Digester;
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
    /// Checks a client's text.
    ///
    /// # Errors
    /// If it is empty, longer than 255 characters, or contains anything but visible ASCII characters.
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

/// The purpose for which the key of the digests is derived.
pub(super) const DIGESTS: &str = "idempotency_keys.fingerprint v1";

/// The first byte of a keyed digest as it is stored. A bare SHA-256, which earlier versions stored, has 32 bytes and no such mark.
pub(crate) const KEYED: u8 = 1;

/// The length of a bare SHA-256, in bytes.
const BARE: usize = 32;

/// A keyed digest of a request; equal for equal requests.
#[derive(Debug, Clone)]
pub(super) struct Fingerprint<'a> {
    stored: Vec<u8>,
    digester: &'a Digester,
}

impl<'a> Fingerprint<'a> {
    /// Computes the digest of an operation and its input.
    pub(super) fn of(digester: &'a Digester, operation: &str, input: &impl Serialize) -> Self {
        let mut hash = Sha256::new();
        hash.update(operation.as_bytes());
        hash.update([0]);
        // Values of our own types always serialize; objects are sorted by serde_json's map.
        let mut meaning = serde_json::to_value(input).unwrap_or_default();
        spell_alike(&mut meaning);
        hash.update(serde_json::to_vec(&meaning).unwrap_or_default());
        Self {
            stored: keyed(digester, &hash.finalize()),
            digester,
        }
    }

    /// Whether a stored digest is that of an equal request; one that an earlier version stored bare is keyed before the comparison.
    fn is(&self, stored: &[u8]) -> bool {
        if stored.len() == BARE {
            keyed(self.digester, stored) == self.stored
        } else {
            stored == self.stored
        }
    }
}

/// Returns the keyed digest that is stored for a bare one.
pub(super) fn keyed(digester: &Digester, bare: &[u8]) -> Vec<u8> {
    [&[KEYED], digester.digest(bare).as_slice()].concat()
}

/// Writes equal numbers in one way: 1.0 as 1. Other differences of spelling disappear when a number is parsed.
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

/// The object that a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Wallet(WalletId),
    Transaction(TransactionId),
}

/// The result of using the key of a request.
pub(super) enum KeyUse {
    /// The key now stands for this request, or the request has no key.
    New,
    /// The key already stands for an equal request.
    Repeated(Subject),
}

/// Takes a key for a new subject, or finds the subject that it already stands for. Waits for a concurrent request that is taking the same key.
pub(super) async fn take(
    conn: &mut PgConn,
    user: UserId,
    key: Option<&IdempotencyKey>,
    fingerprint: &Fingerprint<'_>,
    subject: Subject,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<KeyUse, AcceptError> {
    let Some(key) = key else { return Ok(KeyUse::New) };
    let (wallet, transaction) = match subject {
        Subject::Wallet(id) => (Some(id.uuid()), None),
        Subject::Transaction(id) => (None, Some(id.uuid())),
    };
    let taken = diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::user_id.eq(user.uuid()),
            idempotency_keys::key.eq(key.as_str()),
            idempotency_keys::fingerprint.eq(&fingerprint.stored),
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

/// Returns the subject that a key already stands for, if any.
pub(super) async fn known(
    conn: &mut PgConn,
    user: UserId,
    key: Option<&IdempotencyKey>,
    fingerprint: &Fingerprint<'_>,
) -> Result<Option<Subject>, AcceptError> {
    let Some(key) = key else { return Ok(None) };
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
        Some((stored, _, _)) if !fingerprint.is(&stored) => Err(AcceptError::IdempotencyConflict),
        Some((_, Some(id), _)) => Ok(Some(Subject::Wallet(WalletId::from_uuid(id)))),
        Some((_, _, Some(id))) => Ok(Some(Subject::Transaction(TransactionId::from_uuid(id)))),
        Some((_, None, None)) => Err(inconsistent(key)),
    }
}

fn inconsistent(key: &IdempotencyKey) -> AcceptError {
    AcceptError::Db(DbError::inconsistent(
        "idempotency_keys",
        "transaction_id",
        key.as_str(),
    ))
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
        let digester = Digester::sample(1);
        let of = |text: &str| {
            Fingerprint::of(
                &digester,
                "transfer",
                &serde_json::from_str::<Value>(text).unwrap(),
            )
            .stored
        };
        for same in ["[{\"a\":1.0}]", "[{\"a\":1.00}]", "[{\"a\":1e0}]"] {
            assert_eq!(of("[{\"a\":1}]"), of(same), "{same}");
        }
        for other in ["[{\"a\":1.5}]", "[{\"a\":\"1\"}]", "[{\"a\":-1}]", "[{\"a\":10}]"] {
            assert_ne!(of("[{\"a\":1}]"), of(other), "{other}");
        }
    }

    #[test]
    fn equal_requests_have_equal_fingerprints_whatever_the_order_of_their_fields() {
        let digester = Digester::sample(1);
        let print =
            |operation, input: serde_json::Value| Fingerprint::of(&digester, operation, &input).stored;
        let one = print("transfer", json!({ "a": 1, "b": { "x": 1, "y": 2 } }));
        assert_eq!(one, print("transfer", json!({ "b": { "y": 2, "x": 1 }, "a": 1 })));
        assert_ne!(one, print("deposit", json!({ "a": 1, "b": { "x": 1, "y": 2 } })));
        assert_ne!(one, print("transfer", json!({ "a": 2, "b": { "x": 1, "y": 2 } })));
        let other = Digester::sample(2);
        let under_another_key =
            Fingerprint::of(&other, "transfer", &json!({ "a": 1, "b": { "x": 1, "y": 2 } }));
        assert_ne!(one, under_another_key.stored);
    }

    #[test]
    fn a_bare_digest_of_an_earlier_version_still_matches_and_only_its_own_request() {
        let digester = Digester::sample(1);
        let input = json!({ "accountNumber": "DE89370400440532013000" });
        let mut bare = Sha256::new();
        bare.update(b"createWallet\0");
        bare.update(serde_json::to_vec(&input).unwrap());
        let bare = bare.finalize().to_vec();
        let print = Fingerprint::of(&digester, "createWallet", &input);
        assert!(print.is(&bare) && print.is(&keyed(&digester, &bare)));
        assert_ne!(print.stored, bare);
        let other = Fingerprint::of(
            &digester,
            "createWallet",
            &json!({ "accountNumber": "DE89370400440532013001" }),
        );
        assert!(!other.is(&bare) && !other.is(&keyed(&digester, &bare)));
        assert!(!print.is(&[]) && !print.is(&bare[1..]));
    }
}
