//! The key that seals the fields of one owner.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::material::KEY_BYTES;
use super::sealed::{NONCE_BYTES, TAG_BYTES};
use super::{CryptoError, Place, Sealed, UnreadableKind};

/// An unwrapped data key: it exists in memory only, is wiped when dropped and never printed.
pub(super) struct DataKey {
    id: Uuid,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl DataKey {
    /// Generates a random key named `id`.
    pub(super) fn generate(id: Uuid) -> Result<Self, CryptoError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).map_err(CryptoError::Randomness)?;
        Ok(Self { id, bytes })
    }

    /// Takes the unwrapped bytes of the key `id`.
    pub(super) fn from_unwrapped(id: Uuid, bytes: &[u8]) -> Result<Self, CryptoError> {
        let bytes = bytes
            .try_into()
            .map_err(|_| CryptoError::Unreadable(UnreadableKind::DataKey))?;
        Ok(Self {
            id,
            bytes: Zeroizing::new(bytes),
        })
    }

    pub(super) const fn id(&self) -> Uuid {
        self.id
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    /// Seals a value for its place, with a new nonce.
    pub(super) fn seal(&self, place: &Place, value: &[u8]) -> Result<Sealed, CryptoError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(CryptoError::Randomness)?;
        // The capacity includes the tag, so that the plaintext is overwritten in place and leaves no copy behind.
        let mut body = Vec::with_capacity(value.len() + TAG_BYTES);
        body.extend_from_slice(value);
        self.cipher()
            .encrypt_in_place(&nonce.into(), &place.associated_data(self.id), &mut body)
            .map_err(|_| CryptoError::TooLong)?;
        Ok(Sealed::assemble(self.id, &[nonce.as_slice(), &body].concat()))
    }

    /// Opens the body of a sealed value (nonce, ciphertext, tag) at its place.
    pub(super) fn open(&self, place: &Place, mut body: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let rejected = || CryptoError::Unreadable(UnreadableKind::Rejected);
        let nonce = *body.first_chunk::<NONCE_BYTES>().ok_or_else(rejected)?;
        body.drain(..NONCE_BYTES);
        let mut body = Zeroizing::new(body);
        self.cipher()
            .decrypt_in_place(&nonce.into(), &place.associated_data(self.id), &mut *body)
            .map_err(|_| rejected())?;
        Ok(body)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.bytes().into())
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}
