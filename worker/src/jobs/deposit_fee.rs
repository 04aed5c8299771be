//! Books what Stripe kept of a deposit, and notes when the rest is available to the platform; or books what Stripe charged for a deposit's refund.
//!
//! Stripe's balance movement often does not exist yet when the payment succeeds, so the deposit is credited
//! first and its fee is booked later. A refund is likewise settled by its own state first; with some contracts
//! Stripe charges for it (<https://support.stripe.com/questions/understanding-fees-for-refunded-payments>).

use wallet_core::alarms::{self, AlarmKind};
use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{BalanceTransactionId, Lane, PaymentIntentId, RefundStatus};
use wallet_core::transactions::{self, Flow, RefKind, Stage, Transaction};

use super::step;
use crate::job_error::JobError;
use crate::observations::entry;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if matches!(transaction.flow, Flow::DepositRefund | Flow::OutsideRefund) {
        return of_refund(worker, job, &transaction).await;
    }
    if matches!(transaction.stage, Stage::Accepted | Stage::AwaitingPayment) {
        return worker.finish(job).await;
    }
    let mut intents: Vec<PaymentIntentId> = transaction.stripe_payment_intent_id.iter().cloned().collect();
    if intents.is_empty() {
        // The money is in suspense, and its deposit ended without an intent of its own.
        let conn = &mut worker.db.conn().await?;
        intents = transactions::external_refs_of(conn, transaction.id, RefKind::LatePayment).await?;
    }
    let Some(last) = intents.pop() else {
        return worker.finish(job).await;
    };
    for intent in &intents {
        let fee = fee_of(worker, &transaction, intent).await?;
        worker
            .settle(&[step(job, &transaction, fee).before_others()])
            .await?;
    }
    let fee = fee_of(worker, &transaction, &last).await?;
    worker.settle(&[step(job, &transaction, fee)]).await?;
    Ok(())
}

/// Reads what Stripe kept of a payment.
async fn fee_of(
    worker: &Worker,
    transaction: &Transaction,
    intent: &PaymentIntentId,
) -> Result<Command, JobError> {
    let client = worker.calls.client();
    let intent = worker
        .calls
        .ask(Lane::Maintenance, client.retrieve_payment_intent(intent))
        .await?;
    let not_yet = || JobError::NotYet("the payment provider has not settled the payment yet");
    let charge = intent.latest_charge.ok_or_else(not_yet)?;
    let charge = worker
        .calls
        .ask(Lane::Maintenance, client.retrieve_charge(&charge))
        .await?;
    let movement = charge.balance_transaction.ok_or_else(not_yet)?;
    worker.settled_currencies.learn(charge.amount, movement.amount);
    if transaction.stage == Stage::Completed && movement.amount != transaction.amount {
        // The platform's account may have changed, for example: the next payments in this currency are checked before they are credited.
        let message = format!(
            "a deposit of {} was credited and came to the balance as {}: what it credited cannot be paid out; set the currencies in which Stripe pays \
             the platform (Dashboard, Settings, Payouts), or STRIPE_SETTLEMENT_CURRENCIES",
            transaction.amount, movement.amount
        );
        let conn = &mut worker.db.conn().await?;
        let subject = transaction.id.to_string();
        alarms::raise(
            conn,
            AlarmKind::SettlementDiffers,
            &subject,
            &message,
            worker.clock.now(),
        )
        .await?;
    }
    Ok(Command::BookFee(entry(&movement)))
}

/// Books what Stripe charged for a refund, however the refund ended.
async fn of_refund(worker: &Worker, job: &ClaimedJob, transaction: &Transaction) -> Result<(), JobError> {
    let Some(id) = &transaction.stripe_refund_id else {
        return worker.finish(job).await;
    };
    let booked: Vec<BalanceTransactionId> = {
        let conn = &mut worker.db.conn().await?;
        transactions::external_refs_of(conn, transaction.id, RefKind::BalanceTransaction).await?
    };
    if !booked.is_empty() {
        // The fee was booked while the refund was pending.
        return worker.finish(job).await;
    }
    let client = worker.calls.client();
    let refund = worker
        .calls
        .ask(Lane::Maintenance, client.retrieve_refund(id))
        .await?;
    let movement = match refund.balance_transaction {
        Some(movement) => movement,
        None if refund.status == RefundStatus::Succeeded => {
            return Err(JobError::NotYet(
                "the payment provider has not told yet what the refund took",
            ));
        }
        // The refund has moved nothing yet, and its end creates another job; or it ended without moving anything.
        None => return worker.finish(job).await,
    };
    let movement = worker
        .calls
        .ask(Lane::Maintenance, client.retrieve_balance_transaction(&movement))
        .await?;
    if movement.fee.is_zero() {
        return worker.finish(job).await;
    }
    let fee = Command::BookFee(entry(&movement));
    worker.settle(&[step(job, transaction, fee)]).await?;
    Ok(())
}
