//! Books what Stripe kept of a deposit, and notes when the rest is available to the platform.
//!
//! Stripe's movement is often not there yet when the payment succeeds, so the deposit is credited first and this comes after.

use wallet_core::alarms;
use wallet_core::flows::{BalanceEntry, Command, Stage};
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{Lane, PaymentIntentId};

use super::step;
use crate::outcome::JobError;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    let intent: Option<PaymentIntentId> = transaction
        .stripe_payment_intent_id
        .as_deref()
        .and_then(|id| id.parse().ok());
    // Also of money that lies in suspense.
    let is_paid = !matches!(transaction.stage, Stage::Accepted | Stage::AwaitingPayment);
    let Some(intent) = intent.filter(|_| is_paid) else {
        return worker.finish(job).await;
    };
    let gateway = worker.calls.gateway();
    let intent = worker
        .calls
        .ask(Lane::Maintenance, gateway.retrieve_payment_intent(&intent))
        .await?;
    let not_yet = || JobError::NotYet("the payment provider has not settled the payment yet");
    let charge = intent.latest_charge.ok_or_else(not_yet)?;
    let charge = worker
        .calls
        .ask(Lane::Maintenance, gateway.retrieve_charge(&charge))
        .await?;
    let movement = charge.balance_transaction.ok_or_else(not_yet)?;
    worker.settlement.learn(charge.amount, movement.amount);
    if transaction.stage == Stage::Completed && movement.amount != transaction.amount {
        // Since the platform's account has changed, for example: the next payments in this currency are looked at before they are credited.
        let message = format!(
            "a deposit of {} was credited and came to the balance as {}: what it credited cannot be paid out; set the currencies in which Stripe pays \
             the platform (Dashboard, Settings, Payouts), or STRIPE_SETTLEMENT_CURRENCIES",
            transaction.amount, movement.amount
        );
        let conn = &mut worker.db.conn().await?;
        let subject = transaction.id.to_string();
        alarms::raise(
            conn,
            alarms::SETTLEMENT_DIFFERS,
            &subject,
            &message,
            worker.clock.now(),
        )
        .await?;
    }
    let entry = BalanceEntry {
        id: movement.id.as_str().to_owned(),
        amount: movement.amount,
        fee: movement.fee,
        available_on: movement.available_on,
    };
    worker
        .settle(&[step(job, &transaction, Command::BookFee(entry))])
        .await?;
    Ok(())
}
