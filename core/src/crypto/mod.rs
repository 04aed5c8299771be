//! Encryption of personal data and of what is sent to and comes from Stripe: envelope encryption, bound to the value's place.
//!
//! `ENCRYPTION_SECRET_KEY` never encrypts a field. It wraps ([`WrappingKeys`], XChaCha20-Poly1305) one random data key for each
//! person, kept in `user_keys`; the fields are sealed under that data key (AES-256-GCM, random 96-bit nonce). A rotation therefore
//! re-wraps small rows while the system serves ([`Vault::rewrap_all`]), and a person is erased by destroying one key
//! ([`Vault::destroy_key`]): the ledger and the audit trail cover ciphertext and still verify.
//!
//! A sealed value is the text `v1.<key id>.<base64url of nonce, ciphertext and tag>` ([`Sealed`]). Its associated data names
//! the table, column, row and owner that it was made for ([`Place`]), so it opens nowhere else. Whatever the reason for which it
//! does not open, the error message is the same ([`CryptoError::Unreadable`]); the kind is for logs.
//!
//! Nonces and keys come from the operating system only. Randomness is not injected here, because a seeded source that
//! reached production would repeat nonces, and AES-GCM does not survive that. Random 96-bit nonces are safe for 2^32
//! values under one key (NIST SP 800-38D, section 8.3); a person stays far below that, and the system's own key is used
//! only for Stripe's event bodies and call parameters, and to derive the key of digests ([`Vault::digester`]).

mod cache;
mod covered;
mod data_key;
mod digest;
mod error;
mod key_store;
mod material;
mod place;
mod rewrap;
mod sealed;
mod store;
mod vault;
pub(crate) mod weakness;
mod wrapping;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use covered::Covered;
pub use digest::Digester;
pub use error::{CryptoError, UnreadableKind};
pub use key_store::{KeyStore, KeyStoreError, Rewrapping, StoredKey, WrappedKey};
pub use material::{KeyMaterial, KeyProblem};
pub use place::{KeyOwner, Place};
pub use rewrap::RewrapReport;
pub use sealed::{NotSealed, Sealed};
pub use store::PgKeyStore;
pub use vault::Vault;
pub use wrapping::{Fingerprint, WrappingKeys};
