//! A sealed value, as the text that is stored in a column.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// The length of AES-GCM's nonce in bytes.
pub(super) const NONCE_BYTES: usize = 12;
/// The length of AES-GCM's tag in bytes.
pub(super) const TAG_BYTES: usize = 16;

const VERSION: &str = "v1";

/// `v1.<key id>.<base64url of nonce, ciphertext and tag>`: safe to store, copy and print, readable only through the vault.
///
/// Each value has exactly one spelling: other letter cases, padding or stray bits are refused by the parser.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sealed(String);

/// The reason why a text is not a sealed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSealed {
    /// It is not three parts separated by dots.
    #[error("not a sealed value")]
    Form,
    /// The version is unknown to this program.
    #[error("sealed value of an unknown version")]
    Version,
    /// The key id is not a hyphenated lower-case UUID.
    #[error("sealed value without a key id")]
    KeyId,
    /// The body is not base64url without padding.
    #[error("sealed value with a damaged body")]
    Body,
    /// The body is shorter than a nonce and a tag.
    #[error("sealed value cut short")]
    TooShort,
}

impl Sealed {
    /// Assembles a value from its parts; `body` is nonce, ciphertext and tag.
    pub(super) fn assemble(key_id: Uuid, body: &[u8]) -> Self {
        Self(format!("{VERSION}.{key_id}.{}", URL_SAFE_NO_PAD.encode(body)))
    }

    /// Parses the text of a column.
    ///
    /// # Errors
    /// When the form is wrong. Only the vault can determine whether the value opens.
    pub fn parse(text: impl Into<String>) -> Result<Self, NotSealed> {
        let text = text.into();
        take_apart(&text)?;
        Ok(Self(text))
    }

    /// Returns the text for the column.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text for the column.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// Returns the key id and the body.
    pub(super) fn parts(&self) -> Result<(Uuid, Vec<u8>), NotSealed> {
        take_apart(&self.0)
    }
}

fn take_apart(text: &str) -> Result<(Uuid, Vec<u8>), NotSealed> {
    let (version, rest) = text.split_once('.').ok_or(NotSealed::Form)?;
    let (key_id, body) = rest.split_once('.').ok_or(NotSealed::Form)?;
    if version != VERSION {
        return Err(NotSealed::Version);
    }
    let id = Uuid::try_parse(key_id).map_err(|_| NotSealed::KeyId)?;
    if id.to_string() != key_id {
        return Err(NotSealed::KeyId);
    }
    let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| NotSealed::Body)?;
    if body.len() < NONCE_BYTES + TAG_BYTES {
        return Err(NotSealed::TooShort);
    }
    Ok((id, body))
}

impl FromStr for Sealed {
    type Err = NotSealed;

    fn from_str(text: &str) -> Result<Self, NotSealed> {
        Self::parse(text)
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} characters)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_damage_to_the_form_has_its_name() {
        let key = Uuid::from_u128(0xabcd);
        let body = [9; NONCE_BYTES + TAG_BYTES];
        let good = Sealed::assemble(key, &body);
        assert_eq!(good.as_str().parse::<Sealed>().unwrap(), good);
        assert_eq!(good.parts().unwrap(), (key, body.to_vec()));
        for (text, expected) in [
            (String::new(), NotSealed::Form),
            ("account 12345678".to_owned(), NotSealed::Form),
            ("v1.x".to_owned(), NotSealed::Form),
            (good.as_str().replacen("v1", "v2", 1), NotSealed::Version),
            (good.as_str().replacen("v1", "V1", 1), NotSealed::Version),
            (good.as_str().replace("abcd", "ABCD"), NotSealed::KeyId),
            (good.as_str().replacen('-', "", 4), NotSealed::KeyId),
            (format!("{good}="), NotSealed::Body),
            (format!("{good}."), NotSealed::Body),
            (format!("{good}\n"), NotSealed::Body),
        ] {
            assert_eq!(text.parse::<Sealed>().unwrap_err(), expected, "{text}");
        }
        for length in 0..body.len() {
            let short = Sealed::assemble(key, &body[..length]);
            assert_eq!(short.parts().unwrap_err(), NotSealed::TooShort, "{length}");
        }
    }
}
