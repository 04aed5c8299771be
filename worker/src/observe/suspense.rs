//! A refund of what lies, or lay, in suspense for a deposit. The books follow what it does to the platform's balance, which is another amount
//! than the refund's when Stripe has converted the payment: it converts back at the rate of that day
//! (<https://docs.stripe.com/currencies/conversions>).

use wallet_core::flows::Command;
use wallet_core::ledger;
use wallet_core::money::Money;
use wallet_core::stripe::{BalanceTransactionId, Operation, Refund, RefundStatus};
use wallet_core::transactions::Transaction;

use super::Look;
use super::refund::{has_failed, is_ours, sentence, waits_for};
use crate::outcome::JobError;
use crate::suspended_payment::{SuspendedPayment, payments_of};

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
            None => match taken(look, refund).await? {
                // At another rate as much comes back as the movement says that is not named yet.
                Some(taken) if taken.currency() != refund.amount.currency() => {
                    return Err(JobError::NotYet(
                        "the payment provider has not told yet what of the refund came back",
                    ));
                }
                _ => refund.amount,
            },
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
    if amount.currency() == refund.amount.currency() {
        return look.settle(deposit, vec![command]).await;
    }
    look.settle_and_go_on(deposit, vec![command]).await?;
    close(look, deposit).await
}

/// What another rate has left of converted payments, once all that was paid went back, is no payer's.
async fn close(look: &Look<'_>, deposit: &Transaction) -> Result<(), JobError> {
    let mut commands = Vec::new();
    if is_all_gone(look, deposit).await? {
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

/// Whether nothing of any payment of the deposit can still go back. Of amounts in several currencies nobody knows: a person decides.
async fn is_all_gone(look: &Look<'_>, deposit: &Transaction) -> Result<bool, JobError> {
    for intent in payments_of(look.worker, deposit).await? {
        let payment = SuspendedPayment::ask(look.worker, look.lane(), intent).await?;
        let is_open = payment.is_disputed() || payment.is_being_returned(look.worker).await?;
        if is_open || !matches!(payment.left(), Ok(None)) {
            return Ok(false);
        }
    }
    Ok(true)
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
