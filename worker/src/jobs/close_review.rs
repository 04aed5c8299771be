//! Books what is left in suspense for a deposit as the platform's, as an operator has decided, once nothing of its payment can be given back: what
//! another rate of conversion left, or what a dispute took beyond the payment.

use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;
use wallet_core::ledger;

use super::credit_review::{DISPUTED, RETURNING, has_open_dispute, is_being_returned};
use super::return_review::{left_of, payment_of};
use super::step;
use crate::outcome::JobError;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    let suspended = ledger::suspended_of(&mut *worker.db.conn().await?, transaction.id).await?;
    if suspended.is_empty() {
        return worker.finish(job).await;
    }
    let (intent, amount) = payment_of(worker, &transaction, &suspended).await?;
    if has_open_dispute(worker, &intent).await? {
        return Err(JobError::Park(DISPUTED.to_owned()));
    }
    if is_being_returned(worker, &transaction, &intent).await? {
        return Err(JobError::Park(RETURNING.to_owned()));
    }
    if amount.is_positive()
        && let Some(left) = left_of(worker, &intent).await?
    {
        let why = format!(
            "{left} of the payment can still be refunded: `wallet-worker review return {}`",
            transaction.id
        );
        return Err(JobError::Park(why));
    }
    let command = Command::CloseSuspense { amount };
    worker.settle(&[step(job, &transaction, command)]).await?;
    Ok(())
}
