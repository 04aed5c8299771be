//! Freezes the amount of a withdrawal, or of the refund of a deposit, or fails it for want of funds.

use wallet_core::flows::{Command, Stage};
use wallet_core::jobs::ClaimedJob;
use wallet_core::transactions::Transaction;
use wallet_core::wallets;

use super::lost_call::was_sent;
use super::{INACTIVE, step};
use crate::outcome::JobError;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if let Some(obstacle) = obstacle(worker, &transaction).await?
        && was_sent(worker, &transaction).await?
    {
        // To fail it would leave the wallet what has left it.
        return Err(JobError::Park(format!(
            "its money was sent by books that are lost, and cannot be held: {obstacle}; mend that, then requeue this job"
        )));
    }
    let wallets = transaction.wallets();
    worker
        .settle_locked(&wallets, &[step(job, &transaction, Command::Hold)])
        .await?;
    Ok(())
}

/// Why the amount cannot be held, as the wallet is now.
async fn obstacle(worker: &Worker, transaction: &Transaction) -> Result<Option<String>, JobError> {
    if transaction.stage != Stage::Accepted {
        return Ok(None);
    }
    let conn = &mut worker.db.conn().await?;
    let wallet = wallets::find(conn, transaction.wallet_id).await?;
    Ok(wallet.and_then(|wallet| {
        let (has, needs) = (wallet.balance, transaction.amount);
        if !wallet.is_active {
            Some(INACTIVE.to_owned())
        } else if has.amount() < needs.amount() {
            Some(format!("the wallet has {has} of {needs}"))
        } else {
            None
        }
    }))
}
