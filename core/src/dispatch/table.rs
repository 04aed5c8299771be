//! Finding due jobs in the table and topping Redis up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{group_size, window};
use crate::chaos::{self, Point};
use crate::clock::SharedClock;
use crate::db::{Db, DbError};
use crate::error_chain::chain;
use crate::ids::JobId;
use crate::jobs::{self, QueueName};
use crate::queue::{Carrier, CarrierError};

/// How often the table is looked at without a wake-up.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// How often it is checked that Redis still has what it was given.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Nothing waits in Redis, yet a job was handed over longer ago than this and nobody has it: it is lost.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// Others wait in Redis as well: it may still be among them.
const LOST_AMONG_OTHERS_AFTER: Duration = Duration::from_secs(30);
/// Most jobs taken from the table at once.
const TAKEN_AT_ONCE: u64 = 2_000;

/// Why a round failed; the next one tries again.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("the table could not be read")]
    Db(#[from] DbError),
    #[error("Redis failed")]
    Carrier(#[from] CarrierError),
}

/// Moves due jobs of all queues from the table to Redis. Any number may run at once.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    db: Db,
    carrier: Carrier,
    clock: SharedClock,
    wake: Arc<Notify>,
}

impl Dispatcher {
    /// A dispatcher; [`Dispatcher::run`] makes it work.
    #[must_use]
    pub fn new(db: Db, carrier: Carrier, clock: SharedClock) -> Self {
        Self {
            db,
            carrier,
            clock,
            wake: Arc::new(Notify::new()),
        }
    }

    /// Has the table looked at now: this process has just committed jobs.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Works until `shutdown`, whatever becomes of PostgreSQL and Redis.
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

    /// One look at every queue. What is wrong with one of them in Redis keeps no other one back; the first failure is told.
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
            let waiting = self.carrier.waiting(queue).await?;
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
            chaos::reach(Point::DispatchMarked).await;
            let groups: Vec<Vec<JobId>> = due.chunks(group_size(queue)).map(<[JobId]>::to_vec).collect();
            if let Err(error) = self.carrier.push(queue, groups).await {
                jobs::forget_hand_over(&self.db, &due).await?;
                return Err(error.into());
            }
            chaos::reach(Point::DispatchPushed).await;
            if u64::try_from(due.len()).unwrap_or(u64::MAX) < limit {
                return Ok(());
            }
        }
    }

    /// Has handed over anew what Redis has lost: everything when it was emptied, else what has waited too long.
    async fn find_lost(&self, queue: QueueName) -> Result<(), RoundError> {
        let older_than = if !self.carrier.mark_present(queue).await? {
            Duration::ZERO
        } else if self.carrier.waiting(queue).await? == 0 {
            LOST_AFTER
        } else {
            LOST_AMONG_OTHERS_AFTER
        };
        let found = jobs::hand_over_anew(&self.db, queue, older_than).await?;
        if found > 0 {
            tracing::info!(%queue, found, "handing over anew what Redis or a worker has lost");
        }
        Ok(())
    }
}
