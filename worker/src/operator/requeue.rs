//! `requeue`.

use anyhow::bail;
use wallet_core::config::WorkerConfig;
use wallet_core::ids::JobId;
use wallet_core::jobs;

use super::{clock, connect, say};

/// Puts a parked job back.
pub(crate) async fn requeue(config: &WorkerConfig, job: i64) -> anyhow::Result<()> {
    let db = connect(config).await?;
    if !jobs::requeue(&db, JobId(job), clock().now()).await? {
        bail!("there is no parked job {job}; `wallet-worker parked` lists them");
    }
    say(&format!("job {job} is queued again"))
}
