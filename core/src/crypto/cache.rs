//! A cache of unwrapped data keys, for a short time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::data_key::DataKey;

/// How long an unwrapped key may be used. Another process may have destroyed it in the meantime, so this bounds how long an
/// erased person's data can still be read.
const TIME_TO_LIVE: TimeDelta = TimeDelta::minutes(5);

/// The maximum number of keys in memory.
const CAPACITY: usize = 10_000;

/// A bounded cache of two generations: the young one takes new keys until it has half the capacity or is one lifetime old, then
/// becomes the old one, which is wiped. A hit needs no bookkeeping, and no key stays past two lifetimes while new keys arrive.
pub(super) struct KeyCache {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Uuid, Entry>,
    old: HashMap<Uuid, Entry>,
    young_since: Option<DateTime<Utc>>,
}

#[derive(Clone)]
struct Entry {
    key: Arc<DataKey>,
    loaded_at: DateTime<Utc>,
}

impl Entry {
    /// Returns whether the key may be used. A clock that was set back makes an entry stale rather than immortal.
    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        (TimeDelta::zero()..TIME_TO_LIVE).contains(&(now - self.loaded_at))
    }
}

impl KeyCache {
    pub(super) fn new() -> Self {
        Self {
            generations: Mutex::default(),
        }
    }

    pub(super) fn get(&self, owner: Uuid, now: DateTime<Utc>) -> Option<Arc<DataKey>> {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = generations
            .young
            .get(&owner)
            .or_else(|| generations.old.get(&owner))?;
        entry.is_fresh(now).then(|| Arc::clone(&entry.key))
    }

    pub(super) fn put(&self, owner: Uuid, key: Arc<DataKey>, now: DateTime<Utc>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let young_since = *generations.young_since.get_or_insert(now);
        if generations.young.len() >= CAPACITY / 2 || now - young_since >= TIME_TO_LIVE {
            generations.old = std::mem::take(&mut generations.young);
            generations.young_since = Some(now);
        }
        generations.young.insert(owner, Entry { key, loaded_at: now });
    }

    pub(super) fn forget(&self, owner: Uuid) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.remove(&owner);
        generations.old.remove(&owner);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let generations = self.generations.lock().unwrap();
        generations.young.len() + generations.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Arc<DataKey> {
        Arc::new(DataKey::generate(Uuid::from_u128(1)).unwrap())
    }

    #[test]
    fn keys_live_for_five_minutes_and_not_longer() {
        let cache = KeyCache::new();
        let start = DateTime::UNIX_EPOCH;
        let owner = Uuid::from_u128(1);
        cache.put(owner, key(), start);
        assert!(cache.get(owner, start + TimeDelta::seconds(299)).is_some());
        assert!(cache.get(owner, start + TimeDelta::seconds(300)).is_none());
        assert!(cache.get(owner, start - TimeDelta::seconds(1)).is_none());
        cache.forget(owner);
        assert!(cache.get(owner, start).is_none());
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_the_latest() {
        let cache = KeyCache::new();
        let now = DateTime::UNIX_EPOCH;
        for owner in 0..25_000 {
            cache.put(Uuid::from_u128(owner), key(), now);
            assert!(cache.len() <= CAPACITY);
        }
        for owner in 21_000..25_000 {
            assert!(cache.get(Uuid::from_u128(owner), now).is_some(), "{owner}");
        }
    }

    #[test]
    fn idle_keys_leave_memory_when_others_come() {
        let cache = KeyCache::new();
        for minute in 0..20 {
            cache.put(
                Uuid::from_u128(minute),
                key(),
                DateTime::UNIX_EPOCH + TimeDelta::minutes(i64::try_from(minute).unwrap()),
            );
        }
        assert!(cache.len() <= 10);
    }
}
