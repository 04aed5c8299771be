//! Looking at watched rows: once for all who watch a row, and for all rows in few statements.
//!
//! Who watches a row waits for the next look at it. Looks are made by one loop for each kind of row, with one connection, so that
//! watching costs the same share of the database however many people do it. A row is looked at when somebody begins to watch it,
//! when it was announced to have changed, and now and then in case an announcement was lost. Who may see what was found is decided
//! by each watcher for itself.

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

/// Most rows of one look.
const MOST_AT_ONCE: usize = 500;

/// What a look found: the row if there is one, or why it could not be looked at.
type Found<R> = Result<Option<Arc<R>>, Arc<DbError>>;

/// What those who watch a row are told.
struct Told<R> {
    /// The how manieth look at the row it was.
    look: u64,
    found: Found<R>,
}

impl<R> Clone for Told<R> {
    fn clone(&self) -> Self {
        Self {
            look: self.look,
            found: self.found.clone(),
        }
    }
}

/// The watched rows of one kind.
pub(crate) struct Lookout<R> {
    schedule: Mutex<Schedule<R>>,
    changes: Watchlist,
    joined: Notify,
}

impl<R: Watchable> Lookout<R> {
    /// Nobody watches yet; `poll` is the longest time without a look.
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
            // Both under one lock, as the last who leaves takes the row off both lists.
            let mut schedule = self.schedule();
            // Before the first look, so that nothing is missed between the two.
            self.changes.add(id);
            schedule.join(id, Instant::now())
        };
        self.joined.notify_one();
        Watch {
            lookout: Arc::clone(self),
            id,
            told,
            first,
            has_seen: false,
        }
    }

    /// Looks, until `stopped`.
    pub(crate) async fn run(self: Arc<Self>, db: Db, stopped: CancellationToken) {
        loop {
            let due = {
                let mut schedule = self.schedule();
                let now = Instant::now();
                for id in self.changes.take_woken() {
                    schedule.look_at(id, now);
                }
                schedule.take_due(now, MOST_AT_ONCE)
            };
            let work = async {
                match due {
                    Ok(ids) => self.look(&db, ids).await,
                    Err(next) => self.rest(next).await,
                }
            };
            tokio::select! {
                () = stopped.cancelled() => return,
                () = work => {}
            }
        }
    }

    /// Waits until there may be something to look at.
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

    async fn look(&self, db: &Db, ids: Vec<Uuid>) {
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
                    Box::pin(self.look(db, vec![id])).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, rows = ids.len(), "watched rows not read, trying on");
                let (error, now) = (Arc::new(error), Instant::now());
                let mut schedule = self.schedule();
                for id in ids {
                    schedule.tell(id, Err(Arc::clone(&error)), now);
                    schedule.look_at(id, now + AGAIN_AFTER);
                }
            }
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule<R>> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who watches a row, until it is dropped.
pub(crate) struct Watch<R: Watchable> {
    lookout: Arc<Lookout<R>>,
    id: Uuid,
    told: watch::Receiver<Option<Told<R>>>,
    /// The first look that began after this watch.
    first: u64,
    has_seen: bool,
}

impl<R: Watchable> Watch<R> {
    /// What the next look finds; none when there is no such row. A database that is away for a moment does not end what somebody
    /// is watching already.
    ///
    /// # Errors
    /// When the first look fails, or the row can never be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Arc<R>>, Arc<DbError>> {
        loop {
            if self.told.changed().await.is_err() {
                // The schedule keeps the sender as long as anybody watches.
                std::future::pending::<()>().await;
            }
            let told = self.told.borrow_and_update().clone();
            match told.filter(|told| told.look >= self.first).map(|told| told.found) {
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
        let mut schedule = self.lookout.schedule();
        if schedule.leave(self.id) {
            self.lookout.changes.remove(self.id);
        }
    }
}
