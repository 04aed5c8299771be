//! Keyed digests of what people have sent: equal for equal messages, and worthless to a reader of the rows alone.
//!
//! An unkeyed digest of an account number could be reversed by trying all account numbers. The key is derived (HKDF-SHA256, RFC 5869) from the
//! system's data key, which `ENCRYPTION_SECRET_KEY` wraps: a rotation only re-wraps that, so digests match before and after it.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::data_key::DataKey;
use super::{CryptoError, UnreadableKind};

/// The length of a digest, and of its key, in bytes.
const BYTES: usize = 32;

/// Computes the digests of one purpose.
#[derive(Clone)]
pub struct Digester {
    key: Zeroizing<[u8; BYTES]>,
}

impl Digester {
    /// Returns the digester of a purpose; each purpose has a key of its own.
    pub(super) fn derived(from: &DataKey, purpose: &str) -> Result<Self, CryptoError> {
        let mut key = Zeroizing::new([0; BYTES]);
        Hkdf::<Sha256>::new(None, from.bytes())
            .expand(purpose.as_bytes(), key.as_mut_slice())
            .map_err(|_| CryptoError::Unreadable(UnreadableKind::DataKey))?;
        Ok(Self { key })
    }

    /// Returns a digester with a sample key.
    #[cfg(test)]
    pub(crate) fn sample(byte: u8) -> Self {
        Self {
            key: Zeroizing::new([byte; BYTES]),
        }
    }

    /// Returns the HMAC-SHA256 of a message.
    #[must_use]
    pub fn digest(&self, message: &[u8]) -> Vec<u8> {
        // HMAC accepts a key of any length (RFC 2104).
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.as_slice()) else {
            return Vec::new();
        };
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    }
}

impl std::fmt::Debug for Digester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digester(…)")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn digester(purpose: &str, byte: u8) -> Digester {
        let key = DataKey::from_unwrapped(Uuid::from_u128(1), &[byte; 32]).unwrap();
        Digester::derived(&key, purpose).unwrap()
    }

    #[test]
    fn equal_messages_have_equal_digests_under_one_key_and_purpose_only() {
        let one = digester("requests", 1).digest(b"DE89370400440532013000");
        assert_eq!(one.len(), BYTES);
        assert_eq!(one, digester("requests", 1).digest(b"DE89370400440532013000"));
        for other in [
            digester("requests", 1).digest(b"DE89370400440532013001"),
            digester("requests", 2).digest(b"DE89370400440532013000"),
            digester("others", 1).digest(b"DE89370400440532013000"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn the_key_is_not_printed() {
        assert_eq!(format!("{:?}", digester("requests", 1)), "Digester(…)");
    }
}
