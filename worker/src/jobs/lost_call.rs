//! What was sent by books that are lost: after a backup was restored, Stripe may have a transfer, a payout or a refund of which these books know
//! nothing. Before anything is given back that may have left, Stripe is asked, and what it has is taken for the answer to our own call.

use wallet_core::flows::{Flow, Stage};
use wallet_core::payees;
use wallet_core::stripe::{
    CLOCKS_DIFFER, CallError, Operation, PayoutStatus, RefundStatus, ReversalStatus, Transfer,
};
use wallet_core::transactions::Transaction;

use super::refund_create::{intent_of, refund_of};
use super::withdrawal_payout::payout_of;
use super::withdrawal_reversal::{left_of, reversals};
use super::withdrawal_transfer::{account_of, transfer_of};
use crate::observe::{bank_of, is_what_was_asked_for};
use crate::outcome::JobError;
use crate::worker::Worker;

/// Records what Stripe has for a transaction that has sent nothing by these books; says whether it has something.
pub(super) async fn adopt_what_was_sent(
    worker: &Worker,
    transaction: &Transaction,
) -> Result<bool, JobError> {
    let id = transaction.id.uuid();
    let Some(operation) = sends(transaction) else {
        return Ok(false);
    };
    if worker.calls.is_undecided(operation, id).await? {
        return Ok(false);
    }
    let made = match operation {
        Operation::Transfer => transfer_made(worker, transaction).await?,
        Operation::Payout => payout_made(worker, transaction).await?,
        _ => refund_made(worker, transaction).await?,
    };
    let Some(object) = made else { return Ok(false) };
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

/// Whether its money has left, or may have, by these books or by lost ones.
pub(super) async fn was_sent(worker: &Worker, transaction: &Transaction) -> Result<bool, JobError> {
    let Some(operation) = sends(transaction) else {
        return Ok(false);
    };
    let is_known = worker
        .calls
        .is_undecided(operation, transaction.id.uuid())
        .await?;
    Ok(is_known || adopt_what_was_sent(worker, transaction).await?)
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

/// The transfer of the transaction's group that is what it asks for, and was not taken back in the whole. Of several a person takes back those
/// that are too many: only transfers can be.
async fn transfer_made(worker: &Worker, transaction: &Transaction) -> Result<Option<String>, JobError> {
    let listing = worker.calls.gateway().list_transfers(transaction.id);
    let listed = worker.calls.ask(Operation::Transfer.lane(), listing).await?;
    let destination = account_of(transaction)?;
    let mut ours = Vec::new();
    for transfer in listed {
        let is_ours = transfer.metadata.transaction_id == Some(transaction.id)
            && transfer.amount == transaction.amount
            && transfer.destination.as_ref() == Some(&destination);
        if is_ours && !is_taken_back(worker, &transfer).await? {
            ours.push(transfer.id.as_str().to_owned());
        }
    }
    if ours.len() > 1 {
        let several = ours.join(", ");
        return Err(JobError::Park(format!(
            "{several} were each sent for it, by books that are lost: take all but one of them back at Stripe, then requeue this job"
        )));
    }
    Ok(ours.pop())
}

/// Whether all of a transfer is back. A reversal that waits for money of the account, or has failed, has taken nothing.
async fn is_taken_back(worker: &Worker, transfer: &Transfer) -> Result<bool, JobError> {
    if transfer.amount_reversed.is_zero() {
        return Ok(false);
    }
    let mut taken = reversals(worker, &transfer.id).await?;
    taken.retain(|reversal| reversal.status == ReversalStatus::Succeeded);
    Ok(left_of(transfer.amount, &taken)?.is_zero())
}

/// The payout of the account that names the transaction, is what it asks for, and has not failed: what has failed is on the account again. Of
/// several the one that was paid, or the first; the others have taken other money of the account, and are told of as made by others.
async fn payout_made(worker: &Worker, transaction: &Transaction) -> Result<Option<String>, JobError> {
    let account = account_of(transaction)?;
    let bank = bank_of(worker, transaction).await?;
    let listing = worker
        .calls
        .gateway()
        .list_payouts(&account, transaction.created_at - CLOCKS_DIFFER);
    let listed = match worker.calls.ask(Operation::Payout.lane(), listing).await {
        // What is not connected any more cannot be asked: what is there of the transfer can be taken back all the same.
        Err(CallError::Gateway(error)) if payees::is_gone(&error) => return Ok(None),
        listed => listed?,
    };
    let ours = listed.into_iter().filter(|payout| {
        payout.metadata.transaction_id == Some(transaction.id)
            && !matches!(payout.status, PayoutStatus::Failed | PayoutStatus::Canceled)
            && is_what_was_asked_for(transaction, bank.as_ref(), payout)
    });
    let first = ours.min_by_key(|payout| (payout.status != PayoutStatus::Paid, payout.created));
    Ok(first.map(|payout| payout.id.as_str().to_owned()))
}

/// The refund of the payment that names the transaction, is what it asks for, and has not failed. Of several the first: the others have left as
/// well, and are booked by their events as made by others.
async fn refund_made(worker: &Worker, transaction: &Transaction) -> Result<Option<String>, JobError> {
    let intent = intent_of(worker, transaction).await?;
    let listing = worker.calls.gateway().list_refunds(&intent);
    let listed = worker.calls.ask(Operation::Refund.lane(), listing).await?;
    let ours = listed.into_iter().filter(|refund| {
        refund.metadata.transaction_id == Some(transaction.id)
            && !matches!(refund.status, RefundStatus::Failed | RefundStatus::Canceled)
            && refund.amount == transaction.amount
    });
    let first = ours.min_by_key(|refund| refund.created);
    Ok(first.map(|refund| refund.id.as_str().to_owned()))
}
