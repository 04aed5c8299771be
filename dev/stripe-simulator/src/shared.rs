//! The data that requests, control calls and background tasks share: the state behind its lock, and signals between them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::keeping::Keeping;
use crate::listener::Outage;
use crate::resources::later;
use crate::state::State;

/// The data that requests, control calls and background tasks share.
#[derive(Debug)]
pub(crate) struct Core {
    state: Mutex<State>,
    /// The only accepted secret key, if there is one.
    pub(crate) secret_key: Option<String>,
    /// Notifies the delivery task that something may be due.
    pub(crate) wake: Notify,
    pub(crate) outage: Outage,
    pub(crate) stop: CancellationToken,
    /// The seed with which a reset seeds the generator again.
    pub(crate) seed: u64,
    keeping: Option<Keeping>,
}

impl Core {
    /// Puts a state behind the lock.
    pub(crate) fn new(
        state: State,
        secret_key: Option<String>,
        outage: Outage,
        seed: u64,
        keeping: Option<Keeping>,
    ) -> Self {
        Self {
            state: Mutex::new(state),
            secret_key,
            wake: Notify::new(),
            outage,
            stop: CancellationToken::new(),
            seed,
            keeping,
        }
    }

    /// Locks the state, after everything that is due has been done.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if later::run_due(&mut state) {
            self.note_change();
        }
        state
    }

    /// Returns the file of the state, if it is kept in one.
    pub(crate) const fn keeping(&self) -> Option<&Keeping> {
        self.keeping.as_ref()
    }

    /// Waits until everything that has changed until now is in the file, if there is one, before it is reported to any client.
    pub(crate) async fn kept(&self) {
        if let Some(keeping) = &self.keeping {
            keeping.kept().await;
        }
    }

    fn note_change(&self) {
        if let Some(keeping) = &self.keeping {
            keeping.note_change();
        }
    }

    /// Runs `work` with the state, then wakes the delivery task.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let result = {
            let mut state = self.lock();
            let result = work(&mut state);
            self.note_change();
            result
        };
        self.wake.notify_one();
        result
    }
}
