//! Opaque positions in a wallet's history.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use wallet_core::ids::TransactionId;

/// The first byte of every cursor, by which another format could be distinguished.
const VERSION: u8 = 1;

/// A position: directly after this transaction. It stays valid however many newer ones are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor(pub(super) TransactionId);

impl Cursor {
    /// Returns the text that clients receive, and send back unchanged.
    pub(super) fn encode(self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(self.0.uuid().as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text that [`Cursor::encode`] has written.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (version, id) = bytes.split_first()?;
        let id = Uuid::from_slice(id).ok()?;
        (*version == VERSION).then_some(Self(TransactionId::from_uuid(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_round_trip() {
        let cursor = Cursor(TransactionId::from_uuid(Uuid::from_u128(
            0x018f_2f5e_7b3c_7000_8000_0000_0000_0001,
        )));
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
    }

    #[test]
    fn other_texts_are_no_cursors() {
        let good = Cursor(TransactionId::from_uuid(Uuid::from_u128(7))).encode();
        let id = "018f2f5e-7b3c-7000-8000-000000000001";
        for wrong in [
            "",
            "x",
            id,
            "AQ",
            &good.replacen('A', "B", 1),
            &format!("{good}="),
            &format!("{good}AA"),
            "a b",
        ] {
            assert_eq!(Cursor::decode(wrong), None, "{wrong:?}");
        }
    }
}
