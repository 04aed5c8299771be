//! Transfers in batches: whatever is ready is executed in one database transaction, one commit for hundreds of transfers.
//!
//! There is no waiting for more: while one batch is being written, the next one gathers. A single transfer is a batch of one.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use rand::Rng;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use wallet_core::flows::Command;
use wallet_core::ids::JobId;
use wallet_core::jobs::{self, ClaimedJob, HandBack};
use wallet_core::settle::Step;
use wallet_core::telemetry::chain;

use crate::executor;
use crate::metrics::count_job;
use crate::outcome::{self, JobError};
use crate::worker::Worker;

/// Most transfers in one database transaction.
const MOST: usize = 500;

type Group = (Vec<JobId>, oneshot::Sender<()>);

/// Where the handlers of the transfer queue leave their groups.
#[derive(Clone)]
pub(crate) struct Batcher {
    groups: mpsc::Sender<Group>,
}

impl Batcher {
    /// Starts the task that executes batches; it ends when every handle is gone.
    pub(crate) fn start(worker: Arc<Worker>, shutdown: CancellationToken) -> Self {
        let (groups, received) = mpsc::channel(1_024);
        tokio::spawn(gather(worker, received, shutdown));
        Self { groups }
    }

    /// Executes a group and returns when its batch has ended.
    pub(crate) async fn execute(&self, ids: Vec<JobId>) {
        let (done, ended) = oneshot::channel();
        if self.groups.send((ids, done)).await.is_ok() {
            // An error means that the batch panicked: its leases run out and others take over.
            let _ = ended.await;
        }
    }
}

async fn gather(worker: Arc<Worker>, mut received: mpsc::Receiver<Group>, shutdown: CancellationToken) {
    let mut groups: Vec<Group> = Vec::new();
    while received.recv_many(&mut groups, 64).await > 0 {
        let mut ids: Vec<JobId> = groups.iter().flat_map(|(ids, _)| ids.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        for portion in ids.chunks(MOST) {
            // A task of its own, so that a panic ends this batch and not the gathering.
            let (worker, portion) = (Arc::clone(&worker), portion.to_vec());
            if let Err(error) = tokio::spawn(async move { run(&worker, &portion).await }).await {
                tracing::error!(%error, "a batch of transfers ended badly; its leases will run out");
            }
        }
        for (_, done) in groups.drain(..) {
            // Nobody waits when the consumer was restarted meanwhile.
            let _ = done.send(());
        }
        if shutdown.is_cancelled() && received.is_empty() {
            return;
        }
    }
}

async fn run(worker: &Worker, ids: &[JobId]) {
    let claimed = executor::claim(worker, ids).await;
    let (transfers, others): (Vec<_>, Vec<_>) = claimed.into_iter().partition(executor::is_batched);
    for job in &others {
        outcome::end(
            worker,
            job,
            &JobError::Park("a job of another kind in the queue of transfers".to_owned()),
        )
        .await;
    }
    if transfers.is_empty() {
        return;
    }
    let kept = worker
        .leases
        .keep(transfers.iter().map(|job| job.claim).collect());
    let mut wallets: Vec<_> = transfers
        .iter()
        .flat_map(|job| job.wallets.iter().copied())
        .collect();
    wallets.sort_unstable();
    wallets.dedup();
    let guard = worker.locks.try_lock_each(&wallets).await;
    let (free, busy): (Vec<_>, Vec<_>) = transfers
        .into_iter()
        .partition(|job| job.wallets.iter().all(|wallet| guard.allows(*wallet)));
    settle(worker, &free).await;
    guard.release().await;
    give_back(worker, &busy).await;
    drop(kept);
}

/// Settles a batch; if it fails as a whole, each transfer by itself, so that one cannot hold up the others.
async fn settle(worker: &Worker, jobs: &[ClaimedJob]) {
    let steps: Vec<Step> = jobs.iter().filter_map(step).collect();
    if steps.is_empty() {
        return;
    }
    let error = match worker.settle(&steps).await {
        Ok(_) => {
            for job in jobs {
                count_job(job.kind, "done");
            }
            return;
        }
        Err(error) => error,
    };
    if jobs.len() == 1 || matches!(&error, JobError::Db(error) if error.is_transient()) {
        for job in jobs {
            outcome::end(worker, job, &error).await;
        }
        return;
    }
    tracing::warn!(transfers = jobs.len(), error = %chain(&error), "a batch failed, settling one by one");
    for job in jobs {
        let Some(step) = step(job) else { continue };
        match worker.settle(&[step]).await {
            Ok(_) => count_job(job.kind, "done"),
            Err(error) => outcome::end(worker, job, &error).await,
        }
    }
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

/// Gives back the transfers of wallets that somebody else has locked: soon for a fresh one, since another batch is done in
/// milliseconds; up to every second for one that has waited long.
async fn give_back(worker: &Worker, busy: &[ClaimedJob]) {
    if busy.is_empty() {
        return;
    }
    let now = worker.clock.now();
    let backs: Vec<HandBack> = busy
        .iter()
        .map(|job| {
            let waited = now.signed_duration_since(job.created_at).num_milliseconds();
            let ceiling = (waited / 4).clamp(30, 1_000);
            let delay = TimeDelta::milliseconds(rand::rng().random_range(ceiling / 3..=ceiling));
            HandBack {
                claim: job.claim,
                run_at: now + delay,
            }
        })
        .collect();
    match jobs::hand_back(&worker.db, &backs, "waiting for the wallet's lock").await {
        Ok(_) => {
            for job in busy {
                count_job(job.kind, "handed_back");
            }
            wake_later(worker);
        }
        Err(error) => {
            tracing::warn!(error = %chain(&error), "transfers could not be given back");
        }
    }
}

/// Has the table looked at when the first of them is due, not only at the next poll.
fn wake_later(worker: &Worker) {
    let dispatcher = worker.dispatcher.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(35)).await;
        dispatcher.wake();
    });
}
