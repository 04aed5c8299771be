//! Why a value could not be sealed or opened.

use super::{Fingerprint, KeyStoreError};

/// A failed use of the vault.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The value does not open. The text is the same for every cause, so that nobody learns from it which part of a forged
    /// value was right; the kind is for logs and tests.
    #[error("the sealed value cannot be read")]
    Unreadable(UnreadableKind),
    /// The owner's data key was destroyed: what it sealed is gone for good, and nothing new is sealed for this owner.
    #[error("the owner's data key was destroyed")]
    Destroyed,
    /// A data key is wrapped by a key this process was not given. Nothing is lost: give it the key.
    #[error("wrapping key {0} is not configured; add it to ENCRYPTION_PREVIOUS_KEYS")]
    WrappingKeyMissing(Fingerprint),
    /// A person with the nil UUID, which is reserved for the system's own key.
    #[error("the nil id cannot own a data key")]
    ReservedOwner,
    /// The value is longer than AES-GCM can seal (about 64 GiB).
    #[error("the value is too long to seal")]
    TooLong,
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Randomness(#[source] getrandom::Error),
    /// The data keys could not be read or written.
    #[error(transparent)]
    Store(#[from] KeyStoreError),
}

/// What was wrong with a value that does not open: for logs and tests, never for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadableKind {
    /// It names another key than the one its owner has.
    UnknownKey,
    /// Its owner never had a key.
    NoKey,
    /// The tag does not match: changed, or moved from another place.
    Rejected,
    /// It opened, but is not UTF-8 where text was asked for.
    NotText,
    /// The data key itself does not unwrap.
    DataKey,
}

impl CryptoError {
    /// The kind of an unreadable value, for a log field.
    #[must_use]
    pub const fn unreadable_kind(&self) -> Option<UnreadableKind> {
        match self {
            Self::Unreadable(kind) => Some(*kind),
            _ => None,
        }
    }
}
