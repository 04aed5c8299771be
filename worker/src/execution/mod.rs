//! The path of a job: its id is claimed (fence and lease), one module of `jobs` does the work of its kind, and [`outcome`] ends
//! the job if its own settlement has not ended it. Many transfers are executed in one database transaction ([`transfers`]).

mod claim;
mod lease;
mod outcome;
mod transfers;

use std::sync::Arc;

use tracing::Instrument;
use wallet_core::ids::JobId;
use wallet_core::jobs::ClaimedJob;

pub(crate) use lease::Leases;
pub(crate) use transfers::Batcher;

use crate::jobs as handlers;
use crate::log_span;
use crate::metrics::count_job;
use crate::worker::Worker;

/// Executes jobs one by one.
pub(crate) struct Executor {
    worker: Arc<Worker>,
    leases: Leases,
}

impl Executor {
    /// Makes an executor whose claims are renewed by these leases.
    pub(crate) const fn new(worker: Arc<Worker>, leases: Leases) -> Self {
        Self { worker, leases }
    }

    /// Runs those of `ids` that are free and due, one after the other.
    pub(crate) async fn execute(&self, ids: Vec<JobId>) {
        for job in claim::claim(&self.worker, &ids).await {
            self.run(&job).instrument(log_span::of(&job)).await;
        }
    }

    async fn run(&self, job: &ClaimedJob) {
        let worker = &self.worker;
        let kept = self.leases.keep(vec![job.claim]);
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
}
