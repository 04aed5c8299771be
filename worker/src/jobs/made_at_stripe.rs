//! What Stripe has that one of our own calls may have made, when the record of calls does not say: a key is forgotten after a day, and the books
//! may be those of a restored backup.

use chrono::{DateTime, Utc};
use wallet_core::alarms;
use wallet_core::ids::TransactionId;
use wallet_core::money::Money;
use wallet_core::stripe::{
    CustomerId, LookUp, Operation, PaymentIntentId, PaymentIntentStatus, PayoutStatus, RefundStatus,
    ReversalStatus, StripeTransferId, Transfer,
};
use wallet_core::transactions::Transaction;

use super::withdrawal_reversal::{left_of, reversals};
use super::withdrawal_transfer::account_of;
use crate::job_error::JobError;
use crate::observations::{bank_of, is_what_was_asked_for};
use crate::worker::Worker;

/// An object that names the transaction and is in all what our call asks for.
#[derive(Debug, Clone)]
pub(super) struct Made {
    id: String,
    created: DateTime<Utc>,
    state: State,
}

/// What has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// It has come to its end.
    Done,
    /// It is under way.
    UnderWay,
    /// It waits for somebody to begin.
    Waiting,
    /// It has failed, or was taken back: it has moved nothing in the end.
    Undone,
}

impl Made {
    fn new(id: &str, created: DateTime<Utc>, state: State) -> Self {
        let id = id.to_owned();
        Self { id, created, state }
    }
}

/// Writes down what a look-up has found: the object that is ours, or none.
pub(super) async fn found(
    worker: &Worker,
    transaction: TransactionId,
    look_up: &LookUp,
    mut made: Vec<Made>,
) -> Result<(), JobError> {
    made.retain(|made| look_up.may_have_made(made.created));
    let ids: Vec<&str> = made.iter().map(|made| made.id.as_str()).collect();
    let of_none: Vec<String> = (worker.calls.of_no_other_attempt(look_up, &ids).await?.into_iter())
        .map(str::to_owned)
        .collect();
    made.retain(|made| of_none.contains(&made.id));
    match own(worker, transaction, made).await? {
        Some(object) => worker.calls.resolve_found(&look_up.key, &object).await?,
        None => worker.calls.resolve_absent(&look_up.key).await?,
    }
    Ok(())
}

/// Of what may have left, the one that is the transaction's own.
pub(super) async fn left(
    worker: &Worker,
    transaction: TransactionId,
    mut made: Vec<Made>,
) -> Result<Option<String>, JobError> {
    made.retain(|made| made.state != State::Undone);
    own(worker, transaction, made).await
}

/// Of several that look alike the one that is done, or the first, is the transaction's own: it has what was asked for. A person is told of the
/// others, whose money has left as well.
async fn own(
    worker: &Worker,
    transaction: TransactionId,
    mut made: Vec<Made>,
) -> Result<Option<String>, JobError> {
    made.sort_by_key(|made| (made.state, made.created));
    let mut made = made.into_iter();
    let Some(own) = made.next() else { return Ok(None) };
    let others: Vec<String> = made
        .filter(|other| other.state != State::Undone)
        .map(|other| other.id)
        .collect();
    if !others.is_empty() {
        let message = format!(
            "{} was made for {transaction} at Stripe as well as {}, which is taken for its own: find out who made it, and take it back if that is possible",
            others.join(", "),
            own.id
        );
        let (conn, now) = (&mut worker.db.conn().await?, worker.clock.now());
        alarms::raise(conn, alarms::MADE_TWICE, &transaction.to_string(), &message, now).await?;
    }
    Ok(Some(own.id))
}

/// The transfers of a withdrawal's group.
pub(super) async fn transfers(worker: &Worker, transaction: &Transaction) -> Result<Vec<Made>, JobError> {
    let listing = worker.calls.client().list_transfers(transaction.id);
    let listed = worker.calls.ask(Operation::Transfer.lane(), listing).await?;
    let destination = account_of(transaction)?;
    let mut made = Vec::new();
    for transfer in listed {
        let is_ours = transfer.metadata.transaction_id == Some(transaction.id)
            && transfer.amount == transaction.amount
            && transfer.destination.as_ref() == Some(&destination);
        if is_ours {
            let state = if is_back(worker, &transfer).await? {
                State::Undone
            } else {
                State::Done
            };
            made.push(Made::new(transfer.id.as_str(), transfer.created, state));
        }
    }
    Ok(made)
}

/// Whether all of a transfer is back, by Stripe's word.
pub(super) async fn is_taken_back(worker: &Worker, transfer: &str) -> Result<bool, JobError> {
    let id: StripeTransferId = transfer
        .parse()
        .map_err(|_| JobError::Park(format!("{transfer} is no transfer")))?;
    let question = worker.calls.client().retrieve_transfer(&id);
    let transfer = worker.calls.ask(Operation::Transfer.lane(), question).await?;
    is_back(worker, &transfer).await
}

