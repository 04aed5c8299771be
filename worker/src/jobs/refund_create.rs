//! Creates the refund of a deposit at Stripe.

use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{
    CallError, CreateRefund, Disposition, DisputeStatus, Lane, Made, PaymentIntentId, Tags,
};
use wallet_core::transactions::{self, FailureCode, FailureReason, Stage, Transaction};

use super::restored_backup::adopt_what_was_sent;
use super::{INACTIVE, cancel, step};
use crate::job_error::JobError;
use crate::observations::{self, Observation, apply_refund};
use crate::refusal;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.stage != Stage::Held {
        return worker.finish(job).await;
    }
    let intent = intent_of(worker, &transaction).await?;
    let call = refund_of(&transaction, intent.clone());
    let observation = Observation::unasked(worker, job);
    match worker.calls.run(job.claim, transaction.id.uuid(), call).await {
        Ok(Made {
            answer: Some(refund), ..
        }) => apply_refund(&observation, &transaction, &refund).await,
        Ok(Made { id, answer: None }) => observations::refund(&observation, &id).await,
        Err(CallError::CancelAsked) => cancel::before_sending(worker, job, &transaction).await,
        Err(CallError::WalletInactive) => {
            if adopt_what_was_sent(worker, &transaction).await? {
                return Err(JobError::Again("the refund was found at Stripe"));
            }
            let reason = FailureReason::new(FailureCode::WalletInactive, INACTIVE);
            let steps = [step(job, &transaction, Command::Refuse(reason))];
            worker.settle_locked(&transaction.wallets(), &steps).await?;
            Ok(())
        }
        Err(CallError::Stripe(error)) if error.disposition() == Disposition::FailDefinite => {
            // We may have made this very refund under a key that this database does not know, for example before a restore.
            let is_too_much = matches!(error.code.as_deref(), Some(ALREADY_REFUNDED | MORE_THAN_IS_LEFT));
            if is_too_much && adopt_what_was_sent(worker, &transaction).await? {
                return Err(JobError::Again("the refund was found at Stripe"));
            }
            let reason = match error.code.as_deref() {
                Some("charge_disputed" | "refund_disputed_payment") if is_lost(worker, &intent).await? => {
                    FailureReason::new(FailureCode::RefundFailed, LOST)
                }
                Some(MORE_THAN_IS_LEFT) => FailureReason::new(FailureCode::RefundFailed, LESS_IS_LEFT),
                _ => refusal::reason(&error, FailureCode::RefundFailed),
            };
            let steps = [step(job, &transaction, Command::Refuse(reason))];
            worker.settle_locked(&transaction.wallets(), &steps).await?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the call for a refund.
pub(super) fn refund_of(transaction: &Transaction, payment_intent: PaymentIntentId) -> CreateRefund {
    CreateRefund {
        payment_intent,
        amount: transaction.amount,
        tags: Tags {
            transaction_id: transaction.id,
            wallet_id: transaction.wallet_id,
        },
    }
}

/// Stripe's code for a payment of which nothing is left (<https://docs.stripe.com/error-codes#charge-already-refunded>).
const ALREADY_REFUNDED: &str = "charge_already_refunded";

/// For a refund, Stripe's code for more than is left of the payment.
const MORE_THAN_IS_LEFT: &str = "amount_too_large";

/// What the owner reads when part of the payment was returned by another refund.
const LESS_IS_LEFT: &str =
    "less than that is left of the payment, since part of it was refunded elsewhere; refund what is left";

/// What the owner reads when the payer got the money in a dispute.
const LOST: &str =
    "the payer's bank has taken the payment back for good in a dispute; nothing is left to refund";

/// Whether the payer's bank has decided for the payer, so that there is nothing to wait for. Stripe refuses a refund
/// with the same code before and after that decision (<https://docs.stripe.com/error-codes#charge-disputed>).
async fn is_lost(worker: &Worker, intent: &PaymentIntentId) -> Result<bool, JobError> {
    let listing = worker.calls.client().list_disputes(intent);
    let disputes = worker.calls.ask(Lane::Deposits, listing).await?;
    let is_open = disputes.iter().any(|dispute| !dispute.status.is_final());
    let is_lost = disputes
        .iter()
        .any(|dispute| dispute.status == DisputeStatus::Lost);
    Ok(is_lost && !is_open)
}

/// Returns the payment that is refunded.
pub(super) async fn intent_of(
    worker: &Worker,
    transaction: &Transaction,
) -> Result<PaymentIntentId, JobError> {
    let none = || JobError::Park("the refund has no payment to refund".to_owned());
    let deposit = transaction.related_transaction_id.ok_or_else(none)?;
    let conn = &mut worker.db.conn().await?;
    transactions::find(conn, deposit)
        .await?
        .and_then(|deposit| deposit.stripe_payment_intent_id)
        .ok_or_else(none)
}
