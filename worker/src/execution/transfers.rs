//! Executes transfers in batches: all that are ready share one database transaction, so that hundreds of transfers take one commit.
//!
//! Nothing waits for more transfers: while one batch is being written, the next one gathers. A single transfer is a batch of one. A
//! transfer is deferred if another worker has locked one of its wallets, or another database transaction has locked one of its rows.
//! It joins this worker's next batches, which come every few milliseconds, and so is tried as often as a new transfer: none starves.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use rand::Rng;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use wallet_core::error_chain::chain;
use wallet_core::flows::Command;
use wallet_core::ids::JobId;
use wallet_core::jobs::{self, ClaimedJob, JobKind, Reschedule, WaitsFor};
use wallet_core::settle::{Outcome, Step};

use super::lease::{Kept, Leases};
use super::{claim, outcome};
use crate::job_error::JobError;
use crate::lock_waits::OVERDUE;
use crate::log_span;
use crate::metrics::count_job;
use crate::worker::Worker;

/// The maximum number of transfers in one database transaction.
const MOST: usize = 500;
/// The maximum number of transfers of busy wallets that are kept for the next batch, the oldest first; the others are released.
const MOST_WAITING: usize = 64;
/// The longest that such a transfer is kept.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The milliseconds after which kept transfers are tried again if no new batch comes first: about as long as another worker's batch.
const BETWEEN_TRIES: RangeInclusive<u64> = 10..=40;

type Group = (Vec<JobId>, oneshot::Sender<()>);

/// The handle through which the handlers of the transfer queue submit their groups.
#[derive(Clone)]
pub(crate) struct Batcher {
    groups: mpsc::Sender<Group>,
}

/// A transfer whose wallets another worker has locked, or of which another database transaction has locked a row.
struct Waiting {
    job: ClaimedJob,
    since: Instant,
    _kept: Kept,
}

impl Batcher {
    /// Starts the task that executes batches. After `shutdown`, nothing waits for busy wallets; the task ends
    /// when `drained` or when every handle is dropped.
    pub(crate) fn start(
        worker: Arc<Worker>,
        leases: Leases,
        shutdown: CancellationToken,
        drained: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (groups, received) = mpsc::channel(1_024);
        let gathering = tokio::spawn(gather((worker, leases), received, shutdown, drained));
        (Self { groups }, gathering)
    }

    /// Executes a group and returns when its batch has ended.
    pub(crate) async fn execute(&self, ids: Vec<JobId>) {
        let (done, ended) = oneshot::channel();
        if self.groups.send((ids, done)).await.is_ok() {
            // An error means that the batch panicked: its leases run out, and other workers take its jobs over.
            let _ = ended.await;
        }
    }
}

