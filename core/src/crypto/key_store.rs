//! The port to where wrapped data keys are kept.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Fingerprint;

/// A data key as it is stored: wrapped, and useless without the wrapping key. `v1.<base64url of nonce, ciphertext and tag>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey(String);

impl WrappedKey {
    /// The text of `user_keys.wrapped_key`.
    #[must_use]
    pub fn from_column(text: String) -> Self {
        Self(text)
    }

    /// The text for `user_keys.wrapped_key`.
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
    /// Which wrapping key wraps it.
    pub wrapping_key: Fingerprint,
    /// The wrapped key; none once destroyed.
    pub wrapped: Option<WrappedKey>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// One data key wrapped anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrapping {
    /// Whose key.
    pub owner: Uuid,
    /// The wrapping it replaces: another one found in the row is left alone.
    pub replaces: WrappedKey,
    /// The new wrapping.
    pub wrapped: WrappedKey,
}

/// The keys could not be read or written; what was asked may be tried again.
#[derive(Debug, thiserror::Error)]
#[error("the data keys cannot be reached")]
pub struct KeyStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Keeps one data key for each owner.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// The owner's key, destroyed or not.
    async fn load(&self, owner: Uuid) -> Result<Option<StoredKey>, KeyStoreError>;

    /// Stores a key unless its owner has one already, and gives the one that is there afterwards.
    async fn insert_if_absent(&self, key: StoredKey) -> Result<StoredKey, KeyStoreError>;

    /// The wrapping keys that data keys are under, each once; those of destroyed ones do not count.
    async fn wrapping_keys(&self) -> Result<Vec<Fingerprint>, KeyStoreError>;

    /// Up to `limit` keys, in the order of their owners and after `after`, that another key than `current` wraps.
    async fn wrapped_otherwise(
        &self,
        current: &Fingerprint,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<StoredKey>, KeyStoreError>;

    /// Puts new wrappings in the place of those they replace; gives how many rows changed.
    async fn replace_wrappings(
        &self,
        current: &Fingerprint,
        keys: &[Rewrapping],
        now: DateTime<Utc>,
    ) -> Result<usize, KeyStoreError>;

    /// Destroys the owner's key and keeps the row; false when there was none left to destroy.
    async fn destroy(&self, owner: Uuid, now: DateTime<Utc>) -> Result<bool, KeyStoreError>;
}
