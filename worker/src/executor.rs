//! From ids to jobs: claim, run, end.

use std::sync::Arc;

use chrono::TimeDelta;
use tracing::{Instrument, Span};
use wallet_core::chaos::{self, Point};
use wallet_core::ids::{JobId, TransactionId};
use wallet_core::jobs::{self, ClaimedJob, HandBack, JobKind, MAX_STARTS};
use wallet_core::telemetry::chain;

use crate::jobs as handlers;
use crate::metrics::count_job;
use crate::outcome::{self, JobError};
use crate::worker::Worker;

/// The field of every line that is about a transaction, here and in the API: by it one is followed through all programs.
const TRANSACTION: &str = "transaction_id";

/// Runs those of `ids` that are free and due, one after the other.
pub(crate) async fn execute(worker: Arc<Worker>, ids: Vec<JobId>) {
    for job in claim(&worker, &ids).await {
        run(&worker, &job).instrument(span(&job)).await;
    }
}

async fn run(worker: &Worker, job: &ClaimedJob) {
    let kept = worker.leases.keep(vec![job.claim]);
    match tokio::time::timeout(worker.job_timeout, handlers::run(worker, job)).await {
        Ok(Ok(())) => {
            count_job(job.kind, "done");
            tracing::info!(attempts = job.attempts, "done");
        }
        Ok(Err(error)) => outcome::end(worker, job, &error).await,
        Err(_) => {
            count_job(job.kind, "too_long");
            tracing::error!("the job took too long; its lease will run out");
        }
    }
    drop(kept);
}

/// What every line about a job says: its number, its kind and the transaction that it is about.
pub(crate) fn span(job: &ClaimedJob) -> Span {
    let kind = job.kind.map_or("unknown", JobKind::as_str);
    // Of the highest level, so that no filter of lines takes the ids from those that it lets through.
    let span =
        tracing::error_span!("job", job = %job.claim.job, kind, transaction_id = tracing::field::Empty);
    if let Some(transaction) = job.transaction {
        span.record(TRANSACTION, tracing::field::display(transaction));
    }
    span
}

/// Says, from here on, in every line about the job under way, which transaction it turned out to be about.
pub(crate) fn is_about(transaction: TransactionId) {
    Span::current().record(TRANSACTION, tracing::field::display(transaction));
}

/// Claims what may be run; parks what was started too often and leaves what a newer version understands.
pub(crate) async fn claim(worker: &Worker, ids: &[JobId]) -> Vec<ClaimedJob> {
    let claimed = match jobs::claim(&worker.db, ids, &worker.name, worker.clock.now()).await {
        Ok(claimed) => claimed,
        Err(error) => {
            // A dispatcher hands them over again.
            tracing::warn!(error = %chain(&error), "jobs could not be claimed");
            return Vec::new();
        }
    };
    let mut runnable = Vec::with_capacity(claimed.len());
    for job in claimed {
        if job.starts > MAX_STARTS {
            let reason = format!("started {} times without an end", job.starts - 1);
            outcome::end(worker, &job, &JobError::Park(reason)).await;
        } else if job.kind.is_none() {
            let back = HandBack {
                claim: job.claim,
                run_at: worker.clock.now() + TimeDelta::seconds(30),
            };
            if let Err(error) = jobs::hand_back(&worker.db, &[back], "waits for a newer worker").await {
                tracing::warn!(error = %chain(&error), "a job of a newer version could not be given back");
            }
        } else {
            runnable.push(job);
        }
    }
    if !runnable.is_empty() {
        chaos::reach(Point::JobsClaimed).await;
    }
    runnable
}

/// Whether jobs of this kind are executed in batches.
pub(crate) fn is_batched(job: &ClaimedJob) -> bool {
    job.kind == Some(JobKind::Transfer)
}
