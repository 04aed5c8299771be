//! Holds the amount of a withdrawal, or fails the withdrawal for lack of funds.

use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;
use wallet_core::settle::Outcome;
use wallet_core::transactions::{FailureCode, FailureReason, Transaction};
use wallet_core::wallets;

use super::restored_backup::was_sent;
use super::step;
use crate::job_error::JobError;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    let wallets = transaction.wallets();
    let hold = step(job, &transaction, Command::Hold).unless_refused();
    let settled = worker.settle_locked(&wallets, &[hold]).await?;
    let Some(Outcome::Refused(reason)) = settled.single() else {
        return Ok(());
    };
    if was_sent(worker, &transaction).await? {
        // Failing it would leave the wallet with money that has already left.
        let why = obstacle(worker, &transaction, reason).await?;
        return Err(JobError::Park(format!(
            "its money was sent before the backup was restored, and cannot be held: {why}; fix that, then requeue this job"
        )));
    }
    let refused = step(job, &transaction, Command::Refuse(reason.clone()));
    worker.settle_locked(&wallets, &[refused]).await?;
    Ok(())
}

/// Describes the obstacle for the operator who has to remove it.
async fn obstacle(
    worker: &Worker,
    transaction: &Transaction,
    reason: &FailureReason,
) -> Result<String, JobError> {
    let conn = &mut worker.db.conn().await?;
    let wallet = wallets::find(conn, transaction.wallet_id).await?;
    let Some(wallet) = wallet.filter(|_| reason.code == FailureCode::InsufficientFunds) else {
        return Ok(reason.sentence.clone());
    };
    let (has, needs) = (wallet.balance, transaction.amount);
    Ok(if has.amount() < needs.amount() {
        format!("the wallet has {has} of {needs}")
    } else {
        format!("of the {has} in the wallet its owner owes too much for {needs}")
    })
}
