//! `requeue`.

use anyhow::bail;
use wallet_core::config::WorkerConfig;
use wallet_core::ids::JobId;
use wallet_core::jobs;

use super::{clock, connect, say};

/// Puts parked jobs back; one that is not parked keeps none of the others.
pub(crate) async fn requeue(config: &WorkerConfig, jobs: &[i64]) -> anyhow::Result<()> {
    let db = connect(config).await?;
    let mut missing = Vec::new();
    for &job in jobs {
        if jobs::requeue(&db, JobId(job), clock().now()).await? {
            say(&format!("job {job} is queued again"))?;
        } else {
            missing.push(job.to_string());
        }
    }
    if !missing.is_empty() {
        bail!(
            "there is no parked job {}; `wallet-worker parked` lists them",
            missing.join(", ")
        );
    }
    Ok(())
}
