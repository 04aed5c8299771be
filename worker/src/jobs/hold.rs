//! Freezes the amount of a withdrawal, or of the refund of a deposit, or fails it for want of funds.

use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;

use super::step;
use crate::outcome::JobError;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    let wallets = transaction.wallets();
    worker
        .settle_locked(&wallets, &[step(job, &transaction, Command::Hold)])
        .await?;
    Ok(())
}
