//! The wrapping keys, which come from the environment and encrypt nothing but data keys.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::data_key::DataKey;
use super::place::join;
use super::{CryptoError, KeyMaterial, StoredKey, UnreadableKind, WrappedKey};

/// The length of XChaCha20-Poly1305's nonce in bytes, enough for random nonces whatever the number of keys.
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const VERSION: &str = "v1";

/// Identifies a wrapping key without revealing it: the first eight bytes of a SHA-256, as 16 hex digits. It is stored with every
/// wrapped key, so that a rotation finds the keys that it still has to re-wrap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    fn of(material: &KeyMaterial) -> Self {
        let digest = Sha256::digest(join(&[b"wallet wrapping key", b"v1", material.bytes()]));
        Self(hex::encode(digest.iter().take(8).copied().collect::<Vec<u8>>()))
    }

    /// Takes the text of `user_keys.wrapping_key`.
    #[must_use]
    pub fn from_column(text: String) -> Self {
        Self(text)
    }

    /// Returns the 16 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct WrappingKey {
    fingerprint: Fingerprint,
    material: KeyMaterial,
}

impl WrappingKey {
    fn new(material: KeyMaterial) -> Self {
        Self {
            fingerprint: Fingerprint::of(&material),
            material,
        }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.material.bytes().into())
    }
}

/// The current wrapping key and the retired ones, which only unwrap. Cheap to clone; prints as fingerprints.
#[derive(Clone)]
pub struct WrappingKeys {
    current: Arc<WrappingKey>,
    previous: Arc<[WrappingKey]>,
}

impl WrappingKeys {
    /// Returns keys that wrap with `current`, and unwrap with it and with `previous`.
    #[must_use]
    pub fn new(current: KeyMaterial, previous: Vec<KeyMaterial>) -> Self {
        Self {
            current: Arc::new(WrappingKey::new(current)),
            previous: previous.into_iter().map(WrappingKey::new).collect(),
        }
    }

    /// Returns the fingerprint of the key that wraps new data keys.
    #[must_use]
    pub fn current(&self) -> &Fingerprint {
        &self.current.fingerprint
    }

    /// Returns whether data keys under this wrapping key can be unwrapped.
    pub(super) fn has(&self, fingerprint: &Fingerprint) -> bool {
        self.all().any(|key| key.fingerprint == *fingerprint)
    }

    fn all(&self) -> impl Iterator<Item = &WrappingKey> {
        std::iter::once(&*self.current).chain(self.previous.iter())
    }

    pub(super) fn wrap(&self, owner: Uuid, key: &DataKey) -> Result<WrappedKey, CryptoError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(CryptoError::Randomness)?;
        let mut body = Vec::with_capacity(key.bytes().len() + TAG_BYTES);
        body.extend_from_slice(key.bytes());
        let place = associated_data(owner, key.id());
        self.current
            .cipher()
            .encrypt_in_place(&nonce.into(), &place, &mut body)
            .map_err(|_| CryptoError::TooLong)?;
        let body = URL_SAFE_NO_PAD.encode([nonce.as_slice(), &body].concat());
        Ok(WrappedKey::from_column(format!("{VERSION}.{body}")))
    }

    pub(super) fn unwrap_key(&self, stored: &StoredKey) -> Result<DataKey, CryptoError> {
        let wrapped = stored.wrapped.as_ref().ok_or(CryptoError::Destroyed)?;
        let key = self
            .all()
            .find(|key| key.fingerprint == stored.wrapping_key)
            .ok_or_else(|| CryptoError::WrappingKeyMissing(stored.wrapping_key.clone()))?;
        let damaged = || CryptoError::Unreadable(UnreadableKind::DataKey);
        let (version, body) = wrapped.as_str().split_once('.').ok_or_else(damaged)?;
        if version != VERSION {
            return Err(damaged());
        }
        let mut body = URL_SAFE_NO_PAD.decode(body).map_err(|_| damaged())?;
        let nonce = *body.first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
        body.drain(..NONCE_BYTES);
        let mut body = Zeroizing::new(body);
        let place = associated_data(stored.owner, stored.key_id);
        key.cipher()
            .decrypt_in_place(&nonce.into(), &place, &mut *body)
            .map_err(|_| damaged())?;
        DataKey::from_unwrapped(stored.key_id, &body)
    }
}

impl fmt::Debug for WrappingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappingKeys")
            .field("current", &self.current.fingerprint)
            .field(
                "previous",
                &self
                    .previous
                    .iter()
                    .map(|key| &key.fingerprint)
                    .collect::<Vec<_>>(),
            )
            .finish()
    }
}

/// Returns the associated data that binds a wrapped key to its owner and its id.
fn associated_data(owner: Uuid, key_id: Uuid) -> Vec<u8> {
    join(&[b"wallet data key", b"v1", owner.as_bytes(), key_id.as_bytes()])
}
