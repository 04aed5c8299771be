//! Credits what lies in suspense for a deposit in review, as an operator has decided.

use wallet_core::flows::DepositCommand;
use wallet_core::jobs::ClaimedJob;
use wallet_core::ledger;
use wallet_core::stripe::{Lane, Operation};
use wallet_core::transactions::{Stage, Transaction};

use super::step;
use crate::job_error::JobError;
use crate::suspended_payment::SuspendedPayment;
use crate::worker::Worker;

/// The reason to park while a dispute of the payment is undecided.
pub(super) const DISPUTED: &str =
    "the payer's bank disputes the payment: its decision comes first; then requeue this job";

/// The reason to park while money of the payment is being returned to the payer.
const RETURNING: &str = "a refund of the payment is under way: its end comes first; then requeue this job";

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.stage != Stage::InReview {
        return worker.finish(job).await;
    }
    let suspended = ledger::suspended_of(&mut *worker.db.conn().await?, transaction.id).await?;
    let [only] = suspended.as_slice() else {
        return Err(JobError::Park(
            "not one amount lies in suspense for it".to_owned(),
        ));
    };
    if only.amount.currency() != transaction.amount.currency() {
        let why = format!(
            "{} cannot be credited to a wallet in another currency",
            only.amount
        );
        return Err(JobError::Park(why));
    }
    if let Some(intent) = transaction.stripe_payment_intent_id.clone() {
        let payment = SuspendedPayment::ask(worker, Lane::Maintenance, intent).await?;
        at_rest(worker, &transaction, &payment).await?;
    }
    let command = DepositCommand::CreditReview(only.amount);
    worker
        .settle_locked(&transaction.wallets(), &[step(job, &transaction, command)])
        .await?;
    Ok(())
}

/// Checks that nothing is under way: a payment is not decided about while its bank disputes it or its money is being returned.
pub(super) async fn at_rest(
    worker: &Worker,
    transaction: &Transaction,
    payment: &SuspendedPayment,
) -> Result<(), JobError> {
    if payment.is_disputed() {
        return Err(JobError::Park(DISPUTED.to_owned()));
    }
    let id = transaction.id.uuid();
    let is_asked_for = worker.calls.is_unknown(Operation::Refund, id).await?;
    if is_asked_for || payment.is_being_returned(worker).await? {
        return Err(JobError::Park(RETURNING.to_owned()));
    }
    Ok(())
}
