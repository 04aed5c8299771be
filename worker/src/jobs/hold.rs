//! Freezes the amount of a withdrawal, or of the refund of a deposit, or fails it for want of funds.

use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;
use wallet_core::settle::Outcome;
use wallet_core::transactions::Transaction;
use wallet_core::wallets;

use super::lost_call::was_sent;
use super::{INACTIVE, step};
use crate::outcome::JobError;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    let wallets = transaction.wallets();
    let hold = step(job, &transaction, Command::Hold);
    let settled = worker
        .settle_locked(&wallets, &[hold.clone().unless_refused()])
        .await?;
    if settled.single() != Some(&Outcome::Refused) {
        return Ok(());
    }
    if was_sent(worker, &transaction).await? {
        // To fail it would leave the wallet what has left it.
        return Err(JobError::Park(format!(
            "its money was sent by books that are lost, and cannot be held: {}; mend that, then requeue this job",
            obstacle(worker, &transaction).await?
        )));
    }
    worker.settle_locked(&wallets, &[hold]).await?;
    Ok(())
}

/// Why the amount cannot be held, in words.
async fn obstacle(worker: &Worker, transaction: &Transaction) -> Result<String, JobError> {
    let conn = &mut worker.db.conn().await?;
    let wallet = wallets::find(conn, transaction.wallet_id).await?;
    Ok(wallet.map_or_else(String::new, |wallet| {
        if !wallet.is_active {
            return INACTIVE.to_owned();
        }
        let (has, needs) = (wallet.balance, transaction.amount);
        if has.amount() < needs.amount() {
            format!("the wallet has {has} of {needs}")
        } else {
            format!(
                "of the {needs} a part is spoken for, by a debt of the wallet's owner or by other refunds"
            )
        }
    }))
}
