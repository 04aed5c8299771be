//! Observes a refund of a deposit, made by us or by somebody else at Stripe. It may fail after it has succeeded.

use wallet_core::accept::ExternalMovement;
use wallet_core::flows::{Command, RefundCommand};
use wallet_core::inbox::EventEnd;
use wallet_core::stripe::{Author, BalanceTransaction, Operation, Refund, RefundId, RefundStatus};
use wallet_core::transactions::{
    ExternalRef, FailureCode, FailureReason, Flow, Returned, Stage, Transaction,
};

use super::payment_intent::deposit_of;
use super::suspense::of_suspense;
use super::{Observation, entry};
use crate::job_error::JobError;

/// Observes a refund: settles what its state asks for.
pub(crate) async fn refund(observation: &Observation<'_>, id: &RefundId) -> Result<(), JobError> {
    let client = observation.worker.calls.client();
    let refund = observation.ask(client.retrieve_refund(id)).await?;
    let recorded = match observation.owner(&ExternalRef::Refund(id.clone())).await? {
        Some(transaction) => Some(transaction),
        None => observation.owner(&ExternalRef::RefundBegun(id.clone())).await?,
    };
    if let Some(transaction) = recorded {
        return match transaction.flow {
            Flow::DepositRefund | Flow::OutsideRefund => apply(observation, &transaction, &refund).await,
            Flow::Deposit => of_suspense(observation, &transaction, &refund).await,
            _ => {
                observation
                    .close(EventEnd::Processed, "the refund was booked before")
                    .await
            }
        };
    }
    match attributed(observation, &refund).await? {
        Some(transaction) => apply(observation, &transaction, &refund).await,
        None => outside(observation, &refund).await,
    }
}

/// Settles what the state of a refund asks for on its transaction.
pub(crate) async fn apply(
    observation: &Observation<'_>,
    transaction: &Transaction,
    refund: &Refund,
) -> Result<(), JobError> {
    let id = refund.id.clone();
    if transaction.stage == Stage::Completed && has_failed(refund) {
        return returned(observation, transaction, refund).await;
    }
    let command = match refund.status {
        RefundStatus::Succeeded => RefundCommand::Settle(id),
        RefundStatus::Failed | RefundStatus::Canceled => {
            let reason = FailureReason::new(FailureCode::RefundFailed, sentence(refund));
            RefundCommand::Fail(id, reason)
        }
        // An unknown status shows only that the refund was made; it is polled until it is final.
        RefundStatus::Pending | RefundStatus::RequiresAction | RefundStatus::Unknown(_) => {
            RefundCommand::Record(id, waits_for(refund).to_owned())
        }
    };
    observation.settle(transaction, vec![command]).await
}

/// Returns the transaction that a refund's metadata names, if a call of ours made the refund for it.
async fn attributed(observation: &Observation<'_>, refund: &Refund) -> Result<Option<Transaction>, JobError> {
    let claim = observation
        .attributed(
            Operation::Refund,
            Flow::DepositRefund,
            refund.id.as_str(),
            refund.metadata,
        )
        .await?;
    let Some(claim) = claim else { return Ok(None) };
    let fits = claim.transaction.amount == refund.amount;
    if !claim.is_ours(fits, &[Stage::Accepted, Stage::Held])? || !fits {
        return Ok(None);
    }
    // A refund that our own call made is held, unless it was made before a restore of the database.
    match claim.transaction.stage {
        Stage::Accepted => Err(JobError::AfterAnother("the refund is not held yet")),
        // Its transaction has ended without the refund, and what has left is booked separately.
        Stage::Failed | Stage::Cancelled => Ok(None),
        _ => Ok(Some(claim.transaction)),
    }
}

/// Books a refund that this system did not make, for example one made in Stripe's dashboard: its money has left.
async fn outside(observation: &Observation<'_>, refund: &Refund) -> Result<(), JobError> {
    let of_nothing = "the refund is of no deposit of ours";
    let Some(intent) = &refund.payment_intent else {
        return observation.close(EventEnd::Ignored, of_nothing).await;
    };
    let Some(deposit) = deposit_of(observation, intent).await? else {
        return observation.close(EventEnd::Ignored, of_nothing).await;
    };
    match deposit.stage {
        // What lies in suspense is returned to the payer, even if the deposit has ended since by an operator's decision.
        Stage::InReview | Stage::Failed | Stage::Cancelled => {
            of_suspense(observation, &deposit, refund).await
        }
        Stage::Completed if is_ours(observation, &deposit, refund).await? => {
            of_suspense(observation, &deposit, refund).await
        }
        _ if has_failed(refund) => never_left(observation, &deposit, refund).await,
        Stage::Completed if refund.amount.currency() == deposit.amount.currency() => {
            let transaction = observation
                .open(&ExternalMovement {
                    flow: Flow::OutsideRefund,
                    original: &deposit,
                    reference: ExternalRef::Refund(refund.id.clone()),
                    also: None,
                    amount: refund.amount,
                    words: format!(
                        "{} of the deposit was refunded at the payment provider",
                        refund.amount
                    ),
                })
                .await?;
            apply(observation, &transaction, refund).await
        }
        Stage::Completed => {
            observation
                .needs_a_person("the refund is in another currency than its deposit")
                .await
        }
        _ => Err(JobError::AfterAnother(
            "the payment that was refunded is not booked yet",
        )),
    }
}

