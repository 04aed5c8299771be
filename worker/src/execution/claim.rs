//! Claims jobs by their ids.

use chrono::TimeDelta;
use wallet_core::error_chain::chain;
use wallet_core::failpoints::{self, Point};
use wallet_core::ids::JobId;
use wallet_core::jobs::{self, ClaimedJob, MAX_STARTS, Reschedule, WaitsFor};

use super::outcome;
use crate::job_error::JobError;
use crate::worker::Worker;

/// Claims the jobs that may run. Parks those that were started too often, and releases those that only a newer version understands.
pub(super) async fn claim(worker: &Worker, ids: &[JobId]) -> Vec<ClaimedJob> {
    let claimed = match jobs::claim(&worker.db, ids, &worker.name, worker.clock.now()).await {
        Ok(claimed) => claimed,
        Err(error) => {
            // A dispatcher dispatches them again.
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
            let back = Reschedule {
                claim: job.claim,
                run_at: worker.clock.now() + TimeDelta::seconds(30),
            };
            if let Err(error) = jobs::release(
                &worker.db,
                &[back],
                WaitsFor::NewerVersion,
                "waits for a newer worker",
            )
            .await
            {
                tracing::warn!(error = %chain(&error), "a job of a newer version could not be given back");
            }
        } else {
            runnable.push(job);
        }
    }
    if !runnable.is_empty() {
        failpoints::reach(Point::JobsClaimed).await;
    }
    runnable
}
