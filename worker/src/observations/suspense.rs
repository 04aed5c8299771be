//! A refund of what lies, or lay, in suspense for a deposit. The books follow what it does to the platform's balance, which is another amount
//! than the refund's when Stripe has converted the payment: it converts back at the rate of that day
//! (<https://docs.stripe.com/currencies/conversions>). What Stripe charges for the refund is booked with it.

use wallet_core::flows::{Command, SuspenseReturnCommand};
use wallet_core::ledger;
use wallet_core::money::Money;
use wallet_core::stripe::{BalanceTransaction, Operation, Refund, RefundStatus};
use wallet_core::transactions::Transaction;

use super::Look;
use super::refund::{fee_of, has_failed, is_ours, sentence, taking, waits_for};
use crate::job_error::JobError;
use crate::suspended_payment::{SuspendedPayment, payments_of};

/// Books it, and what is left of a converted payment when it was the last.
pub(super) async fn of_suspense(
    look: &Look<'_>,
    deposit: &Transaction,
    refund: &Refund,
) -> Result<(), JobError> {
    let id = refund.id.clone();
    let taking = taking(look, refund).await?;
    let mut commands: Vec<Command> = fee_of(taking.as_ref()).into_iter().collect();
    if has_failed(refund) {
        if is_ours(look, deposit, refund).await? {
            // So that an operator who decides anew can have another one made.
            let calls = &look.worker.calls;
            calls
                .forget(Operation::Refund, deposit.id.uuid(), id.as_str())
                .await?;
        }
        let came_back = match (&refund.failure_balance_transaction, &taking) {
            (Some(movement), _) => {
                let client = look.worker.calls.client();
                moved(&look.ask(client.retrieve_balance_transaction(movement)).await?)
            }
            // At another rate as much comes back as the movement says that is not named yet.
            (None, Some(taking)) if taking.amount.currency() != refund.amount.currency() => {
                return Err(JobError::NotYet(
                    "the payment provider has not told yet what of the refund came back",
                ));
            }
            (None, _) => refund.amount,
        };
        let failed = SuspenseReturnCommand::Fail(id, came_back, sentence(refund));
        commands.push(failed.into());
        return look.settle(deposit, commands).await;
    }
    let Some(taking) = taking else {
        if refund.status == RefundStatus::Succeeded {
            return Err(JobError::NotYet(
                "the payment provider has not told yet what the refund took",
            ));
        }
        // It waits for funds: nothing has left, and what lies in suspense is still there.
        let message = format!(
            "{} is being returned to the payer: {}",
            refund.amount,
            waits_for(refund)
        );
        let line = look.note(deposit, message);
        return look.settle(deposit, line.into_iter().collect()).await;
    };
    let amount = moved(&taking);
    if refund.status != RefundStatus::Succeeded {
        let begun = SuspenseReturnCommand::Begin(id, amount, waits_for(refund).to_owned());
        commands.push(begun.into());
        return look.settle(deposit, commands).await;
    }
    commands.push(SuspenseReturnCommand::Succeed(id, amount).into());
    if amount.currency() == refund.amount.currency() {
        return look.settle(deposit, commands).await;
    }
    look.settle_and_go_on(deposit, commands).await?;
    close(look, deposit).await
}

/// What another rate has left of converted payments, once all that was paid went back, is no payer's.
async fn close(look: &Look<'_>, deposit: &Transaction) -> Result<(), JobError> {
    let mut commands = Vec::new();
    // Before Stripe is asked: what comes to lie there meanwhile is not what was asked about.
    let suspended = ledger::suspended_of(&mut *look.worker.db.conn().await?, deposit.id).await?;
    if is_all_gone(look, deposit).await? {
        commands.extend(
            suspended
                .into_iter()
                .map(|one| Command::CloseSuspense(one.amount)),
        );
    }
    let deposit = look.again(deposit.id).await?;
    look.settle(&deposit, commands).await
}

/// Whether every payment of the deposit is back with its payer, or with the payer's bank. Of amounts in several currencies nobody knows, and what a
/// lost dispute has left is nobody's yet: a person decides.
async fn is_all_gone(look: &Look<'_>, deposit: &Transaction) -> Result<bool, JobError> {
    let payments = payments_of(look.worker, deposit).await?;
    if payments.is_empty() {
        // Nobody knows whose it is.
        return Ok(false);
    }
    for intent in payments {
        let payment = SuspendedPayment::ask(look.worker, look.lane(), intent).await?;
        let is_open = payment.is_disputed() || payment.is_being_returned(look.worker).await?;
        if is_open || !matches!(payment.unreturned(), Ok(None)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How much a movement moved, in whatever direction.
fn moved(movement: &BalanceTransaction) -> Money {
    if movement.amount.is_negative() {
        movement.amount.negated()
    } else {
        movement.amount
    }
}
