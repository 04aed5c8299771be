//! Credits what lies in suspense for a deposit in review, as an operator has decided.

use wallet_core::flows::{Command, Stage};
use wallet_core::jobs::ClaimedJob;
use wallet_core::ledger;
use wallet_core::stripe::{Lane, Operation, PaymentIntentId, RefundStatus};
use wallet_core::transactions::{self, Transaction, external_ref};

use super::step;
use crate::outcome::JobError;
use crate::worker::Worker;

/// Why nothing is decided about a payment yet.
pub(super) const DISPUTED: &str =
    "the payer's bank disputes the payment: its decision comes first; then requeue this job";

/// The same, while money of it goes back to the payer.
pub(super) const RETURNING: &str =
    "a refund of the payment is under way: its end comes first; then requeue this job";

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
    if let Some(intent) = intent_of(&transaction) {
        if has_open_dispute(worker, &intent).await? {
            return Err(JobError::Park(DISPUTED.to_owned()));
        }
        if is_being_returned(worker, &transaction, &intent).await? {
            return Err(JobError::Park(RETURNING.to_owned()));
        }
    }
    let command = Command::CreditReview { amount: only.amount };
    worker
        .settle_locked(&transaction.wallets(), &[step(job, &transaction, command)])
        .await?;
    Ok(())
}

fn intent_of(transaction: &Transaction) -> Option<PaymentIntentId> {
    let intent = transaction.stripe_payment_intent_id.as_deref();
    intent.and_then(|id| id.parse().ok())
}

/// Whether a refund of the payment may be under way, made by us or at Stripe: until it is final, what lies in suspense may still go.
pub(super) async fn is_being_returned(
    worker: &Worker,
    transaction: &Transaction,
    intent: &PaymentIntentId,
) -> Result<bool, JobError> {
    if worker
        .calls
        .is_undecided(Operation::Refund, transaction.id.uuid())
        .await?
    {
        return Ok(true);
    }
    let listing = worker.calls.gateway().list_refunds(intent);
    let refunds = worker.calls.ask(Lane::Maintenance, listing).await?;
    for refund in refunds {
        let is_settled = match refund.status {
            RefundStatus::Failed | RefundStatus::Canceled => true,
            // Its event may still be on its way.
            RefundStatus::Succeeded => {
                let conn = &mut worker.db.conn().await?;
                transactions::find_by_external_ref(conn, external_ref::REFUND, refund.id.as_str())
                    .await?
                    .is_some()
            }
            RefundStatus::Pending | RefundStatus::RequiresAction | RefundStatus::Unknown(_) => false,
        };
        if !is_settled {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether Stripe knows a dispute of this payment that has not ended.
pub(super) async fn has_open_dispute(worker: &Worker, intent: &PaymentIntentId) -> Result<bool, JobError> {
    let listing = worker.calls.gateway().list_disputes(intent);
    let disputes = worker.calls.ask(Lane::Maintenance, listing).await?;
    Ok(disputes.iter().any(|dispute| !dispute.status.is_final()))
}
