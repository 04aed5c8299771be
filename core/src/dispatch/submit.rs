//! Dispatching jobs right after their commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{OPEN_BELOW, group_size};
use crate::db::{Db, DbError, PgConn};
use crate::failpoints::{self, Point};
use crate::ids::JobId;
use crate::jobs::{self, NewJob, QueueName};
use crate::queue::QueueTransport;

/// The maximum number of ids that wait in this process for the next round trip.
const BUFFER: usize = 4_096;

/// How often the number of tasks waiting in each queue is read.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// A job that a database transaction has queued; it is to be submitted once the transaction is committed.
#[must_use = "a job that is marked and not submitted waits until a dispatcher finds it lost"]
#[derive(Debug, Clone, Copy)]
pub struct Queued {
    /// Its queue.
    pub queue: QueueName,
    /// The job.
    pub job: JobId,
    /// Whether it is marked as dispatched; an unmarked one is left to a dispatcher.
    pub is_marked: bool,
}

/// Collects the ids of newly committed jobs and pushes them to Redis: those that arrive during one round trip go with the next.
#[derive(Debug, Clone)]
pub struct Submitter {
    ids: mpsc::Sender<(QueueName, JobId)>,
    waiting: Arc<[AtomicU64; QueueName::ALL.len()]>,
}

impl Submitter {
    /// Starts the task that pushes until `shutdown`. It still pushes what was submitted before; the handle completes after that.
    #[must_use]
    pub fn start(db: Db, transport: QueueTransport, shutdown: CancellationToken) -> (Self, JoinHandle<()>) {
        let (ids, received) = mpsc::channel(BUFFER);
        let handle = Self {
            ids,
            waiting: Arc::new(std::array::from_fn(|_| AtomicU64::new(u64::MAX))),
        };
        let watching = tokio::spawn(watch(handle.clone(), transport.clone(), shutdown.clone()));
        let pushing = push_all(handle.clone(), db, transport, received, shutdown);
        let task = tokio::spawn(async move {
            pushing.await;
            // Only the pushing matters on shutdown: a Redis that hangs is not waited for twice.
            watching.abort();
        });
        (handle, task)
    }

    /// Queues a job in the caller's transaction. Returns `None` if a job with the same unique key is already queued.
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

    /// Whether a job of this queue may be marked as dispatched: Redis answers, and its window and our buffer have room.
    fn is_open(&self, queue: QueueName) -> bool {
        self.ids.capacity() > BUFFER / 2
            && self
                .slot(queue)
                .is_some_and(|slot| slot.load(Ordering::Relaxed) < OPEN_BELOW)
    }

    /// Dispatches a committed job, unless it is left to a dispatcher. Never waits: if the buffer is full, a dispatcher finds the job
    /// later.
    pub fn submit(&self, queued: Queued) {
        let Queued {
            queue,
            job,
            is_marked,
        } = queued;
        if is_marked && self.ids.try_send((queue, job)).is_err() {
            tracing::warn!(%queue, %job, "dispatch buffer is full; a dispatcher will find the job");
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

/// Keeps track of how full the windows are; a window counts as full while Redis does not answer.
async fn watch(handle: Submitter, transport: QueueTransport, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        for &queue in QueueName::ALL {
            handle.note(queue, transport.waiting(queue).await.unwrap_or(u64::MAX));
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(CHECK_EVERY) => {}
        }
    }
}

async fn push_all(
    handle: Submitter,
    db: Db,
    transport: QueueTransport,
    mut received: mpsc::Receiver<(QueueName, JobId)>,
    shutdown: CancellationToken,
) {
    let mut batch = Vec::new();
    loop {
        batch.clear();
        let count = tokio::select! {
            count = received.recv_many(&mut batch, 512) => count,
            () = shutdown.cancelled() => {
                // What was submitted before the shutdown is still dispatched.
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
            push(&handle, &db, &transport, queue, &jobs).await;
        }
    }
}

async fn push(handle: &Submitter, db: &Db, transport: &QueueTransport, queue: QueueName, jobs: &[JobId]) {
    failpoints::reach(Point::DispatchMarked).await;
    let groups: Vec<Vec<JobId>> = jobs.chunks(group_size(queue)).map(<[JobId]>::to_vec).collect();
    let Err(error) = transport.push(queue, groups).await else {
        failpoints::reach(Point::DispatchPushed).await;
        return;
    };
    tracing::warn!(%queue, jobs = jobs.len(), %error, "Redis did not take jobs; a dispatcher will hand them over");
    handle.note(queue, u64::MAX);
    if let Err(error) = jobs::forget_dispatch(db, jobs).await {
        // A dispatcher finds the jobs again by their age.
        tracing::warn!(%queue, %error, "could not take back the dispatch");
    }
}
