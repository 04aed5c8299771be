//! Credits what lies in suspense for a deposit in review, as an operator has decided.

use wallet_core::flows::{Command, Stage};
use wallet_core::jobs::ClaimedJob;
use wallet_core::ledger;
use wallet_core::stripe::{Lane, PaymentIntentId};
use wallet_core::transactions::Transaction;

use super::step;
use crate::outcome::JobError;
use crate::worker::Worker;

/// Why nothing is decided about a payment yet.
pub(super) const DISPUTED: &str =
    "the payer's bank disputes the payment: its decision comes first; then requeue this job";

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
    if is_disputed(worker, &transaction).await? {
        return Err(JobError::Park(DISPUTED.to_owned()));
    }
    let command = Command::CreditReview { amount: only.amount };
    worker
        .settle_locked(&transaction.wallets(), &[step(job, &transaction, command)])
        .await?;
    Ok(())
}

/// Whether a dispute of the payment is open: what lies in suspense may still go.
async fn is_disputed(worker: &Worker, transaction: &Transaction) -> Result<bool, JobError> {
    let intent = transaction.stripe_payment_intent_id.as_deref();
    match intent.and_then(|id| id.parse().ok()) {
        Some(intent) => has_open_dispute(worker, &intent).await,
        None => Ok(false),
    }
}

/// Whether Stripe knows a dispute of this payment that has not ended.
pub(super) async fn has_open_dispute(worker: &Worker, intent: &PaymentIntentId) -> Result<bool, JobError> {
    let listing = worker.calls.gateway().list_disputes(intent);
    let disputes = worker.calls.ask(Lane::Maintenance, listing).await?;
    Ok(disputes.iter().any(|dispute| !dispute.status.is_final()))
}
