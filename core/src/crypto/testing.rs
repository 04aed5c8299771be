//! A key store in memory and sample keys, for unit tests of this crate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Fingerprint, KeyMaterial, KeyStore, KeyStoreError, Rewrapping, StoredKey, Vault, WrappingKeys};
use crate::clock::MovableClock;
use crate::ids::SystemIds;

/// A map of data keys that follows the rules of the table.
#[derive(Debug, Default)]
pub(crate) struct MemoryKeyStore {
    pub(crate) rows: Mutex<BTreeMap<Uuid, StoredKey>>,
}

#[async_trait]
impl KeyStore for MemoryKeyStore {
    async fn load(&self, owner: Uuid) -> Result<Option<StoredKey>, KeyStoreError> {
        tokio::task::yield_now().await;
        Ok(self.rows.lock().unwrap().get(&owner).cloned())
    }

    async fn insert_if_absent(&self, key: StoredKey) -> Result<StoredKey, KeyStoreError> {
        Ok(self.rows.lock().unwrap().entry(key.owner).or_insert(key).clone())
    }

    async fn wrapping_keys(&self) -> Result<Vec<Fingerprint>, KeyStoreError> {
        let rows = self.rows.lock().unwrap();
        let alive = rows.values().filter(|row| row.wrapped.is_some());
        let used: BTreeSet<Fingerprint> = alive.map(|row| row.wrapping_key.clone()).collect();
        Ok(used.into_iter().collect())
    }

    async fn wrapped_otherwise(
        &self,
        current: &Fingerprint,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<StoredKey>, KeyStoreError> {
        let rows = self.rows.lock().unwrap();
        let stale = rows
            .values()
            .filter(|row| row.wrapping_key != *current && row.wrapped.is_some());
        let limit = usize::try_from(limit).unwrap();
        Ok(stale
            .filter(|row| after.is_none_or(|after| row.owner > after))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn replace_wrappings(
        &self,
        current: &Fingerprint,
        keys: &[Rewrapping],
        _now: DateTime<Utc>,
    ) -> Result<usize, KeyStoreError> {
        let mut rows = self.rows.lock().unwrap();
        let mut changed = 0;
        for key in keys {
            let row = rows.get_mut(&key.owner).unwrap();
            if row.wrapped.as_ref() == Some(&key.replaces) {
                row.wrapped = Some(key.wrapped.clone());
                row.wrapping_key = current.clone();
                changed += 1;
            }
        }
        Ok(changed)
    }

    async fn destroy(&self, owner: Uuid, _now: DateTime<Utc>) -> Result<bool, KeyStoreError> {
        let mut rows = self.rows.lock().unwrap();
        Ok(rows.get_mut(&owner).and_then(|row| row.wrapped.take()).is_some())
    }
}

/// Returns a valid wrapping key, a different one for each number.
pub(crate) fn material(number: u8) -> KeyMaterial {
    let mut bytes = Zeroizing::new(*b"Zk7\x01\xffq9!mW\x80e2p\x10\xa7Lr4~vN6c\x90Ys1^gT\xee");
    bytes[0] = number;
    KeyMaterial::from_bytes(bytes).unwrap()
}

/// Returns a vault over `store`, and the vault's own clock.
pub(crate) fn vault_over(store: &Arc<MemoryKeyStore>, keys: WrappingKeys) -> (Vault, Arc<MovableClock>) {
    let clock = Arc::new(MovableClock::default());
    let ids = Arc::new(SystemIds::new(clock.clone()));
    (Vault::new(keys, store.clone(), clock.clone(), ids), clock)
}

/// Returns a vault over an empty store.
pub(crate) fn vault() -> Vault {
    vault_over(&Arc::default(), WrappingKeys::new(material(1), Vec::new())).0
}
