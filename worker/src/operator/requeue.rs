//! `requeue`: puts parked jobs back into their queues.

use std::collections::HashSet;

use anyhow::bail;
use clap::Args;
use serde_json::json;
use wallet_core::ids::JobId;
use wallet_core::jobs;
use wallet_core::reason::Reason;

use super::Session;

/// Which jobs, and why they may be tried again.
#[derive(Debug, Args)]
pub(crate) struct Requeue {
    /// The jobs' numbers, as `parked` lists them.
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<i64>,
    /// What was fixed, for the audit trail.
    #[arg(long)]
    reason: Option<Reason>,
}

/// Puts parked jobs back; a job that is not parked does not stop the others.
pub(crate) async fn requeue(session: &Session, which: &Requeue) -> anyhow::Result<()> {
    let (mut requeued, mut missing) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for &job in which.jobs.iter().filter(|job| seen.insert(**job)) {
        let (id, reason) = (JobId(job), which.reason.as_ref().map(Reason::as_str));
        if jobs::requeue(&session.db, id, &session.actor, reason, session.now()).await? {
            requeued.push(job);
        } else {
            missing.push(job);
        }
    }
    session.answer(
        &json!({ "requeued": requeued, "notParked": missing }),
        requeued.iter().map(|job| format!("job {job} is queued again")),
    )?;
    if !missing.is_empty() {
        let missing: Vec<String> = missing.iter().map(i64::to_string).collect();
        bail!(
            "there is no parked job {}; `wallet-worker parked` lists them",
            missing.join(", ")
        );
    }
    Ok(())
}
