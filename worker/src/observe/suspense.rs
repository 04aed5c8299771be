//! A refund of what lies, or lay, in suspense for a deposit. The books follow what it does to the platform's balance, which is another amount
//! than the refund's when Stripe has converted the payment: it converts back at the rate of that day
//! (<https://docs.stripe.com/currencies/conversions>).

use wallet_core::flows::Command;
use wallet_core::ledger;
use wallet_core::money::Money;
use wallet_core::stripe::{BalanceTransactionId, Operation, PaymentIntentId, Refund, RefundStatus};
use wallet_core::transactions::Transaction;

use super::Look;
use super::refund::{has_failed, is_ours, sentence, waits_for};
use crate::left_to_refund::left_to_refund;
use crate::outcome::JobError;

/// Books it, and what is left of a converted payment when it was the last.
pub(super) async fn of_suspense(
    look: &Look<'_>,
    deposit: &Transaction,
    refund: &Refund,
) -> Result<(), JobError> {
    let id = refund.id.as_str().to_owned();
    if has_failed(refund) {
        if is_ours(look, deposit, refund).await? {
            // So that an operator who decides anew can have another one made.
            let calls = &look.worker.calls;
            calls.forget(Operation::Refund, deposit.id.uuid(), &id).await?;
        }
        let came_back = match &refund.failure_balance_transaction {
            Some(movement) => moved(look, movement).await?,
            None => taken(look, refund).await?.unwrap_or(refund.amount),
        };
        let command = Command::FailReturn {
            refund: id,
            amount: came_back,
            message: sentence(refund),
        };
        return look.settle(deposit, vec![command]).await;
    }
    let Some(amount) = taken(look, refund).await? else {
        // It waits for funds: nothing has left, and what lies in suspense is still there.
        let message = format!(
            "{} is being returned to the payer: {}",
            refund.amount,
            waits_for(refund)
        );
        let line = look.note(deposit, message);
        return look.settle(deposit, line.into_iter().collect()).await;
    };
    if refund.status != RefundStatus::Succeeded {
        let command = Command::BeginReturn {
            refund: id,
            amount,
            message: waits_for(refund).to_owned(),
        };
        return look.settle(deposit, vec![command]).await;
    }
    let command = Command::ReturnSuspense { refund: id, amount };
    let intent = refund
        .payment_intent
        .as_ref()
        .filter(|_| amount.currency() != refund.amount.currency());
    let Some(intent) = intent else {
        return look.settle(deposit, vec![command]).await;
    };
    look.settle_and_go_on(deposit, vec![command]).await?;
    close(look, deposit, intent).await
}

/// What another rate has left of a converted payment, once all of it went back, is no payer's.
async fn close(look: &Look<'_>, deposit: &Transaction, intent: &PaymentIntentId) -> Result<(), JobError> {
    let gateway = look.worker.calls.gateway();
    let paid = look.ask(gateway.retrieve_payment_intent(intent)).await?;
    let refunds = look.ask(gateway.list_refunds(intent)).await?;
    let disputes = look.ask(gateway.list_disputes(intent)).await?;
    let mut commands = Vec::new();
    // Of amounts in several currencies nobody knows what is left: a person decides.
    if matches!(left_to_refund(&paid, &refunds, &disputes), Ok(None)) {
        let suspended = ledger::suspended_of(&mut *look.worker.db.conn().await?, deposit.id).await?;
        commands.extend(
            suspended
                .into_iter()
                .map(|one| Command::CloseSuspense { amount: one.amount }),
        );
    }
    let deposit = look.again(deposit.id).await?;
    look.settle(&deposit, commands).await
}

/// What a refund took from the platform's balance; none while it has taken nothing.
async fn taken(look: &Look<'_>, refund: &Refund) -> Result<Option<Money>, JobError> {
    match &refund.balance_transaction {
        Some(movement) => Ok(Some(moved(look, movement).await?)),
        None if refund.status == RefundStatus::Succeeded => Err(JobError::NotYet(
            "the payment provider has not told yet what the refund took",
        )),
        None => Ok(None),
    }
}

/// How much a movement moved, in whatever direction.
async fn moved(look: &Look<'_>, movement: &BalanceTransactionId) -> Result<Money, JobError> {
    let gateway = look.worker.calls.gateway();
    let amount = look
        .ask(gateway.retrieve_balance_transaction(movement))
        .await?
        .amount;
    Ok(if amount.is_negative() {
        amount.negated()
    } else {
        amount
    })
}
