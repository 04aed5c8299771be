//! Reads watched rows: once for all who watch a row, and all rows in few statements.
//!
//! A watcher waits until its row is read the next time. Rows are read by one loop for each kind of row, with one connection, so that
//! watching uses the same share of the database however many people do it. A row is read when somebody begins to watch it, when a
//! change of it was announced, and at intervals in case an announcement was lost. Each watcher decides for itself who may see what was
//! found.

mod rows;
mod schedule;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wallet_core::db::{Db, DbError};
use wallet_core::feed::Watchlist;

pub(crate) use self::rows::{SeenTransaction, SeenWallet, Watchable};
use self::schedule::{AGAIN_AFTER, Schedule};

/// The maximum number of rows per read.
const MOST_AT_ONCE: usize = 500;

/// The result of a read: the row if there is one, or why it could not be read.
type Found<R> = Result<Option<Arc<R>>, Arc<DbError>>;

/// What the watchers of a row receive.
struct Told<R> {
    /// The sequence number of the read.
    read: u64,
    found: Found<R>,
}

impl<R> Clone for Told<R> {
    fn clone(&self) -> Self {
        Self {
            read: self.read,
            found: self.found.clone(),
        }
    }
}

/// The watched rows of one kind.
pub(crate) struct RowWatcher<R> {
    schedule: Mutex<Schedule<R>>,
    changes: Watchlist,
    joined: Notify,
}

impl<R: Watchable> RowWatcher<R> {
    /// Starts without watchers; `poll` is the longest time without a read of a watched row.
    pub(crate) fn new(changes: Watchlist, poll: Duration) -> Arc<Self> {
        Arc::new(Self {
            schedule: Mutex::new(Schedule::new(poll)),
            changes,
            joined: Notify::new(),
        })
    }

    /// Watches the row of an id from now on.
    pub(crate) fn watch(self: &Arc<Self>, id: Uuid) -> Watch<R> {
        let (told, first) = {
            // Both under one lock, since the last watcher that leaves removes the row from both lists.
            let mut schedule = self.schedule();
            // Before the first read, so that no change between the two is missed.
            self.changes.add(id);
            schedule.join(id, Instant::now())
        };
        self.joined.notify_one();
        Watch {
            watcher: Arc::clone(self),
            id,
            told,
            first,
            has_seen: false,
        }
    }

    /// Reads rows, until `stopped` is cancelled.
    pub(crate) async fn run(self: Arc<Self>, db: Db, stopped: CancellationToken) {
        loop {
            let due = {
                let mut schedule = self.schedule();
                let now = Instant::now();
                for id in self.changes.take_woken() {
                    schedule.read_at(id, now);
                }
                schedule.take_due(now, MOST_AT_ONCE)
            };
            let work = async {
                match due {
                    Ok(ids) => self.read_rows(&db, ids).await,
                    Err(next) => self.rest(next).await,
                }
            };
            tokio::select! {
                () = stopped.cancelled() => return,
                () = work => {}
            }
        }
    }

    /// Waits until there may be something to read.
    async fn rest(&self, next: Option<Instant>) {
        let due = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.changes.news() => {}
            () = self.joined.notified() => {}
            () = due => {}
        }
    }

    async fn read_rows(&self, db: &Db, ids: Vec<Uuid>) {
        match R::load(db, &ids).await {
            Ok(mut found) => {
                let mut schedule = self.schedule();
                for id in ids {
                    schedule.tell(id, Ok(found.remove(&id).map(Arc::new)), Instant::now());
                }
            }
            // One row that cannot be read must not hide the others.
            Err(error) if !error.is_transient() && ids.len() > 1 => {
                for id in ids {
                    Box::pin(self.read_rows(db, vec![id])).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, rows = ids.len(), "watched rows not read, trying on");
                let (error, now) = (Arc::new(error), Instant::now());
                let mut schedule = self.schedule();
                for id in ids {
                    schedule.tell(id, Err(Arc::clone(&error)), now);
                    schedule.read_at(id, now + AGAIN_AFTER);
                }
            }
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule<R>> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One watcher of a row, until it is dropped.
pub(crate) struct Watch<R: Watchable> {
    watcher: Arc<RowWatcher<R>>,
    id: Uuid,
    told: watch::Receiver<Option<Told<R>>>,
    /// The number of the first read that began after this watch.
    first: u64,
    has_seen: bool,
}

impl<R: Watchable> Watch<R> {
    /// Returns what the next read finds, or `None` if there is no such row. A database that is unavailable for a moment does not
    /// end a watch that has seen its row.
    ///
    /// # Errors
    /// If the first read fails, or a later one with an error that is not transient.
    pub(crate) async fn next(&mut self) -> Result<Option<Arc<R>>, Arc<DbError>> {
        loop {
            if self.told.changed().await.is_err() {
                // The schedule keeps the sender as long as the row is watched.
                std::future::pending::<()>().await;
            }
            let told = self.told.borrow_and_update().clone();
            match told.filter(|told| told.read >= self.first).map(|told| told.found) {
                Some(Ok(found)) => {
                    self.has_seen = true;
                    return Ok(found);
                }
                Some(Err(error)) if !self.has_seen || !error.is_transient() => return Err(error),
                _ => {}
            }
        }
    }
}

impl<R: Watchable> Drop for Watch<R> {
    fn drop(&mut self) {
        let mut schedule = self.watcher.schedule();
        if schedule.leave(self.id) {
            self.watcher.changes.remove(self.id);
        }
    }
}
