//! Finds what was sent before the database was restored from a backup: Stripe may have a transfer, a payout or a refund that this database
//! does not know. Before money that may have left is released, Stripe is asked, and what it has is taken as the answer to our own call.

use wallet_core::payees;
use wallet_core::stripe::{CallError, CreateTransfer, Operation, StripeTransferId, made};
use wallet_core::transactions::{Flow, Stage, Transaction};

use super::refund_create::{intent_of, refund_of};
use super::withdrawal_payout::payout_of;
use super::withdrawal_transfer::{account_of, transfer_of};
use crate::job_error::JobError;
use crate::worker::Worker;

/// Records what Stripe has for a transaction that sent nothing according to this database; returns whether something was found.
pub(super) async fn adopt_what_was_sent(
    worker: &Worker,
    transaction: &Transaction,
) -> Result<bool, JobError> {
    match sends(transaction) {
        Some(operation) => adopt(worker, transaction, operation).await,
        None => Ok(false),
    }
}

/// Records what Stripe has of one operation that this database does not know for a transaction; returns whether something was found.
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
                // From now on the account is polled like any that was paid from this database.
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
        tracing::warn!(transaction_id = %transaction.id, object, "sent before the backup was restored");
    }
    Ok(object.is_some())
}

/// Returns a transfer of the withdrawal that exists at Stripe and was not reversed.
pub(super) async fn transfer_that_left(
    worker: &Worker,
    transaction: &Transaction,
) -> Result<Option<String>, JobError> {
    let (id, call) = (transaction.id.uuid(), transfer_of(transaction)?);
    let found = worker.calls.find_what_left(id, &call, transaction.created_at);
    Ok(found.await?)
}

/// Returns a payout of the withdrawal that has not failed.
async fn payout_that_left(worker: &Worker, transaction: &Transaction) -> Result<Option<String>, JobError> {
    let (id, call) = (transaction.id.uuid(), payout_of(worker, transaction).await?);
    match worker
        .calls
        .find_what_left(id, &call, transaction.created_at)
        .await
    {
        // An account that is not connected cannot be asked; what is left of the transfer can still be reversed.
        Err(CallError::Stripe(error)) if payees::is_gone(&error) => Ok(None),
        found => Ok(found?),
    }
}

/// Whether the transaction's money has left, or may have, by the record of this database or before a restore.
pub(super) async fn was_sent(worker: &Worker, transaction: &Transaction) -> Result<bool, JobError> {
    let Some(operation) = sends(transaction) else {
        return Ok(false);
    };
    let is_adopted = adopt_what_was_sent(worker, transaction).await?;
    let id = transaction.id.uuid();
    Ok(is_adopted || worker.calls.is_undecided(operation, id).await?)
}

/// Forgets a transfer from before a restore that was reversed at Stripe before its withdrawal could be held, if nothing has left in another way.
async fn is_forgotten(worker: &Worker, transaction: &Transaction) -> Result<bool, JobError> {
    if transaction.flow != Flow::Withdrawal || transaction.stage != Stage::Accepted {
        return Ok(false);
    }
    let id = transaction.id.uuid();
    let made = made::<CreateTransfer>(&mut *worker.db.conn().await?, id).await?;
    let Some(made) = made else { return Ok(false) };
    let has_left = !is_reversed(worker, &made).await?
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

/// Whether all of a transfer was reversed.
pub(super) async fn is_reversed(worker: &Worker, transfer: &StripeTransferId) -> Result<bool, JobError> {
    let client = worker.calls.client();
    let question = async {
        client
            .is_reversed(&client.retrieve_transfer(transfer).await?)
            .await
    };
    Ok(worker.calls.ask(Operation::Transfer.lane(), question).await?)
}

/// Returns the call that moves the transaction's money on from its current stage.
const fn sends(transaction: &Transaction) -> Option<Operation> {
    match (transaction.flow, transaction.stage) {
        (Flow::Withdrawal, Stage::Accepted | Stage::Held) => Some(Operation::Transfer),
        (Flow::Withdrawal, Stage::Transferred) => Some(Operation::Payout),
        (Flow::DepositRefund, Stage::Accepted | Stage::Held) => Some(Operation::Refund),
        _ => None,
    }
}
