//! What was sent by books that are lost: after a backup was restored, Stripe may have a transfer, a payout or a refund of which these books know
//! nothing. Before anything is given back that may have left, Stripe is asked, and what it has is taken for the answer to our own call.

use wallet_core::payees;
use wallet_core::stripe::{CallError, CreateTransfer, Operation, StripeTransferId, made};
use wallet_core::transactions::{Flow, Stage, Transaction};

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
    let (calls, id) = (&worker.calls, transaction.id.uuid());
    if calls.is_undecided(operation, id).await? && !is_forgotten(worker, transaction).await? {
        return Ok(false);
    }
    let object = match operation {
        Operation::Transfer => {
            let object = transfer_that_left(worker, transaction).await?;
            if let Some(object) = &object {
                // From now on its account is read and asked like any that was paid from here.
                let (account, now) = (account_of(transaction)?, worker.clock.now());
                payees::mark_paid(&mut *worker.db.conn().await?, &account, now).await?;
                calls.adopt(id, &transfer_of(transaction)?, object).await?;
            }
            object
        }
        Operation::Payout => {
            let object = payout_that_left(worker, transaction).await?;
            if let Some(object) = &object {
                let call = payout_of(worker, transaction).await?;
                calls.adopt(id, &call, object).await?;
            }
            object
        }
        _ => {
            let call = refund_of(transaction, intent_of(worker, transaction).await?);
            let object = calls.find_what_left(id, &call, transaction.created_at).await?;
            if let Some(object) = &object {
                calls.adopt(id, &call, object).await?;
            }
            object
        }
    };
    if let Some(object) = &object {
        tracing::warn!(transaction_id = %transaction.id, object, "sent by books that are lost");
    }
    Ok(object.is_some())
}

/// A transfer of a withdrawal that is there, and was not taken back.
pub(super) async fn transfer_that_left(
    worker: &Worker,
    transaction: &Transaction,
) -> Result<Option<String>, JobError> {
    let (id, call) = (transaction.id.uuid(), transfer_of(transaction)?);
    let found = worker.calls.find_what_left(id, &call, transaction.created_at);
    Ok(found.await?)
}

/// A payout of a withdrawal that has not failed.
async fn payout_that_left(worker: &Worker, transaction: &Transaction) -> Result<Option<String>, JobError> {
    let (id, call) = (transaction.id.uuid(), payout_of(worker, transaction).await?);
    match worker
        .calls
        .find_what_left(id, &call, transaction.created_at)
        .await
    {
        // What is not connected any more cannot be asked: what is there of the transfer can be taken back all the same.
        Err(CallError::Stripe(error)) if payees::is_gone(&error) => Ok(None),
        found => Ok(found?),
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
    let id = transaction.id.uuid();
    let made = made::<CreateTransfer>(&mut *worker.db.conn().await?, id).await?;
    let Some(made) = made else { return Ok(false) };
    let has_left = !is_taken_back(worker, &made).await?
        || transfer_that_left(worker, transaction).await?.is_some()
        || payout_that_left(worker, transaction).await?.is_some();
    if !has_left {
        worker
            .calls
            .forget(Operation::Transfer, id, made.as_str())
            .await?;
    }
    Ok(!has_left)
}

/// Whether all of a transfer is back.
pub(super) async fn is_taken_back(worker: &Worker, transfer: &StripeTransferId) -> Result<bool, JobError> {
    let client = worker.calls.client();
    let question = async {
        client
            .is_taken_back(&client.retrieve_transfer(transfer).await?)
            .await
    };
    Ok(worker.calls.ask(Operation::Transfer.lane(), question).await?)
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
