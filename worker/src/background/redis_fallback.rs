//! The Redis fallback: while the queue's Redis is away, or one queue cannot be served there, due jobs are
//! taken from the table and passed to the handlers of this process.
//!
//! This is slower than Redis by the polling interval, and as safe: a job is claimed in PostgreSQL wherever
//! its id comes from, so a job that Redis still has when it comes back is done once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::db::DbError;
use wallet_core::error_chain::chain;
use wallet_core::ids::JobId;
use wallet_core::jobs::{self, QueueName};
use wallet_core::queue::{ConsumerHealth, QueueTransport, TaskHandler};

use crate::worker::Worker;

/// The interval between two checks of Redis, and between two reads of the table while Redis is away.
const EVERY: Duration = Duration::from_millis(250);
/// The failures in a row after which Redis counts as away: a single one may be a lost connection that is made again.
const AWAY_AFTER: u32 = 2;
/// A job that was dispatched to Redis this long ago counts as lost there.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// The maximum number of transfers taken at once; they are executed in batches.
const MOST_TRANSFERS: usize = 500;

/// One queue of this worker, with the handler of its jobs.
pub(crate) struct Served {
    pub(crate) queue: QueueName,
    pub(crate) handler: TaskHandler,
    consumer: ConsumerHealth,
    slots: Arc<Semaphore>,
}

impl Served {
    pub(crate) fn new(
        queue: QueueName,
        handler: TaskHandler,
        consumer: ConsumerHealth,
        concurrency: usize,
    ) -> Self {
        Self {
            queue,
            handler,
            consumer,
            slots: Arc::new(Semaphore::new(concurrency)),
        }
    }

    /// Returns how many jobs may be taken now.
    fn room(&self) -> usize {
        match self.slots.available_permits() {
            0 => 0,
            _ if self.queue == QueueName::Transfers => MOST_TRANSFERS,
            free => free,
        }
    }

    /// Starts these jobs: concurrently as far as there are slots, transfers as one group.
    fn begin(&self, jobs: Vec<JobId>, running: &TaskTracker) {
        let group = if self.queue == QueueName::Transfers {
            jobs.len().max(1)
        } else {
            1
        };
        for ids in jobs.chunks(group).map(<[JobId]>::to_vec) {
            let (handler, slots) = (Arc::clone(&self.handler), Arc::clone(&self.slots));
            running.spawn(async move {
                if let Ok(_slot) = slots.acquire_owned().await {
                    handler(ids).await;
                }
            });
        }
    }
}

/// Works until `shutdown`, then waits for the jobs that it has started.
pub(crate) async fn run(
    worker: Arc<Worker>,
    transport: QueueTransport,
    served: Vec<Served>,
    shutdown: CancellationToken,
) {
    let running = TaskTracker::new();
    let mut failures = 0_u32;
    while !shutdown.is_cancelled() {
        let before = failures;
        failures = match transport.check_writable().await {
            Ok(()) => 0,
            Err(_) => failures.saturating_add(1),
        };
        match (before >= AWAY_AFTER, failures >= AWAY_AFTER) {
            (false, true) => tracing::warn!("the queue's Redis is away: taking jobs from the table"),
            (true, false) => tracing::info!("the queue's Redis is back"),
            _ => {}
        }
        for queue in &served {
            let is_stuck = failures >= AWAY_AFTER || queue.consumer.is_failing();
            if is_stuck && let Err(error) = take(&worker, queue, &running).await {
                tracing::warn!(queue = %queue.queue, error = %chain(&error), "jobs could not be taken from the table");
            }
        }
        for queue in &served {
            report_put_aside(&worker, queue).await;
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    running.close();
    running.wait().await;
}

/// Raises an alarm if Redis contained something that was no task: another program writes there.
async fn report_put_aside(worker: &Worker, served: &Served) {
    let what = served.consumer.take_put_aside();
    if what.is_empty() {
        return;
    }
    let message = format!(
        "put aside in Redis, work goes on from PostgreSQL; look who writes there: {}",
        what.join("; ")
    );
    let raised = async {
        let conn = &mut worker.db.conn().await?;
        alarms::raise(
            conn,
            AlarmKind::QueueGarbage,
            served.queue.as_str(),
            &message,
            worker.clock.now(),
        )
        .await
    };
    if let Err(error) = raised.await {
        tracing::error!(queue = %served.queue, message, error = %chain(&error), "an alarm could not be raised");
    }
}

async fn take(worker: &Worker, served: &Served, running: &TaskTracker) -> Result<(), DbError> {
    let room = served.room();
    if room == 0 {
        return Ok(());
    }
    jobs::dispatch_again(&worker.db, served.queue, LOST_AFTER).await?;
    let limit = i64::try_from(room).unwrap_or(i64::MAX);
    let due = jobs::take_due(&worker.db, served.queue, limit, worker.clock.now()).await?;
    if !due.is_empty() {
        served.begin(due, running);
    }
    Ok(())
}
