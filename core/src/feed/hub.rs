//! Which ids are watched in this process.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

/// The lists of watched ids of one process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Hub {
    lists: Arc<Mutex<Vec<Arc<List>>>>,
}

#[derive(Debug, Default)]
struct List {
    ids: Mutex<Ids>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Ids {
    watched: HashSet<Uuid>,
    woken: HashSet<Uuid>,
}

impl List {
    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// Creates a list of ids, empty at first, that is notified of changes as long as the process runs.
    pub(super) fn list(&self) -> Watchlist {
        let list = Arc::<List>::default();
        self.lists().push(Arc::clone(&list));
        Watchlist(list)
    }

    /// Wakes the lists that watch this id.
    pub(super) fn wake(&self, id: Uuid) {
        for list in self.lists().iter() {
            let mut ids = list.ids();
            if ids.watched.contains(&id) {
                ids.woken.insert(id);
                list.news.notify_one();
            }
        }
    }

    /// Wakes all lists for all their ids, because anything may have changed.
    pub(super) fn wake_all(&self) {
        for list in self.lists().iter() {
            let ids = &mut *list.ids();
            ids.woken.extend(ids.watched.iter().copied());
            list.news.notify_one();
        }
    }

    fn lists(&self) -> MutexGuard<'_, Vec<Arc<List>>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ids whose changes one reader is notified of.
#[derive(Debug)]
pub struct Watchlist(Arc<List>);

impl Watchlist {
    /// Watches an id from now on. Add the id first and then read its row, so that no change is missed in between.
    pub fn add(&self, id: Uuid) {
        self.0.ids().watched.insert(id);
    }

    /// Stops watching an id.
    pub fn remove(&self, id: Uuid) {
        let mut ids = self.0.ids();
        ids.watched.remove(&id);
        ids.woken.remove(&id);
    }

    /// Takes the ids whose rows may have changed since the last call, or since they were added; several changes of one id count as
    /// one.
    pub fn take_woken(&self) -> Vec<Uuid> {
        self.0.ids().woken.drain().collect()
    }

    /// Returns once there may be something to take.
    pub async fn news(&self) {
        self.0.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn whoever_watches_an_id_hears_once_of_what_happened_meanwhile() {
        let hub = Hub::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (first, second) = (hub.list(), hub.list());
        first.add(one);
        second.add(one);
        second.add(other);
        assert!(first.take_woken().is_empty(), "nothing has changed since");
        hub.wake(one);
        hub.wake(one);
        assert!(first.news().now_or_never().is_some());
        assert_eq!((first.take_woken(), second.take_woken()), (vec![one], vec![one]));
        assert!(first.take_woken().is_empty(), "told once");
        assert!(first.news().now_or_never().is_none());
        hub.wake_all();
        assert_eq!((first.take_woken().len(), second.take_woken().len()), (1, 2));
    }

    #[test]
    fn what_nobody_watches_any_more_is_forgotten() {
        let hub = Hub::default();
        let id = Uuid::from_u128(1);
        let list = hub.list();
        list.add(id);
        hub.wake(id);
        list.remove(id);
        assert!(list.take_woken().is_empty());
        hub.wake(id);
        assert!(list.take_woken().is_empty());
    }
}
