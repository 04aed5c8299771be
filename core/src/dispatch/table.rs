//! Finding due jobs in the table and filling up the queues in Redis.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{group_size, window};
use crate::clock::SharedClock;
use crate::db::{Db, DbError};
use crate::error_chain::chain;
use crate::failpoints::{self, Point};
use crate::ids::JobId;
use crate::jobs::{self, QueueName};
use crate::queue::{QueueTransport, TransportError};

/// How often the table is checked without a wake-up.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// How often it is checked that Redis still has what was pushed to it.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// A job counts as lost if it was dispatched longer ago than this and is unclaimed, while nothing waits in Redis.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// The same while other tasks wait in Redis: the job may still be among them.
const LOST_AMONG_OTHERS_AFTER: Duration = Duration::from_secs(30);
/// The maximum number of jobs taken from the table at once.
const TAKEN_AT_ONCE: u64 = 2_000;

/// Why a round failed; the next one tries again.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("the table could not be read")]
    Db(#[from] DbError),
    #[error("Redis failed")]
    QueueTransport(#[from] TransportError),
}

/// Moves due jobs of all queues from the table to Redis. Any number of dispatchers may run at once.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    db: Db,
    transport: QueueTransport,
    clock: SharedClock,
    wake: Arc<Notify>,
}

impl Dispatcher {
    /// Creates a dispatcher; [`Dispatcher::run`] makes it work.
    #[must_use]
    pub fn new(db: Db, transport: QueueTransport, clock: SharedClock) -> Self {
        Self {
            db,
            transport,
            clock,
            wake: Arc::new(Notify::new()),
        }
    }

    /// Makes the dispatcher check the table now, because this process has just committed jobs.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Works until `shutdown`, whatever happens to PostgreSQL and Redis.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut checked: Option<Instant> = None;
        let mut failing = false;
        while !shutdown.is_cancelled() {
            let check = checked.is_none_or(|at| at.elapsed() >= CHECK_EVERY);
            if check {
                checked = Some(Instant::now());
            }
            let round = self.round(check).await;
            if let Err(error) = &round
                && !failing
            {
                tracing::warn!(error = %chain(error), "dispatching failed, trying on");
            }
            failing = round.is_err();
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(POLL_EVERY) => {}
            }
        }
    }

    /// Checks every queue once. A fault of one queue in Redis does not keep the others back; the first failure is returned.
    async fn round(&self, check: bool) -> Result<(), RoundError> {
        let mut outcome = Ok(());
        if check {
            for &queue in QueueName::ALL {
                outcome = outcome.and(self.find_lost(queue).await);
            }
        }
        for queue in jobs::queues_due(&self.db, self.clock.now()).await? {
            outcome = outcome.and(self.top_up(queue).await);
        }
        outcome
    }

    async fn top_up(&self, queue: QueueName) -> Result<(), RoundError> {
        loop {
            let waiting = self.transport.waiting(queue).await?;
            let Some(room) = window(queue).checked_sub(waiting).filter(|room| *room > 0) else {
                return Ok(());
            };
            let per_task = u64::try_from(group_size(queue)).unwrap_or(1);
            let limit = room.saturating_mul(per_task).min(TAKEN_AT_ONCE);
            let due = jobs::take_due(
                &self.db,
                queue,
                i64::try_from(limit).unwrap_or(i64::MAX),
                self.clock.now(),
            )
            .await?;
            if due.is_empty() {
                return Ok(());
            }
            failpoints::reach(Point::DispatchMarked).await;
            let groups: Vec<Vec<JobId>> = due.chunks(group_size(queue)).map(<[JobId]>::to_vec).collect();
            if let Err(error) = self.transport.push(queue, groups).await {
                jobs::forget_dispatch(&self.db, &due).await?;
                return Err(error.into());
            }
            failpoints::reach(Point::DispatchPushed).await;
            if u64::try_from(due.len()).unwrap_or(u64::MAX) < limit {
                return Ok(());
            }
        }
    }

    /// Makes due again what Redis has lost: everything if Redis was emptied, otherwise what has waited too long.
    async fn find_lost(&self, queue: QueueName) -> Result<(), RoundError> {
        let older_than = if !self.transport.mark_present(queue).await? {
            Duration::ZERO
        } else if self.transport.waiting(queue).await? == 0 {
            LOST_AFTER
        } else {
            LOST_AMONG_OTHERS_AFTER
        };
        let found = jobs::dispatch_again(&self.db, queue, older_than).await?;
        if found > 0 {
            tracing::info!(%queue, found, "dispatching again what Redis or a worker has lost");
        }
        Ok(())
    }
}
