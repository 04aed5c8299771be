//! The interface of the store of wrapped data keys.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Fingerprint;

/// A data key as it is stored: wrapped, and useless without the wrapping key. `v1.<base64url of nonce, ciphertext and tag>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey(String);

impl WrappedKey {
    /// Takes the text of `user_keys.wrapped_key`.
    #[must_use]
    pub fn from_column(text: String) -> Self {
        Self(text)
    }

    /// Returns the text for `user_keys.wrapped_key`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A row of `user_keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The person, or the nil UUID for the system.
    pub owner: Uuid,
    /// The id that sealed values name.
    pub key_id: Uuid,
    /// The fingerprint of the key that wraps it.
    pub wrapping_key: Fingerprint,
    /// The wrapped key, or `None` once it is destroyed.
    pub wrapped: Option<WrappedKey>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A data key with its old and its new wrapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrapping {
    /// The key's owner.
    pub owner: Uuid,
    /// The wrapping to replace; a row that holds another one is left unchanged.
    pub replaces: WrappedKey,
    /// The new wrapping.
    pub wrapped: WrappedKey,
}

/// The keys could not be read or written; the operation may be tried again.
#[derive(Debug, thiserror::Error)]
#[error("the data keys cannot be reached")]
pub struct KeyStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Stores one data key for each owner.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Returns the owner's key, destroyed or not.
    async fn load(&self, owner: Uuid) -> Result<Option<StoredKey>, KeyStoreError>;

    /// Stores a key unless its owner has one already, and returns the one that is stored afterwards.
    async fn insert_if_absent(&self, key: StoredKey) -> Result<StoredKey, KeyStoreError>;

    /// Returns the fingerprints of the keys that wrap data keys, each once; destroyed data keys do not count.
    async fn wrapping_keys(&self) -> Result<Vec<Fingerprint>, KeyStoreError>;

    /// Returns up to `limit` keys that a key other than `current` wraps, ordered by owner and after `after`.
    async fn wrapped_otherwise(
        &self,
        current: &Fingerprint,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<StoredKey>, KeyStoreError>;

    /// Replaces old wrappings by new ones; returns how many rows changed.
    async fn replace_wrappings(
        &self,
        current: &Fingerprint,
        keys: &[Rewrapping],
        now: DateTime<Utc>,
    ) -> Result<usize, KeyStoreError>;

    /// Destroys the owner's key but keeps the row; returns `false` if there was no key left to destroy.
    async fn destroy(&self, owner: Uuid, now: DateTime<Utc>) -> Result<bool, KeyStoreError>;
}
