//! Observes a refund of money that lies, or lay, in suspense for a deposit. The ledger follows the refund's effect on the
//! platform's balance. If Stripe converted the payment, that is not the refund's amount, since Stripe converts back at the
//! rate of that day (<https://docs.stripe.com/currencies/conversions>). What Stripe charges for the refund is booked with it.

use wallet_core::flows::{Command, SuspenseReturnCommand};
use wallet_core::ledger;
use wallet_core::money::Money;
use wallet_core::stripe::{BalanceTransaction, Operation, Refund, RefundStatus};
use wallet_core::transactions::Transaction;

use super::Observation;
use super::refund::{fee_of, has_failed, is_ours, sentence, taking, waits_for};
use crate::job_error::JobError;
use crate::suspended_payment::{SuspendedPayment, payments_of};

/// Books the refund and, after the last one of a converted payment, what is left of that payment.
pub(super) async fn of_suspense(
    observation: &Observation<'_>,
    deposit: &Transaction,
    refund: &Refund,
) -> Result<(), JobError> {
    let id = refund.id.clone();
    let taking = taking(observation, refund).await?;
    let mut commands: Vec<Command> = fee_of(taking.as_ref()).into_iter().collect();
    if has_failed(refund) {
        if is_ours(observation, deposit, refund).await? {
            // So that an operator who decides again can make another refund.
            let calls = &observation.worker.calls;
            calls
                .forget(Operation::Refund, deposit.id.uuid(), id.as_str())
                .await?;
        }
        let came_back = match (&refund.failure_balance_transaction, &taking) {
            (Some(movement), _) => {
                let client = observation.worker.calls.client();
                moved(
                    &observation
                        .ask(client.retrieve_balance_transaction(movement))
                        .await?,
                )
            }
            // After a conversion, only a movement that Stripe does not name yet shows how much came back.
            (None, Some(taking)) if taking.amount.currency() != refund.amount.currency() => {
                return Err(JobError::NotYet(
                    "the payment provider has not told yet what of the refund came back",
                ));
            }
            (None, _) => refund.amount,
        };
        let failed = SuspenseReturnCommand::Fail(id, came_back, sentence(refund));
        commands.push(failed.into());
        return observation.settle(deposit, commands).await;
    }
    let Some(taking) = taking else {
        if refund.status == RefundStatus::Succeeded {
            return Err(JobError::NotYet(
                "the payment provider has not told yet what the refund took",
            ));
        }
        // The refund waits for funds: nothing has left, and what lies in suspense is still there.
        let message = format!(
            "{} is being returned to the payer: {}",
            refund.amount,
            waits_for(refund)
        );
        let line = observation.note(deposit, message);
        return observation.settle(deposit, line.into_iter().collect()).await;
    };
    let amount = moved(&taking);
    if refund.status != RefundStatus::Succeeded {
        let begun = SuspenseReturnCommand::Begin(id, amount, waits_for(refund).to_owned());
        commands.push(begun.into());
        return observation.settle(deposit, commands).await;
    }
    commands.push(SuspenseReturnCommand::Succeed(id, amount).into());
    if amount.currency() == refund.amount.currency() {
        return observation.settle(deposit, commands).await;
    }
    observation.settle_and_go_on(deposit, commands).await?;
    close(observation, deposit).await
}

/// Closes what a different conversion rate left of converted payments once all that was paid has been returned: it is no payer's.
async fn close(observation: &Observation<'_>, deposit: &Transaction) -> Result<(), JobError> {
    let mut commands = Vec::new();
    // Read before Stripe is asked: what arrives in suspense after this is not covered by the answer.
    let suspended = ledger::suspended_of(&mut *observation.worker.db.conn().await?, deposit.id).await?;
    if is_all_gone(observation, deposit).await? {
        commands.extend(
            suspended
                .into_iter()
                .map(|one| Command::CloseSuspense(one.amount)),
        );
    }
    let deposit = observation.worker.find(deposit.id).await?;
    observation.settle(&deposit, commands).await
}

/// Whether every payment of the deposit is back with its payer or with the payer's bank. With amounts in
/// several currencies this is unknown, and what a lost dispute left belongs to nobody yet: an operator decides.
async fn is_all_gone(observation: &Observation<'_>, deposit: &Transaction) -> Result<bool, JobError> {
    let payments = payments_of(observation.worker, deposit).await?;
    if payments.is_empty() {
        // It is not known whose money it is.
        return Ok(false);
    }
    for intent in payments {
        let payment = SuspendedPayment::ask(observation.worker, observation.lane(), intent).await?;
        let is_open = payment.is_disputed() || payment.is_being_returned(observation.worker).await?;
        if is_open || !matches!(payment.unreturned(), Ok(None)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the absolute amount of a movement.
fn moved(movement: &BalanceTransaction) -> Money {
    if movement.amount.is_negative() {
        movement.amount.negated()
    } else {
        movement.amount
    }
}
