//! Freezes the amount of a withdrawal, or of the refund of a deposit, or fails it for want of funds.

use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;
use wallet_core::settle::{Obstacle, Outcome};
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
    let Some(Outcome::Refused(obstacle)) = settled.single() else {
        return Ok(());
    };
    if let Some(why) = mendable(worker, &transaction, *obstacle).await?
        && was_sent(worker, &transaction).await?
    {
        // To fail it would leave the wallet what has left it.
        return Err(JobError::Park(format!(
            "its money was sent by books that are lost, and cannot be held: {why}; mend that, then requeue this job"
        )));
    }
    worker.settle_locked(&wallets, &[hold]).await?;
    Ok(())
}

/// What a person can do something about, in words. What nobody can, such as that all of a payment was given back already, fails the transaction: what
/// was sent of it by lost books is booked by its event, as made by others.
async fn mendable(
    worker: &Worker,
    transaction: &Transaction,
    obstacle: Obstacle,
) -> Result<Option<String>, JobError> {
    let conn = &mut worker.db.conn().await?;
    let Some(wallet) = wallets::find(conn, transaction.wallet_id).await? else {
        return Ok(None);
    };
    let (has, needs) = (wallet.balance, transaction.amount);
    Ok(match obstacle {
        Obstacle::Rule => (!wallet.is_active).then(|| INACTIVE.to_owned()),
        Obstacle::Funds if has.amount() < needs.amount() => Some(format!("the wallet has {has} of {needs}")),
        Obstacle::Funds => Some(format!(
            "of the {has} in the wallet its owner owes too much for {needs}"
        )),
    })
}
