//! A refund of a deposit, made by us or by somebody else at Stripe. It may fail after it has succeeded.

use wallet_core::accept::Found;
use wallet_core::flows::{Command, RefundCommand};
use wallet_core::stripe::{Author, BalanceTransaction, Operation, Refund, RefundId, RefundStatus};
use wallet_core::transactions::{
    ExternalRef, FailureCode, FailureReason, Flow, Returned, Stage, Transaction,
};

use super::payment_intent::deposit_of;
use super::suspense::of_suspense;
use super::{Look, entry};
use crate::job_error::JobError;
use wallet_core::inbox::EventEnd;

/// Looks at a refund and settles what its state asks for.
pub(crate) async fn refund(look: &Look<'_>, id: &RefundId) -> Result<(), JobError> {
    let client = look.worker.calls.client();
    let refund = look.ask(client.retrieve_refund(id)).await?;
    let recorded = match look.owner(&ExternalRef::Refund(id.clone())).await? {
        Some(transaction) => Some(transaction),
        None => look.owner(&ExternalRef::RefundBegun(id.clone())).await?,
    };
    if let Some(transaction) = recorded {
        return match transaction.flow {
            Flow::DepositRefund | Flow::OutsideRefund => apply(look, &transaction, &refund).await,
            Flow::Deposit => of_suspense(look, &transaction, &refund).await,
            _ => {
                look.close(EventEnd::Processed, "the refund was booked before")
                    .await
            }
        };
    }
    match claimed(look, &refund).await? {
        Some(transaction) => apply(look, &transaction, &refund).await,
        None => outside(look, &refund).await,
    }
}

/// Settles what the state of a refund asks for of its transaction.
pub(crate) async fn apply(
    look: &Look<'_>,
    transaction: &Transaction,
    refund: &Refund,
) -> Result<(), JobError> {
    let id = refund.id.clone();
    if transaction.stage == Stage::Completed && has_failed(refund) {
        return returned(look, transaction, refund).await;
    }
    let command = match refund.status {
        RefundStatus::Succeeded => RefundCommand::Settle(id),
        RefundStatus::Failed | RefundStatus::Canceled => {
            let reason = FailureReason::new(FailureCode::RefundFailed, sentence(refund));
            RefundCommand::Fail(id, reason)
        }
        // Of a status of tomorrow only this is known: the refund was made, and it is asked about until it is final.
        RefundStatus::Pending | RefundStatus::RequiresAction | RefundStatus::Unknown(_) => {
            RefundCommand::Record(id, waits_for(refund).to_owned())
        }
    };
    look.settle(transaction, vec![command]).await
}

/// The transaction that a refund's metadata names, if a call of ours made the refund for it.
async fn claimed(look: &Look<'_>, refund: &Refund) -> Result<Option<Transaction>, JobError> {
    let claim = look
        .claimed(
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
    // What our own call has made is held, except when books that are lost have made it.
    match claim.transaction.stage {
        Stage::Accepted => Err(JobError::AfterAnother("the refund is not held yet")),
        // Its transaction has ended without it, and what has left is booked all the same.
        Stage::Failed | Stage::Cancelled => Ok(None),
        _ => Ok(Some(claim.transaction)),
    }
}

/// A refund that this system did not make, such as one of Stripe's dashboard: its money has left, so it is booked.
async fn outside(look: &Look<'_>, refund: &Refund) -> Result<(), JobError> {
    let of_nothing = "the refund is of no deposit of ours";
    let Some(intent) = &refund.payment_intent else {
        return look.close(EventEnd::Ignored, of_nothing).await;
    };
    let Some(deposit) = deposit_of(look, intent).await? else {
        return look.close(EventEnd::Ignored, of_nothing).await;
    };
    match deposit.stage {
        // What lies in suspense goes back to the payer; so it does when the deposit has ended since, by an operator's decision.
        Stage::InReview | Stage::Failed | Stage::Cancelled => of_suspense(look, &deposit, refund).await,
        Stage::Completed if is_ours(look, &deposit, refund).await? => {
            of_suspense(look, &deposit, refund).await
        }
        _ if has_failed(refund) => never_left(look, &deposit, refund).await,
        Stage::Completed if refund.amount.currency() == deposit.amount.currency() => {
            let transaction = look
                .open(&Found {
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
            apply(look, &transaction, refund).await
        }
        Stage::Completed => {
            look.needs_a_person("the refund is in another currency than its deposit")
                .await
        }
        _ => Err(JobError::AfterAnother(
            "the payment that was refunded is not booked yet",
        )),
    }
}

/// A refund that failed before anybody here heard of it. Stripe has moved as much there and back: both lead to the deposit when the books are
/// compared with Stripe, and so does what Stripe charged for it, which stays.
async fn never_left(look: &Look<'_>, deposit: &Transaction, refund: &Refund) -> Result<(), JobError> {
    match fee_of(taking(look, refund).await?.as_ref()) {
        Some(fee) => look.settle(deposit, vec![fee]).await,
        None => look.close(EventEnd::Processed, "the refund never left").await,
    }
}

/// The movement by which a refund took its money from the platform's balance; none while it has taken nothing.
pub(super) async fn taking(look: &Look<'_>, refund: &Refund) -> Result<Option<BalanceTransaction>, JobError> {
    let Some(movement) = &refund.balance_transaction else {
        return Ok(None);
    };
    let client = look.worker.calls.client();
    Ok(Some(
        look.ask(client.retrieve_balance_transaction(movement)).await?,
    ))
}

/// Books what Stripe charged for a refund by the movement that took its money, if it charged anything: with some contracts it does
/// (<https://support.stripe.com/questions/understanding-fees-for-refunded-payments>).
pub(super) fn fee_of(taking: Option<&BalanceTransaction>) -> Option<Command> {
    taking
        .filter(|movement| !movement.fee.is_zero())
        .map(|movement| Command::BookFee(entry(movement)))
}

/// Whether a call of ours has made the refund for the deposit, as an operator has decided.
pub(super) async fn is_ours(
    look: &Look<'_>,
    deposit: &Transaction,
    refund: &Refund,
) -> Result<bool, JobError> {
    let (subject, id) = (deposit.id.uuid(), refund.id.as_str());
    match look.worker.calls.author(Operation::Refund, subject, id).await? {
        Author::Us => Ok(true),
        Author::Others => Ok(false),
        Author::Undecided => Err(JobError::AfterCall("the call that may have made it is under way")),
    }
}

pub(super) const fn has_failed(refund: &Refund) -> bool {
    matches!(refund.status, RefundStatus::Failed | RefundStatus::Canceled)
}

/// The refund is completed and stays so: a transaction of its own brings the money back.
async fn returned(look: &Look<'_>, original: &Transaction, refund: &Refund) -> Result<(), JobError> {
    // Booked by the refund, which is told of once or many times, with its movement named or not yet
    // (https://docs.stripe.com/api/refunds/object#refund_object-failure_balance_transaction).
    let movement = refund.failure_balance_transaction.as_ref();
    look.open(&Found {
        flow: Flow::RefundReturn,
        original,
        reference: ExternalRef::Return(Returned::Refund(refund.id.clone())),
        also: movement.map(|movement| ExternalRef::Return(Returned::Movement(movement.clone()))),
        amount: original.amount,
        words: format!("the refund did not reach the payer: {}", sentence(refund)),
    })
    .await?;
    look.close(EventEnd::Processed, "the refund came back after it had succeeded")
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
