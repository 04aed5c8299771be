//! Who watches what in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

/// The watched ids of one process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Hub {
    watched: Arc<Mutex<HashMap<Uuid, Watched>>>,
}

#[derive(Debug)]
struct Watched {
    wake: watch::Sender<()>,
    watchers: usize,
}

impl Hub {
    /// Watches an id from now on.
    pub(super) fn watch(&self, id: Uuid) -> Changes {
        let mut all = self.lock();
        let watched = all.entry(id).or_insert_with(|| Watched {
            wake: watch::channel(()).0,
            watchers: 0,
        });
        watched.watchers += 1;
        Changes {
            woken: watched.wake.subscribe(),
            hub: self.clone(),
            id,
        }
    }

    /// Wakes whoever watches this id.
    pub(super) fn wake(&self, id: Uuid) {
        if let Some(watched) = self.lock().get(&id) {
            watched.wake.send_replace(());
        }
    }

    /// Wakes everybody: anything may have changed.
    pub(super) fn wake_all(&self) {
        for watched in self.lock().values() {
            watched.wake.send_replace(());
        }
    }

    fn forget(&self, id: Uuid) {
        let mut all = self.lock();
        if let Some(watched) = all.get_mut(&id) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                all.remove(&id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The changes of one id, from the moment it was watched until this is dropped.
#[derive(Debug)]
pub struct Changes {
    woken: watch::Receiver<()>,
    hub: Hub,
    id: Uuid,
}

impl Changes {
    /// Returns once the row may have changed since the last return, or since it was watched; changes meanwhile count as one.
    pub async fn changed(&mut self) {
        if self.woken.changed().await.is_err() {
            // The sender lives as long as anybody watches.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.hub.forget(self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn is_woken(changes: &mut Changes) -> bool {
        changes.changed().now_or_never().is_some()
    }

    #[test]
    fn whoever_watches_an_id_is_woken_once_for_what_happened_meanwhile() {
        let hub = Hub::default();
        let [one, other] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let (mut first, mut second, mut third) = (hub.watch(one), hub.watch(one), hub.watch(other));
        assert!(!is_woken(&mut first), "nothing has changed since");
        hub.wake(one);
        hub.wake(one);
        assert!(is_woken(&mut first) && is_woken(&mut second) && !is_woken(&mut third));
        assert!(!is_woken(&mut first), "told once");
        hub.wake_all();
        assert!(is_woken(&mut first) && is_woken(&mut second) && is_woken(&mut third));
    }

    #[test]
    fn what_nobody_watches_any_more_is_forgotten() {
        let hub = Hub::default();
        let id = Uuid::from_u128(1);
        let (first, mut second) = (hub.watch(id), hub.watch(id));
        drop(first);
        hub.wake(id);
        assert!(is_woken(&mut second), "the other one still watches");
        drop(second);
        assert!(hub.lock().is_empty());
        hub.wake(id);
    }
}
