//! The reasons why a value could not be sealed or opened.

use super::{Fingerprint, KeyStoreError};

/// A failed operation of the vault.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The value does not open. The message is the same for every cause, so that a forger does not learn which part of a value
    /// was right; the kind is for logs and tests.
    #[error("the sealed value cannot be read")]
    Unreadable(UnreadableKind),
    /// The owner's data key was destroyed: what it sealed is gone for good, and nothing new is sealed for this owner.
    #[error("the owner's data key was destroyed")]
    Destroyed,
    /// A data key is wrapped by a key that this process does not have. Nothing is lost: configure the key.
    #[error("wrapping key {0} is not configured; add it to ENCRYPTION_PREVIOUS_KEYS")]
    WrappingKeyMissing(Fingerprint),
    /// A person has the nil UUID, which is reserved for the system's own key.
    #[error("the nil id cannot own a data key")]
    ReservedOwner,
    /// The value is longer than AES-GCM can seal (about 64 GiB).
    #[error("the value is too long to seal")]
    TooLong,
    /// The operating system did not provide randomness.
    #[error("no randomness from the operating system")]
    Randomness(#[source] getrandom::Error),
    /// The data keys could not be read or written.
    #[error(transparent)]
    Store(#[from] KeyStoreError),
}

/// The reason why a value does not open: for logs and tests, never for a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadableKind {
    /// It names a key other than its owner's.
    UnknownKey,
    /// Its owner never had a key.
    NoKey,
    /// The tag does not match: the value was changed, or moved from another place.
    Rejected,
    /// It opened, but is not UTF-8 although text was expected.
    NotText,
    /// The data key itself cannot be unwrapped.
    DataKey,
}
