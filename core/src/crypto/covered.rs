//! Checks whether the configured wrapping keys are those that wrap the stored data keys.

use super::{CryptoError, Fingerprint, KeyOwner, Vault};

/// How many of the stored data keys the configured wrapping keys can unwrap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Covered {
    /// Every data key can be unwrapped.
    Wholly,
    /// Data keys under these keys cannot be unwrapped: a retired key was removed before its rotation was complete.
    Partly(Vec<Fingerprint>),
    /// Nothing can be sealed or opened: the key of the system's own data key, or every key in use (the first is named), is not configured.
    Not(Fingerprint),
}

impl Vault {
    /// Compares the configured wrapping keys with those that the store names.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn covered(&self) -> Result<Covered, CryptoError> {
        if let Some(system) = self.store.load(KeyOwner::System.uuid()).await?
            && !self.wrapping.has(&system.wrapping_key)
        {
            return Ok(Covered::Not(system.wrapping_key));
        }
        let used = self.store.wrapping_keys().await?;
        let missing: Vec<Fingerprint> = used
            .iter()
            .filter(|key| !self.wrapping.has(key))
            .cloned()
            .collect();
        Ok(match missing.as_slice() {
            [] => Covered::Wholly,
            [first, ..] if missing.len() == used.len() => Covered::Not(first.clone()),
            _ => Covered::Partly(missing),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::WrappingKeys;
    use crate::crypto::testing::{MemoryKeyStore, material, vault_over};
    use crate::ids::UserId;

    fn user(number: u128) -> KeyOwner {
        KeyOwner::User(UserId::from_uuid(uuid::Uuid::from_u128(number)))
    }

    async fn seal(vault: &Vault, owner: KeyOwner) {
        let place = crate::crypto::Place {
            table: "t",
            column: "c",
            row: "r".to_owned(),
            owner,
        };
        vault.seal_bytes(&place, b"x").await.unwrap();
    }

    #[tokio::test]
    async fn the_keys_of_the_store_decide_which_configured_keys_will_do() {
        let store = Arc::<MemoryKeyStore>::default();
        let vault = |current, previous: &[u8]| {
            let previous = previous.iter().map(|number| material(*number)).collect();
            vault_over(&store, WrappingKeys::new(material(current), previous)).0
        };
        let (one, two) = (vault(1, &[]), vault(2, &[]));
        let name = |vault: &Vault| vault.wrapping.current().clone();
        assert_eq!(
            two.covered().await.unwrap(),
            Covered::Wholly,
            "there is nothing yet"
        );

        seal(&one, user(1)).await;
        assert_eq!(one.covered().await.unwrap(), Covered::Wholly);
        assert_eq!(
            two.covered().await.unwrap(),
            Covered::Not(name(&one)),
            "nor a system key"
        );
        seal(&one, KeyOwner::System).await;
        assert_eq!(two.covered().await.unwrap(), Covered::Not(name(&one)));
        let both = vault(2, &[1]);
        assert_eq!(
            both.covered().await.unwrap(),
            Covered::Wholly,
            "retired keys unwrap"
        );

        // The new key is the current one, and both were in use when the old one was removed.
        seal(&both, user(2)).await;
        assert_eq!(
            two.covered().await.unwrap(),
            Covered::Not(name(&one)),
            "the system's own is left"
        );
        assert_eq!(one.covered().await.unwrap(), Covered::Partly(vec![name(&two)]));
        assert!(both.rewrap_all(|_| {}).await.unwrap().is_complete());
        assert_eq!(two.covered().await.unwrap(), Covered::Wholly);
        assert_eq!(one.covered().await.unwrap(), Covered::Not(name(&two)));

        // A destroyed data key needs no wrapping key.
        seal(&vault(3, &[2]), user(3)).await;
        assert_eq!(
            two.covered().await.unwrap(),
            Covered::Partly(vec![name(&vault(3, &[]))])
        );
        two.destroy_key(user(3)).await.unwrap();
        assert_eq!(two.covered().await.unwrap(), Covered::Wholly);
    }
}
