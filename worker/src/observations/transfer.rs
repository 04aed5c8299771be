//! A transfer to a connected account. Our own calls record what they made; what is looked for here is what others took back of it.

use wallet_core::flows::WithdrawalCommand;
use wallet_core::stripe::{Author, Operation, Reversal, ReversalStatus, StripeTransferId, Transfer};
use wallet_core::transactions::{ExternalRef, Flow, Stage};

use super::Look;
use crate::job_error::JobError;
use crate::worker::Worker;
use wallet_core::inbox::EventEnd;

/// Looks at a transfer and books what somebody else took back of it.
pub(crate) async fn transfer(look: &Look<'_>, id: &StripeTransferId) -> Result<(), JobError> {
    let found = look.owner(&ExternalRef::Transfer(id.clone())).await?;
    let recorded = found.filter(|found| found.flow == Flow::Withdrawal);
    let is_new = look
        .event
        .is_some_and(|event| event.event_type == "transfer.created");
    if recorded.is_none() && is_new {
        let note = "nothing is recorded of the transfer, and nothing was taken back of it";
        return look.close(EventEnd::Ignored, note).await;
    }
    let client = look.worker.calls.client();
    let transfer = look.ask(client.retrieve_transfer(id)).await?;
    let is_waited_for = recorded.is_none() && !transfer.amount_reversed.is_zero();
    if is_waited_for && is_to_be_recorded(look, &transfer).await? {
        return Err(JobError::AfterAnother("the transfer is not recorded yet"));
    }
    let Some(transaction) = recorded else {
        let note = "the transfer is of no withdrawal of ours";
        return look.close(EventEnd::Ignored, note).await;
    };
    let commands = outside_reversals(look, &transfer).await?;
    look.settle(&transaction, commands).await
}

/// Whether a call of ours has made a transfer that nothing is recorded of: Stripe told of it before the call had its answer
/// (<https://docs.stripe.com/webhooks#event-ordering>).
async fn is_to_be_recorded(look: &Look<'_>, transfer: &Transfer) -> Result<bool, JobError> {
    let operation = Operation::Transfer;
    let claim = look.claimed(
        operation,
        Flow::Withdrawal,
        transfer.id.as_str(),
        transfer.metadata,
    );
    let Some(claim) = claim.await? else {
        return Ok(false);
    };
    let fits = transfer.amount == claim.transaction.amount;
    claim.is_ours(fits, &[Stage::Accepted, Stage::Held])
}

/// The reversals of a transfer that this system did not make.
async fn outside_reversals(look: &Look<'_>, transfer: &Transfer) -> Result<Vec<WithdrawalCommand>, JobError> {
    if transfer.amount_reversed.is_zero() {
        return Ok(Vec::new());
    }
    let client = look.worker.calls.client();
    let reversals = look.ask(client.list_reversals(&transfer.id)).await?;
    let mut outside = Vec::new();
    // One that is held until the account has the money, or has failed, has taken nothing.
    let done = |reversal: &Reversal| reversal.status == ReversalStatus::Succeeded;
    for reversal in reversals.into_iter().filter(done) {
        match reversal_author(look.worker, &reversal).await? {
            Author::Us => {}
            Author::Undecided => {
                return Err(JobError::AfterCall("a reversal of ours is under way"));
            }
            Author::Others => {
                outside.push(WithdrawalCommand::RecordOutsideReversal(
                    reversal.id,
                    reversal.amount,
                ));
            }
        }
    }
    Ok(outside)
}

/// Who made a reversal: its metadata leads to the record of our call, and proves nothing by itself.
pub(crate) async fn reversal_author(worker: &Worker, reversal: &Reversal) -> Result<Author, JobError> {
    let Some(transaction) = reversal.metadata.transaction_id else {
        return Ok(Author::Others);
    };
    let author = worker
        .calls
        .author(Operation::Reversal, transaction.uuid(), reversal.id.as_str());
    Ok(author.await?)
}
