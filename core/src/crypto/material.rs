//! The bytes of a wrapping key, as an operator configures them.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::weakness::{is_pattern, is_placeholder};

/// The length of a wrapping key in bytes.
pub(super) const KEY_BYTES: usize = 32;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// 32 bytes fit to wrap data keys: neither a placeholder nor a pattern. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct KeyMaterial(Zeroizing<[u8; KEY_BYTES]>);

/// The reason why a text or bytes cannot be a wrapping key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// A sample from a guide.
    #[error("is a placeholder, not a key")]
    Placeholder,
    /// All bytes are zero.
    #[error("is all zeros")]
    AllZero,
    /// A repeated or counted pattern.
    #[error("follows a pattern anyone would guess")]
    Pattern,
    /// In none of the three forms.
    #[error("is not 32 bytes (64 hex digits, base64, or 32 characters)")]
    WrongLength,
}

impl KeyProblem {
    /// The fix for an operator, the same for every problem.
    pub const FIX: &str = "make a new one with `openssl rand -hex 32`";
}

impl KeyMaterial {
    /// Reads 64 hex digits, base64 (standard or URL-safe, with or without padding), or exactly 32 characters.
    ///
    /// # Errors
    /// When the text is not 32 bytes in one of these forms, or is too weak to use as a key.
    pub fn parse(text: &str) -> Result<Self, KeyProblem> {
        if text.is_empty() {
            return Err(KeyProblem::Empty);
        }
        if is_placeholder(text) {
            return Err(KeyProblem::Placeholder);
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        match text.len() {
            64 => hex::decode_to_slice(text, bytes.as_mut_slice()).map_err(|_| KeyProblem::WrongLength)?,
            43 | 44 => {
                let decoded = STANDARD
                    .decode(text)
                    .or_else(|_| URL_SAFE.decode(text))
                    .map(Zeroizing::new);
                let decoded = decoded.map_err(|_| KeyProblem::WrongLength)?;
                *bytes = decoded
                    .as_slice()
                    .try_into()
                    .map_err(|_| KeyProblem::WrongLength)?;
            }
            _ => *bytes = text.as_bytes().try_into().map_err(|_| KeyProblem::WrongLength)?,
        }
        Self::from_bytes(bytes)
    }

    /// Takes the 32 bytes themselves as the key.
    ///
    /// # Errors
    /// [`KeyProblem::AllZero`] and [`KeyProblem::Pattern`].
    pub fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Result<Self, KeyProblem> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(KeyProblem::AllZero);
        }
        if is_pattern(bytes.as_slice()) {
            return Err(KeyProblem::Pattern);
        }
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl std::fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyMaterial(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "9c1185a5c5e9fc54612808977ee8f548b2258d31ddadef707ba7a2b8b7e1f0a3";

    #[test]
    fn the_three_forms_of_one_key_are_the_same_key() {
        let bytes = hex::decode(HEX).unwrap();
        let expected = KeyMaterial::parse(HEX).unwrap();
        assert_eq!(expected.bytes().as_slice(), bytes);
        let standard = STANDARD.encode(&bytes);
        let url_safe = URL_SAFE.encode(&bytes);
        for text in [
            HEX.to_uppercase().as_str(),
            &standard,
            standard.trim_end_matches('='),
            &url_safe,
        ] {
            assert_eq!(
                KeyMaterial::parse(text).unwrap().bytes(),
                expected.bytes(),
                "{text}"
            );
        }
        let raw = "kJ8#mQ2$vX5!pL9@wR4%tY7^uI1&oE3*";
        assert_eq!(
            KeyMaterial::parse(raw).unwrap().bytes().as_slice(),
            raw.as_bytes()
        );
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        let bytes = hex::decode(HEX).unwrap();
        let longer = [bytes.as_slice(), &[7]].concat();
        for text in [
            hex::encode(&bytes[..31]),
            hex::encode(&longer),
            STANDARD.encode(&bytes[..31]),
            STANDARD.encode(&longer),
            "kJ8#mQ2$vX5!pL9@wR4%tY7^uI1&oE3".to_owned(),
            "kJ8#mQ2$vX5!pL9@wR4%tY7^uI1&oE3*7".to_owned(),
            HEX.replace('9', "g"),
            "!".repeat(44),
        ] {
            assert_eq!(
                KeyMaterial::parse(&text).unwrap_err(),
                KeyProblem::WrongLength,
                "{text}"
            );
        }
        assert_eq!(KeyMaterial::parse("").unwrap_err(), KeyProblem::Empty);
    }

    #[test]
    fn samples_zeros_and_patterns_are_refused() {
        let sample = "your_32_character_encryption_key_here";
        assert_eq!(KeyMaterial::parse(sample).unwrap_err(), KeyProblem::Placeholder);
        assert_eq!(
            KeyMaterial::parse(sample.get(..32).unwrap()).unwrap_err(),
            KeyProblem::Placeholder
        );
        assert_eq!(
            KeyMaterial::parse(&"0".repeat(64)).unwrap_err(),
            KeyProblem::AllZero
        );
        assert_eq!(
            KeyMaterial::parse(&STANDARD.encode([0; 32])).unwrap_err(),
            KeyProblem::AllZero
        );
        for text in [
            "ab".repeat(32),
            "0".repeat(32),
            "0123456789abcdef".repeat(4),
            hex::encode((0..32).collect::<Vec<u8>>()),
        ] {
            assert_eq!(
                KeyMaterial::parse(&text).unwrap_err(),
                KeyProblem::Pattern,
                "{text}"
            );
        }
    }

    #[test]
    fn a_key_does_not_print() {
        assert_eq!(
            format!("{:?}", KeyMaterial::parse(HEX).unwrap()),
            "KeyMaterial(…)"
        );
    }
}
