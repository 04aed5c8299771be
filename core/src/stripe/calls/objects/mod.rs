//! Allows one call at a time for each object at Stripe, within this process.
//!
//! Stripe locks the objects that a request touches, and refuses a second request for them with 429 `lock_timeout`. Waiting here costs less
//! than being refused there. This is an optimisation, not a safeguard: other processes send calls too, and their 429s are retried.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// The objects that calls touch now or wait for.
#[derive(Default)]
pub(super) struct Objects {
    entries: Mutex<HashMap<String, Entry>>,
}

/// One object, kept as long as any call touches it or waits for it.
struct Entry {
    turn: Arc<Turn<()>>,
    users: usize,
}

impl Objects {
    /// Waits until no other call touches the object, and reserves it for this call until the returned guard is dropped. Without an
    /// object there is nothing to wait for.
    pub(super) async fn alone(self: &Arc<Self>, object: Option<String>) -> Option<Alone> {
        let object = object?;
        // Counted before the wait, so that a wait that is abandoned is uncounted as well.
        let (turn, place) = self.enter(object);
        let turn = turn.lock_owned().await;
        Some(Alone {
            _turn: turn,
            _place: place,
        })
    }

    fn enter(self: &Arc<Self>, object: String) -> (Arc<Turn<()>>, Place) {
        let mut entries = self.entries();
        let entry = entries.entry(object.clone()).or_insert_with(|| Entry {
            turn: Arc::default(),
            users: 0,
        });
        entry.users += 1;
        let place = Place {
            objects: Arc::clone(self),
            object,
        };
        (Arc::clone(&entry.turn), place)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects")
            .field("entries", &self.entries().len())
            .finish()
    }
}

/// The exclusive right to touch an object.
#[derive(Debug)]
#[must_use = "the object is everybody's again when this is dropped"]
pub(super) struct Alone {
    // Dropped in this order: the next call gets its turn first, then this call is uncounted.
    _turn: OwnedMutexGuard<()>,
    _place: Place,
}

/// The count of one call that touches an object or waits for it.
#[derive(Debug)]
struct Place {
    objects: Arc<Objects>,
    object: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut entries = self.objects.entries();
        if let Some(entry) = entries.get_mut(&self.object) {
            entry.users -= 1;
            if entry.users == 0 {
                entries.remove(&self.object);
            }
        }
    }
}

#[cfg(test)]
mod tests;