/// A reversal that waits for money of the account, or has failed, has taken nothing.
async fn is_back(worker: &Worker, transfer: &Transfer) -> Result<bool, JobError> {
    if transfer.amount_reversed.is_zero() {
        return Ok(false);
    }
    let mut taken = reversals(worker, &transfer.id).await?;
    taken.retain(|reversal| reversal.status == ReversalStatus::Succeeded);
    Ok(left_of(transfer.amount, &taken)?.is_zero())
}

/// The payouts of a withdrawal's account, made since then; of an account that is not connected any more nobody can say.
pub(super) async fn payouts(
    worker: &Worker,
    transaction: &Transaction,
    since: DateTime<Utc>,
) -> Result<Vec<Made>, JobError> {
    let account = account_of(transaction)?;
    let bank = bank_of(worker, transaction).await?;
    let listing = worker.calls.client().list_payouts(&account, since);
    let listed = worker.calls.ask(Operation::Payout.lane(), listing).await?;
    let ours = listed.iter().filter(|payout| {
        payout.metadata.transaction_id == Some(transaction.id)
            && is_what_was_asked_for(transaction, bank.as_ref(), payout)
    });
    Ok(ours
        .map(|payout| {
            let state = match payout.status {
                PayoutStatus::Paid => State::Done,
                PayoutStatus::Failed | PayoutStatus::Canceled => State::Undone,
                PayoutStatus::Pending | PayoutStatus::InTransit | PayoutStatus::Unknown(_) => State::UnderWay,
            };
            Made::new(payout.id.as_str(), payout.created, state)
        })
        .collect())
}

/// The refunds of a payment of so much.
pub(super) async fn refunds(
    worker: &Worker,
    (transaction, amount): (TransactionId, Money),
    intent: &PaymentIntentId,
) -> Result<Vec<Made>, JobError> {
    let listing = worker.calls.client().list_refunds(intent);
    let listed = worker.calls.ask(Operation::Refund.lane(), listing).await?;
    let ours = listed
        .iter()
        .filter(|refund| refund.metadata.transaction_id == Some(transaction) && refund.amount == amount);
    Ok(ours
        .map(|refund| {
            let state = match refund.status {
                RefundStatus::Succeeded => State::Done,
                RefundStatus::Failed | RefundStatus::Canceled => State::Undone,
                RefundStatus::Pending | RefundStatus::RequiresAction | RefundStatus::Unknown(_) => {
                    State::UnderWay
                }
            };
            Made::new(refund.id.as_str(), refund.created, state)
        })
        .collect())
}

/// The payment intents of a customer for a deposit, made since then.
pub(super) async fn payment_intents(
    worker: &Worker,
    transaction: &Transaction,
    customer: &CustomerId,
    since: DateTime<Utc>,
) -> Result<Vec<Made>, JobError> {
    let listing = worker.calls.client().list_payment_intents(customer, since);
    let listed = worker.calls.ask(Operation::PaymentIntent.lane(), listing).await?;
    let ours = listed.iter().filter(|intent| {
        intent.metadata.transaction_id == Some(transaction.id) && intent.amount == transaction.amount
    });
    Ok(ours
        .map(|intent| {
            let state = match intent.status {
                PaymentIntentStatus::Succeeded => State::Done,
                PaymentIntentStatus::Canceled => State::Undone,
                PaymentIntentStatus::RequiresPaymentMethod
                | PaymentIntentStatus::RequiresConfirmation
                | PaymentIntentStatus::RequiresAction => State::Waiting,
                PaymentIntentStatus::Processing
                | PaymentIntentStatus::RequiresCapture
                | PaymentIntentStatus::Unknown(_) => State::UnderWay,
            };
            Made::new(intent.id.as_str(), intent.created, state)
        })
        .collect())
}

/// The reversals of a transfer of so much, without those that have taken nothing and never will.
pub(super) async fn reversals_of(
    worker: &Worker,
    (transaction, amount): (TransactionId, Money),
    transfer: &StripeTransferId,
) -> Result<Vec<Made>, JobError> {
    let listed = reversals(worker, transfer).await?;
    let ours = listed.iter().filter(|reversal| {
        reversal.metadata.transaction_id == Some(transaction)
            && !matches!(reversal.status, ReversalStatus::Failed | ReversalStatus::Canceled)
            && reversal.amount == amount
    });
    Ok(ours
        .map(|reversal| {
            let state = match reversal.status {
                ReversalStatus::Succeeded => State::Done,
                _ => State::UnderWay,
            };
            Made::new(reversal.id.as_str(), reversal.created, state)
        })
        .collect())
}
