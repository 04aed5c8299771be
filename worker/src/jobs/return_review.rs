//! Refunds what lies in suspense for a deposit to its payer, as an operator has decided: money that was not requested, or that arrived
//! after its deposit had ended. The refund is made by a call of ours; it is booked by its Stripe object, as every refund of such money is.

use wallet_core::jobs::ClaimedJob;
use wallet_core::ledger::{self, Suspended};
use wallet_core::money::{Money, MoneyError};
use wallet_core::stripe::{
    CallError, CreateRefund, Disposition, Lane, Operation, PaymentIntentId, RefundId, Tags,
};
use wallet_core::transactions::{self, ExternalRef, Transaction};

use super::credit_review::DISPUTED;
use crate::job_error::JobError;
use crate::observations::{self, Observation};
use crate::suspended_payment::{SuspendedPayment, payments_of};
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    let id = transaction.id.uuid();
    // A refund that may have been sent is requested again, even if a webhook has reported it and nothing is
    // in suspense any more: only then is it known to be ours, should it fail later.
    let call = match worker.calls.unknown(id).await? {
        Some(call) => call,
        None => match asked_for(worker, &transaction).await? {
            Some(call) => call,
            None => return worker.finish(job).await,
        },
    };
    let intent = call.payment_intent.clone();
    let refund: RefundId = match worker.calls.run(job.claim, id, call).await {
        Ok(made) => {
            if made.answer.is_none() && is_booked(worker, &made.id).await? {
                ask_again(worker, &transaction, &intent, &made.id).await?;
            }
            made.id
        }
        Err(CallError::WalletInactive) => {
            let why = "the wallet is not active: activate it, requeue this job, and deactivate it again";
            return Err(JobError::Park(why.to_owned()));
        }
        Err(CallError::Stripe(error)) if error.disposition() == Disposition::FailDefinite => {
            return Err(JobError::Park(format!("Stripe refuses the refund: {error}")));
        }
        Err(error) => return Err(error.into()),
    };
    // Booked in its current state: under way, arrived, or failed. A failure raises an alarm, and an operator decides again.
    observations::refund(&Observation::unasked(worker, job), &refund).await
}

/// Returns the refund of what lies in suspense. `None` if nothing does: it is being returned, or somebody refunded it in the dashboard.
async fn asked_for(worker: &Worker, transaction: &Transaction) -> Result<Option<CreateRefund>, JobError> {
    let suspended = ledger::suspended_of(&mut *worker.db.conn().await?, transaction.id).await?;
    if suspended.is_empty() {
        return Ok(None);
    }
    let (intent, amount) = payment_of(worker, transaction, &suspended).await?;
    let payment = SuspendedPayment::ask(worker, Lane::Maintenance, intent.clone()).await?;
    if payment.is_disputed() {
        return Err(JobError::Park(DISPUTED.to_owned()));
    }
    if !amount.is_positive() {
        return Err(nothing_left(transaction));
    }
    // Once this refund may have been sent, what is left at Stripe may be less because of it.
    let is_prepared = worker
        .calls
        .is_prepared(Operation::Refund, transaction.id.uuid())
        .await?;
    let asked = if is_prepared {
        amount
    } else {
        let left = payment.left().map_err(|error| unclear(transaction, &error))?;
        let left = left.ok_or_else(|| nothing_left(transaction))?;
        // A converted payment is refunded in its own currency, all that is left of it.
        if left.currency() == amount.currency() {
            amount
        } else {
            left
        }
    };
    Ok(Some(CreateRefund {
        payment_intent: intent,
        amount: asked,
        tags: Tags {
            transaction_id: transaction.id,
            wallet_id: transaction.wallet_id,
        },
    }))
}

/// The recorded refund has done what an earlier decision was about, but money lies in suspense again, or
/// still: another refund is requested if any of the payment is left.
async fn ask_again(
    worker: &Worker,
    transaction: &Transaction,
    intent: &PaymentIntentId,
    refund: &RefundId,
) -> Result<(), JobError> {
    let suspended = ledger::suspended_of(&mut *worker.db.conn().await?, transaction.id).await?;
    let [only] = suspended.as_slice() else {
        return Ok(());
    };
    let payment = SuspendedPayment::ask(worker, Lane::Maintenance, intent.clone()).await?;
    let left = payment.left().map_err(|error| unclear(transaction, &error))?;
    if left.is_some() {
        let id = transaction.id.uuid();
        worker
            .calls
            .forget(Operation::Refund, id, refund.as_str())
            .await?;
        return Err(JobError::Again("another refund is asked for"));
    }
    // What a different conversion rate left over is closed when the refund is observed.
    if payment.is_converted_from(only.amount) {
        Ok(())
    } else {
        Err(nothing_left(transaction))
    }
}

fn nothing_left(transaction: &Transaction) -> JobError {
    JobError::Park(format!(
        "nothing of the payment is left to refund: `wallet-worker review close {}` ends what lies in suspense",
        transaction.id
    ))
}

/// Whether a refund is booked completely.
async fn is_booked(worker: &Worker, refund: &RefundId) -> Result<bool, JobError> {
    let conn = &mut worker.db.conn().await?;
    let found = transactions::find_by_external_ref(conn, &ExternalRef::Refund(refund.clone())).await?;
    Ok(found.is_some())
}

/// Returns the payment whose money lies in suspense, and the amount in suspense.
async fn payment_of(
    worker: &Worker,
    transaction: &Transaction,
    suspended: &[Suspended],
) -> Result<(PaymentIntentId, Money), JobError> {
    let several = || {
        JobError::Park(
            "money of several payments lies in suspense for it: refund each in Stripe's dashboard".to_owned(),
        )
    };
    let [only] = suspended else {
        return Err(several());
    };
    let payments = payments_of(worker, transaction).await?;
    let [payment] = payments.as_slice() else {
        return Err(several());
    };
    Ok((payment.clone(), only.amount))
}

/// What is left is unclear: a dispute may differ in currency (<https://docs.stripe.com/api/disputes/object#dispute_object-amount>).
fn unclear(transaction: &Transaction, error: &MoneyError) -> JobError {
    JobError::Park(format!(
        "it is not known what of the payment is left ({error}): find out in Stripe's dashboard and refund it there, or `wallet-worker review close {}` \
         when nothing is",
        transaction.id
    ))
}
