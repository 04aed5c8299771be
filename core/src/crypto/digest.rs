//! Keyed digests of what people have sent: equal for equal messages, and worth nothing to whoever has the rows alone.
//!
//! A bare digest of an account number is found by trying all account numbers. The key is derived (HKDF-SHA256, RFC 5869) from the system's
//! data key, which `ENCRYPTION_SECRET_KEY` wraps: rotation re-wraps it, so digests go on to match under new and previous keys alike.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::data_key::DataKey;
use super::{CryptoError, UnreadableKind};

/// Bytes of a digest, and of its key.
const BYTES: usize = 32;

/// Makes digests for one purpose.
#[derive(Clone)]
pub struct Digester {
    key: Zeroizing<[u8; BYTES]>,
}

impl Digester {
    /// The digester of a purpose: others have other keys.
    pub(super) fn derived(from: &DataKey, purpose: &str) -> Result<Self, CryptoError> {
        let mut key = Zeroizing::new([0; BYTES]);
        Hkdf::<Sha256>::new(None, from.bytes())
            .expand(purpose.as_bytes(), key.as_mut_slice())
            .map_err(|_| CryptoError::Unreadable(UnreadableKind::DataKey))?;
        Ok(Self { key })
    }

    /// A digester of a test's own.
    #[cfg(test)]
    pub(crate) fn sample(byte: u8) -> Self {
        Self {
            key: Zeroizing::new([byte; BYTES]),
        }
    }

    /// HMAC-SHA256 of a message.
    #[must_use]
    pub fn digest(&self, message: &[u8]) -> Vec<u8> {
        // A key of any length is one (RFC 2104).
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