async fn gather(
    (worker, leases): (Arc<Worker>, Leases),
    mut received: mpsc::Receiver<Group>,
    shutdown: CancellationToken,
    drained: CancellationToken,
) {
    let mut groups: Vec<Group> = Vec::new();
    let mut waiting: Vec<Waiting> = Vec::new();
    loop {
        tokio::select! {
            biased;
            count = received.recv_many(&mut groups, 64) => if count == 0 { break },
            () = drained.cancelled(), if !received.is_closed() => received.close(),
            () = tokio::time::sleep(between_tries()), if !waiting.is_empty() => {}
        }
        let mut ids: Vec<JobId> = groups.iter().flat_map(|(ids, _)| ids.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut portions: Vec<Vec<JobId>> = ids.chunks(MOST).map(<[JobId]>::to_vec).collect();
        if portions.is_empty() && !waiting.is_empty() {
            portions.push(Vec::new());
        }
        for portion in portions {
            // Each batch is a task of its own, so that a panic ends the batch and not this loop.
            let (worker, leases, shutdown) = (Arc::clone(&worker), leases.clone(), shutdown.clone());
            let waited = std::mem::take(&mut waiting);
            let running = tokio::spawn(async move {
                tokio::time::timeout(
                    worker.job_timeout,
                    run((&worker, &leases), &portion, waited, &shutdown),
                )
                .await
            });
            match running.await {
                Ok(Ok(busy)) => waiting = busy,
                Ok(Err(_)) => {
                    tracing::error!("a batch of transfers took too long; its leases will run out");
                }
                Err(error) => {
                    tracing::error!(%error, "a batch of transfers ended badly; its leases will run out");
                }
            }
        }
        for (_, done) in groups.drain(..) {
            // The receiver is gone if the consumer was restarted in the meantime.
            let _ = done.send(());
        }
    }
    release(&worker, &waiting).await;
}

fn between_tries() -> Duration {
    Duration::from_millis(rand::rng().random_range(BETWEEN_TRIES))
}

/// Executes what is possible of these jobs and of those that waited; returns those that still wait.
async fn run(
    (worker, leases): (&Worker, &Leases),
    ids: &[JobId],
    waited: Vec<Waiting>,
    shutdown: &CancellationToken,
) -> Vec<Waiting> {
    let claimed = if ids.is_empty() {
        Vec::new()
    } else {
        claim::claim(worker, ids).await
    };
    let (transfers, others): (Vec<_>, Vec<_>) = claimed
        .into_iter()
        .partition(|job| job.kind == Some(JobKind::Transfer));
    for job in &others {
        let error = JobError::Park("a job of another kind in the queue of transfers".to_owned());
        outcome::end(worker, job, &error)
            .instrument(log_span::of(job))
            .await;
    }
    let since = Instant::now();
    let mut batch = waited;
    batch.extend(transfers.into_iter().map(|job| Waiting {
        _kept: leases.keep(vec![job.claim]),
        job,
        since,
    }));
    if batch.is_empty() {
        return batch;
    }
    let wallets: Vec<_> = batch
        .iter()
        .flat_map(|waiting| waiting.job.wallets.iter().copied())
        .collect();
    let guard = worker.locks.try_lock_each(&wallets).await;
    worker.note_locks(guard.busy().iter().copied(), guard.held().iter().copied());
    let (free, mut busy): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .partition(|waiting| waiting.job.wallets.iter().all(|wallet| guard.allows(*wallet)));
    let (suspects, others): (Vec<_>, Vec<_>) =
        (free.iter().map(|waiting| &waiting.job)).partition(|job| job.starts > 1);
    let mut held = settle(worker, &others).await;
    // One of these may have ended the last worker: each is settled alone, after all others.
    for suspect in suspects {
        held.extend(settle(worker, &[suspect]).await);
    }
    guard.release().await;
    busy.extend(
        free.into_iter()
            .filter(|waiting| held.contains(&waiting.job.claim.job)),
    );
    busy.sort_by_key(|waiting| waiting.job.created_at);
    let stopping = shutdown.is_cancelled();
    let mut place = 0;
    let (kept, returned) = busy.into_iter().partition::<Vec<_>, _>(|waiting| {
        place += 1;
        !stopping && place <= MOST_WAITING && waiting.since.elapsed() < LONGEST_WAIT
    });
    release(worker, &returned).await;
    kept
}

/// Settles a batch; if it fails as a whole, settles each transfer by itself, so that one cannot hold up the
/// others. Returns the jobs of which another database transaction has locked a row: they were not settled.
async fn settle(worker: &Worker, jobs: &[&ClaimedJob]) -> HashSet<JobId> {
    let steps: Vec<Step> = jobs.iter().filter_map(|job| step(job)).collect();
    let mut held = HashSet::new();
    if steps.is_empty() {
        return held;
    }
    let error = match settle_once(worker, jobs, &steps, &mut held).await {
        Ok(()) => return held,
        Err(error) => error,
    };
    // An unreachable server would fail each of them in the same way; a locked row concerns only one.
    let is_of_all = matches!(&error, JobError::Db(error) if error.is_transient() && !error.is_lock_timeout());
    if jobs.len() == 1 || is_of_all {
        for job in jobs {
            outcome::end(worker, job, &error)
                .instrument(log_span::of(job))
                .await;
        }
        return held;
    }
    tracing::warn!(transfers = jobs.len(), error = %chain(&error), "a batch failed, settling one by one");
    for job in jobs {
        let Some(step) = step(job) else { continue };
        if let Err(error) = settle_once(worker, &[*job], &[step], &mut held).await {
            outcome::end(worker, job, &error)
                .instrument(log_span::of(job))
                .await;
        }
    }
    held
}

async fn settle_once(
    worker: &Worker,
    jobs: &[&ClaimedJob],
    steps: &[Step],
    held: &mut HashSet<JobId>,
) -> Result<(), JobError> {
    let settled = worker.settle_what_is_free(steps).await?;
    for (step, outcome) in steps.iter().zip(&settled.outcomes) {
        if *outcome == Outcome::Held {
            held.insert(step.claim.job);
        }
    }
    for job in jobs.iter().filter(|job| !held.contains(&job.claim.job)) {
        count_job(job.kind, "done");
        tracing::debug!(parent: &log_span::of(job), "done");
    }
    Ok(())
}

fn step(job: &ClaimedJob) -> Option<Step> {
    let transaction = job.transaction?;
    Some(Step::new(
        job.claim,
        transaction,
        job.wallets.clone(),
        Command::Execute,
    ))
}

/// A transfer that waits for its wallet longer than this gets a line in its timeline.
const LONG_WAIT: TimeDelta = TimeDelta::seconds(10);

/// The window for that line: a waiting transfer is released every second, and after this no line is attempted.
const REPORTED_WITHIN: TimeDelta = TimeDelta::seconds(3);

/// Releases the transfers of wallets that others have locked. A fresh one is due again soon, since another
/// batch takes milliseconds; one that has waited long is due again within a second.
async fn release(worker: &Worker, busy: &[Waiting]) {
    if busy.is_empty() {
        return;
    }
    // Each reason is written with its own jobs: what a job remembers must be what its owner reads.
    let is_reported = |waiting: &&Waiting| {
        waiting
            .job
            .wallets
            .iter()
            .any(|wallet| worker.waits.is_reported(*wallet))
    };
    let (told, others): (Vec<&Waiting>, Vec<&Waiting>) = busy.iter().partition(is_reported);
    release_waiting_for(worker, &others, (WaitsFor::Lock, "waiting for the wallet's lock")).await;
    release_waiting_for(worker, &told, (WaitsFor::LockOverdue, OVERDUE)).await;
    for Waiting { job, .. } in told {
        outcome::report_waiting(worker, job, WaitsFor::LockOverdue, OVERDUE).await;
    }
}

async fn release_waiting_for(worker: &Worker, busy: &[&Waiting], (waits_for, reason): (WaitsFor, &str)) {
    if busy.is_empty() {
        return;
    }
    let now = worker.clock.now();
    let released: Vec<Reschedule> = busy
        .iter()
        .map(|Waiting { job, .. }| {
            let waited = now.signed_duration_since(job.created_at).num_milliseconds();
            let ceiling = (waited / 4).clamp(30, 1_000);
            let delay = TimeDelta::milliseconds(rand::rng().random_range(ceiling / 3..=ceiling));
            Reschedule {
                claim: job.claim,
                run_at: now + delay,
            }
        })
        .collect();
    match jobs::release(&worker.db, &released, waits_for, reason).await {
        Ok(_) => {
            for Waiting { job, .. } in busy {
                count_job(job.kind, "handed_back");
            }
            wake_later(worker);
            for Waiting { job, .. } in busy {
                let waited = now - job.created_at;
                if waited > LONG_WAIT && waited < LONG_WAIT + REPORTED_WITHIN {
                    outcome::report_waiting(worker, job, WaitsFor::Lock, "waiting for the wallet's lock")
                        .await;
                }
            }
        }
        Err(error) => {
            tracing::warn!(error = %chain(&error), "transfers could not be given back");
        }
    }
}

/// Makes the dispatcher read the table when the first of them is due, not only at the next poll.
fn wake_later(worker: &Worker) {
    let dispatcher = worker.dispatcher.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(35)).await;
        dispatcher.wake();
    });
}