/// Closes a refund that failed before it was known here. Stripe moved the same amount out and back: a
/// reconciliation traces both movements to the deposit, and also Stripe's fee for the refund, which remains.
async fn never_left(
    observation: &Observation<'_>,
    deposit: &Transaction,
    refund: &Refund,
) -> Result<(), JobError> {
    match fee_of(taking(observation, refund).await?.as_ref()) {
        Some(fee) => observation.settle(deposit, vec![fee]).await,
        None => {
            observation
                .close(EventEnd::Processed, "the refund never left")
                .await
        }
    }
}

/// Returns the movement by which a refund took its money from the platform's balance, or `None` while it has taken nothing.
pub(super) async fn taking(
    observation: &Observation<'_>,
    refund: &Refund,
) -> Result<Option<BalanceTransaction>, JobError> {
    let Some(movement) = &refund.balance_transaction else {
        return Ok(None);
    };
    let client = observation.worker.calls.client();
    Ok(Some(
        observation
            .ask(client.retrieve_balance_transaction(movement))
            .await?,
    ))
}

/// Returns the command that books what Stripe charged for a refund, by the movement that took its money. Some
/// contracts include such a fee (<https://support.stripe.com/questions/understanding-fees-for-refunded-payments>).
pub(super) fn fee_of(taking: Option<&BalanceTransaction>) -> Option<Command> {
    taking
        .filter(|movement| !movement.fee.is_zero())
        .map(|movement| Command::BookFee(entry(movement)))
}

/// Whether a call of ours made the refund for the deposit, as an operator decided.
pub(super) async fn is_ours(
    observation: &Observation<'_>,
    deposit: &Transaction,
    refund: &Refund,
) -> Result<bool, JobError> {
    let (subject, id) = (deposit.id.uuid(), refund.id.as_str());
    match observation
        .worker
        .calls
        .author(Operation::Refund, subject, id)
        .await?
    {
        Author::Us => Ok(true),
        Author::Others => Ok(false),
        Author::Undecided => Err(JobError::AfterCall("the call that may have made it is under way")),
    }
}

pub(super) const fn has_failed(refund: &Refund) -> bool {
    matches!(refund.status, RefundStatus::Failed | RefundStatus::Canceled)
}

/// Opens a transaction that returns the money of a completed refund; the refund itself stays completed.
async fn returned(
    observation: &Observation<'_>,
    original: &Transaction,
    refund: &Refund,
) -> Result<(), JobError> {
    // Keyed by the refund, which may be reported several times, with its movement named or not yet
    // (https://docs.stripe.com/api/refunds/object#refund_object-failure_balance_transaction).
    let movement = refund.failure_balance_transaction.as_ref();
    observation
        .open(&ExternalMovement {
            flow: Flow::RefundReturn,
            original,
            reference: ExternalRef::Return(Returned::Refund(refund.id.clone())),
            also: movement.map(|movement| ExternalRef::Return(Returned::Movement(movement.clone()))),
            amount: original.amount,
            words: format!("the refund did not reach the payer: {}", sentence(refund)),
        })
        .await?;
    observation
        .close(EventEnd::Processed, "the refund came back after it had succeeded")
        .await
}

pub(super) fn sentence(refund: &Refund) -> String {
    match (&refund.status, refund.failure_reason.as_deref()) {
        (RefundStatus::Canceled, _) => "the refund was cancelled".to_owned(),
        (_, Some("lost_or_stolen_card")) => "the payer's card is lost or stolen".to_owned(),
        (_, Some("expired_or_canceled_card")) => "the payer's card is expired or cancelled".to_owned(),
        (_, Some(reason)) => format!("the refund failed ({reason})"),
        (_, None) => "the refund failed".to_owned(),
    }
}

pub(super) fn waits_for(refund: &Refund) -> &'static str {
    match (&refund.status, refund.pending_reason.as_deref()) {
        (RefundStatus::RequiresAction, _) => "the payer is asked where the money shall go",
        (_, Some("insufficient_funds")) => "the refund waits for funds at the payment provider",
        (_, Some("charge_pending")) => "the refund waits until the payment itself has settled",
        _ => "the refund is on its way to the payer",
    }
}
