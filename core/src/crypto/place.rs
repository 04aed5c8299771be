//! The place of a sealed value: the associated data that binds the value to it.

use uuid::Uuid;

use crate::ids::UserId;

/// The owner of the data key that seals a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyOwner {
    /// A person, who is erased when their key is destroyed.
    User(UserId),
    /// The system itself, for data that belongs to no person yet: Stripe's event bodies, call parameters.
    System,
}

impl KeyOwner {
    /// Returns the primary key of the owner's row in `user_keys`; the system's is the nil UUID.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::User(id) => id.uuid(),
            Self::System => Uuid::nil(),
        }
    }

    const fn kind(self) -> &'static [u8] {
        match self {
            Self::User(_) => b"user",
            Self::System => b"system",
        }
    }
}

/// The only place where a sealed value may be stored. The value opens only with an equal place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row's primary key, in its canonical spelling.
    pub row: String,
    /// The owner of the key that seals the value.
    pub owner: KeyOwner,
}

impl Place {
    /// Returns the place in `column` of `table`, in the row with the primary key `row`.
    pub fn new(table: &'static str, column: &'static str, row: impl ToString, owner: KeyOwner) -> Self {
        Self {
            table,
            column,
            row: row.to_string(),
            owner,
        }
    }

    /// Returns the associated data under `key_id`: version, table, column, row, owner and key id, each preceded by its length, so that
    /// no two places have the same encoding.
    pub(super) fn associated_data(&self, key_id: Uuid) -> Vec<u8> {
        join(&[
            b"wallet field",
            b"v1",
            self.table.as_bytes(),
            self.column.as_bytes(),
            self.row.as_bytes(),
            self.owner.kind(),
            self.owner.uuid().as_bytes(),
            key_id.as_bytes(),
        ])
    }
}

/// Joins parts unambiguously: each is preceded by its length as eight bytes.
pub(super) fn join(parts: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        // A length is below 2^64 on every machine that Rust supports.
        joined.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_places_share_their_associated_data() {
        let user = KeyOwner::User(UserId::from_uuid(Uuid::from_u128(7)));
        let nil = KeyOwner::User(UserId::from_uuid(Uuid::nil()));
        let places = [
            Place::new("wallets", "bank", "ab", user),
            Place::new("wallet", "sbank", "ab", user),
            Place::new("wallets", "banka", "b", user),
            Place::new("wallets", "bank", "ab|", user),
            Place::new("wallets", "bank", "ab", KeyOwner::System),
            Place::new("wallets", "bank", "ab", nil),
        ];
        let key = Uuid::from_u128(1);
        let mut written: Vec<_> = places.iter().map(|place| place.associated_data(key)).collect();
        written.push(Place::new("wallets", "bank", "ab", user).associated_data(Uuid::from_u128(2)));
        for (index, one) in written.iter().enumerate() {
            assert!(!written[index + 1..].contains(one), "{index}");
        }
    }
}
