//! Handing over jobs right after their commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{OPEN_BELOW, group_size};
use crate::chaos::{self, Point};
use crate::db::{Db, DbError, PgConn};
use crate::ids::JobId;
use crate::jobs::{self, NewJob, QueueName};
use crate::queue::Carrier;

/// Most ids waiting in this process for the next round trip.
const BUFFER: usize = 4_096;

/// How often the window of each queue is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A job that a database transaction has queued: to be submitted once that is committed.
#[must_use = "a job that is marked and not submitted waits until a dispatcher finds it lost"]
#[derive(Debug, Clone, Copy)]
pub struct Queued {
    /// Its queue.
    pub queue: QueueName,
    /// The job.
    pub job: JobId,
    /// Whether it is marked as handed over; one that is not is a dispatcher's.
    pub is_marked: bool,
}

/// Collects the ids of freshly committed jobs and pushes them to Redis, all that came during one round trip with the next.
#[derive(Debug, Clone)]
pub struct HandOver {
    ids: mpsc::Sender<(QueueName, JobId)>,
    waiting: Arc<[AtomicU64; QueueName::ALL.len()]>,
}

impl HandOver {
    /// Starts the task that pushes, until `shutdown`; then it hands over what it was given before, and the handle waits for that.
    #[must_use]
    pub fn start(db: Db, carrier: Carrier, shutdown: CancellationToken) -> (Self, JoinHandle<()>) {
        let (ids, received) = mpsc::channel(BUFFER);
        let handle = Self {
            ids,
            waiting: Arc::new(std::array::from_fn(|_| AtomicU64::new(u64::MAX))),
        };
        let watching = tokio::spawn(watch(handle.clone(), carrier.clone(), shutdown.clone()));
        let pushing = push_all(handle.clone(), db, carrier, received, shutdown);
        let task = tokio::spawn(async move {
            pushing.await;
            // Only the pushing matters at the end: a Redis that hangs is not waited for twice.
            watching.abort();
        });
        (handle, task)
    }

    /// Queues a job in the caller's transaction; `None` when one of the same unique key is queued already.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn insert(&self, conn: &mut PgConn, job: &NewJob) -> Result<Option<Queued>, DbError> {
        let queue = job.kind.queue();
        let is_marked = self.is_open(queue);
        let id = jobs::insert_marked(conn, job, is_marked).await?;
        Ok(id.map(|job| Queued {
            queue,
            job,
            is_marked,
        }))
    }

    /// Whether a job of this queue may be marked as handed over: Redis answers and its window has room.
    fn is_open(&self, queue: QueueName) -> bool {
        self.ids.capacity() > BUFFER / 2
            && self
                .slot(queue)
                .is_some_and(|slot| slot.load(Ordering::Relaxed) < OPEN_BELOW)
    }

    /// Hands over a job that was committed, unless it is left to a dispatcher. Never waits: should the buffer be full, the job is found
    /// again by a dispatcher.
    pub fn submit(&self, queued: Queued) {
        let Queued {
            queue,
            job,
            is_marked,
        } = queued;
        if is_marked && self.ids.try_send((queue, job)).is_err() {
            tracing::warn!(%queue, %job, "hand-over buffer is full; a dispatcher will find the job");
        }
    }

    fn slot(&self, queue: QueueName) -> Option<&AtomicU64> {
        QueueName::ALL
            .iter()
            .position(|one| *one == queue)
            .and_then(|index| self.waiting.get(index))
    }

    fn note(&self, queue: QueueName, waiting: u64) {
        if let Some(slot) = self.slot(queue) {
            slot.store(waiting, Ordering::Relaxed);
        }
    }
}

/// Keeps the picture of how full the windows are; closed while Redis does not answer.
async fn watch(handle: HandOver, carrier: Carrier, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        for &queue in QueueName::ALL {
            handle.note(queue, carrier.waiting(queue).await.unwrap_or(u64::MAX));
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn push_all(
    handle: HandOver,
    db: Db,
    carrier: Carrier,
    mut received: mpsc::Receiver<(QueueName, JobId)>,
    shutdown: CancellationToken,
) {
    let mut batch = Vec::new();
    loop {
        batch.clear();
        let count = tokio::select! {
            count = received.recv_many(&mut batch, 512) => count,
            () = shutdown.cancelled() => {
                // What was accepted before the end is still handed over.
                received.close();
                received.recv_many(&mut batch, BUFFER).await
            }
        };
        if count == 0 {
            return;
        }
        let mut queues: BTreeMap<QueueName, Vec<JobId>> = BTreeMap::new();
        for (queue, job) in &batch {
            queues.entry(*queue).or_default().push(*job);
        }
        for (queue, jobs) in queues {
            push(&handle, &db, &carrier, queue, &jobs).await;
        }
    }
}

async fn push(handle: &HandOver, db: &Db, carrier: &Carrier, queue: QueueName, jobs: &[JobId]) {
    chaos::reach(Point::DispatchMarked).await;
    let groups: Vec<Vec<JobId>> = jobs.chunks(group_size(queue)).map(<[JobId]>::to_vec).collect();
    let Err(error) = carrier.push(queue, groups).await else {
        chaos::reach(Point::DispatchPushed).await;
        return;
    };
    tracing::warn!(%queue, jobs = jobs.len(), %error, "Redis did not take jobs; a dispatcher will hand them over");
    handle.note(queue, u64::MAX);
    if let Err(error) = jobs::forget_hand_over(db, jobs).await {
        // Found again by their age.
        tracing::warn!(%queue, %error, "could not take back the hand-over");
    }
}
