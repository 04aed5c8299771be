//! What must hold of sealed values and of their keys, whatever the store.

mod keys;
mod values;

use secrecy::SecretString;
use uuid::Uuid;

use super::{CryptoError, KeyOwner, Place, UnreadableKind};
use crate::ids::UserId;

pub(super) fn user(number: u128) -> KeyOwner {
    KeyOwner::User(UserId::from_uuid(Uuid::from_u128(number)))
}

pub(super) fn place(row: &str, owner: KeyOwner) -> Place {
    Place::new("wallets", "encrypted_bank_details", row, owner)
}

pub(super) fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

pub(super) fn kind(error: CryptoError) -> UnreadableKind {
    match error {
        CryptoError::Unreadable(kind) => kind,
        other => panic!("not unreadable: {other}"),
    }
}
