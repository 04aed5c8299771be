//! What was sent by books that are lost: after a backup was restored, Stripe may have a transfer or a refund of which these books know nothing. Before
//! anything is given back that may have left, Stripe is asked, and what it has is taken for the answer to our own call.

use wallet_core::flows::{Flow, Stage};
use wallet_core::stripe::{Operation, Transfer};
use wallet_core::transactions::Transaction;

use super::refund_create::{intent_of, refund_of};
use super::withdrawal_transfer::{account_of, transfer_of};
use crate::outcome::JobError;
use crate::worker::Worker;

/// Records what Stripe has for a transaction that has sent nothing by these books; says whether it has something.
pub(super) async fn adopt_what_was_sent(
    worker: &Worker,
    transaction: &Transaction,
) -> Result<bool, JobError> {
    let id = transaction.id.uuid();
    let operation = match transaction.flow {
        Flow::Withdrawal => Operation::Transfer,
        Flow::DepositRefund => Operation::Refund,
        _ => return Ok(false),
    };
    let has_left_nothing = matches!(transaction.stage, Stage::Accepted | Stage::Held);
    if !has_left_nothing || worker.calls.is_undecided(operation, id).await? {
        return Ok(false);
    }
    let made = match operation {
        Operation::Transfer => transfers(worker, transaction).await?,
        _ => refunds(worker, transaction).await?,
    };
    let object = match made.as_slice() {
        [] => return Ok(false),
        [object] => object,
        several => {
            let several = several.join(", ");
            let why = format!("{several} were each sent for it, by books that are lost");
            return Err(JobError::Park(why));
        }
    };
    match operation {
        Operation::Transfer => worker.calls.adopt(id, &transfer_of(transaction)?, object).await?,
        _ => {
            let call = refund_of(transaction, intent_of(worker, transaction).await?);
            worker.calls.adopt(id, &call, object).await?;
        }
    }
    tracing::warn!(transaction_id = %transaction.id, object, "sent by books that are lost");
    Ok(true)
}

/// The transfers of the transaction's group that are what it asks for.
async fn transfers(worker: &Worker, transaction: &Transaction) -> Result<Vec<String>, JobError> {
    let listing = worker.calls.gateway().list_transfers(transaction.id);
    let listed = worker.calls.ask(Operation::Transfer.lane(), listing).await?;
    let destination = account_of(transaction)?;
    let is_ours = |transfer: &&Transfer| {
        transfer.metadata.transaction_id == Some(transaction.id)
            && transfer.amount == transaction.amount
            && transfer.destination.as_ref() == Some(&destination)
    };
    let ours = listed.iter().filter(is_ours);
    Ok(ours.map(|transfer| transfer.id.as_str().to_owned()).collect())
}

/// The refunds of the payment that name the transaction and are what it asks for.
async fn refunds(worker: &Worker, transaction: &Transaction) -> Result<Vec<String>, JobError> {
    let intent = intent_of(worker, transaction).await?;
    let listing = worker.calls.gateway().list_refunds(&intent);
    let listed = worker.calls.ask(Operation::Refund.lane(), listing).await?;
    let ours = listed.iter().filter(|refund| {
        refund.metadata.transaction_id == Some(transaction.id) && refund.amount == transaction.amount
    });
    Ok(ours.map(|refund| refund.id.as_str().to_owned()).collect())
}
