//! What was sent by books that are lost: after a backup was restored, Stripe may have a transfer, a payout or a refund of which these books know
//! nothing. Before anything is given back that may have left, Stripe is asked, and what it has is taken for the answer to our own call.

use wallet_core::payees;
use wallet_core::stripe::{CLOCKS_DIFFER, CallError, Operation, made};
use wallet_core::transactions::{Flow, Stage, Transaction};

use super::made_at_stripe::{self, Made};
use super::refund_create::{intent_of, refund_of};
use super::withdrawal_payout::payout_of;
use super::withdrawal_transfer::{account_of, transfer_of};
use crate::job_error::JobError;
use crate::worker::Worker;

/// Records what Stripe has for a transaction that has sent nothing by these books; says whether it has something.
pub(super) async fn adopt_what_was_sent(
    worker: &Worker,
    transaction: &Transaction,
) -> Result<bool, JobError> {
    match sends(transaction) {
        Some(operation) => adopt(worker, transaction, operation).await,
        None => Ok(false),
    }
}

/// Records what Stripe has of one operation for a transaction that has none by these books; says whether it has something.
pub(super) async fn adopt(
    worker: &Worker,
    transaction: &Transaction,
    operation: Operation,
) -> Result<bool, JobError> {
    let id = transaction.id.uuid();
    if worker.calls.is_undecided(operation, id).await? && !is_forgotten(worker, transaction).await? {
        return Ok(false);
    }
    let made = match operation {
        Operation::Transfer => made_at_stripe::transfers(worker, transaction).await?,
        Operation::Payout => payouts(worker, transaction).await?,
        _ => {
            let intent = intent_of(worker, transaction).await?;
            made_at_stripe::refunds(worker, (transaction.id, transaction.amount), &intent).await?
        }
    };
    let Some(object) = made_at_stripe::left(worker, transaction.id, made).await? else {
        return Ok(false);
    };
    match operation {
        Operation::Transfer => {
            // From now on its account is read and asked like any that was paid from here.
            let account = account_of(transaction)?;
            let now = worker.clock.now();
            payees::mark_paid(&mut *worker.db.conn().await?, account.as_str(), now).await?;
            worker
                .calls
                .adopt(id, &transfer_of(transaction)?, &object)
                .await?;
        }
        Operation::Payout => {
            let call = payout_of(worker, transaction).await?;
            worker.calls.adopt(id, &call, &object).await?;
        }
        _ => {
            let call = refund_of(transaction, intent_of(worker, transaction).await?);
            worker.calls.adopt(id, &call, &object).await?;
        }
    }
    tracing::warn!(transaction_id = %transaction.id, object, "sent by books that are lost");
    Ok(true)
}

/// The payouts of a withdrawal since it began.
async fn payouts(worker: &Worker, transaction: &Transaction) -> Result<Vec<Made>, JobError> {
    let since = transaction.created_at - CLOCKS_DIFFER;
    match made_at_stripe::payouts(worker, transaction, since).await {
        // What is not connected any more cannot be asked: what is there of the transfer can be taken back all the same.
        Err(JobError::Call(CallError::Stripe(error))) if payees::is_gone(&error) => Ok(Vec::new()),
        made => made,
    }
}

/// Whether its money has left, or may have, by these books or by lost ones.
pub(super) async fn was_sent(worker: &Worker, transaction: &Transaction) -> Result<bool, JobError> {
    let Some(operation) = sends(transaction) else {
        return Ok(false);
    };
    let is_adopted = adopt_what_was_sent(worker, transaction).await?;
    let id = transaction.id.uuid();
    Ok(is_adopted || worker.calls.is_undecided(operation, id).await?)
}

/// Forgets a transfer of lost books that was taken back at Stripe before its withdrawal could be held here, if nothing has left in another way.
async fn is_forgotten(worker: &Worker, transaction: &Transaction) -> Result<bool, JobError> {
    if transaction.flow != Flow::Withdrawal || transaction.stage != Stage::Accepted {
        return Ok(false);
    }
    let (operation, id) = (Operation::Transfer, transaction.id.uuid());
    let made = made(&mut *worker.db.conn().await?, operation, id).await?;
    let Some(made) = made else { return Ok(false) };
    let has_left = !made_at_stripe::is_taken_back(worker, &made).await?
        || another_transfer(worker, transaction).await?.is_some()
        || made_at_stripe::left(worker, transaction.id, payouts(worker, transaction).await?)
            .await?
            .is_some();
    if !has_left {
        worker.calls.forget(operation, id, &made).await?;
    }
    Ok(!has_left)
}

/// A transfer of a withdrawal that is still there, when the one on record was taken back.
pub(super) async fn another_transfer(
    worker: &Worker,
    transaction: &Transaction,
) -> Result<Option<String>, JobError> {
    let made = made_at_stripe::transfers(worker, transaction).await?;
    made_at_stripe::left(worker, transaction.id, made).await
}

/// The call by which the money of a transaction goes on from where it is.
const fn sends(transaction: &Transaction) -> Option<Operation> {
    match (transaction.flow, transaction.stage) {
        (Flow::Withdrawal, Stage::Accepted | Stage::Held) => Some(Operation::Transfer),
        (Flow::Withdrawal, Stage::Transferred) => Some(Operation::Payout),
        (Flow::DepositRefund, Stage::Accepted | Stage::Held) => Some(Operation::Refund),
        _ => None,
    }
}
