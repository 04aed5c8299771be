//! Observes a transfer to a connected account. Our own calls record what they made; this finds what others reversed of it.

use wallet_core::flows::WithdrawalCommand;
use wallet_core::inbox::EventEnd;
use wallet_core::stripe::{Author, Operation, Reversal, ReversalStatus, StripeTransferId, Transfer};
use wallet_core::transactions::{ExternalRef, Flow, Stage};

use super::Observation;
use crate::job_error::JobError;
use crate::worker::Worker;

/// Observes a transfer: books what somebody else reversed of it.
pub(crate) async fn transfer(observation: &Observation<'_>, id: &StripeTransferId) -> Result<(), JobError> {
    let found = observation.owner(&ExternalRef::Transfer(id.clone())).await?;
    let recorded = found.filter(|found| found.flow == Flow::Withdrawal);
    let is_new = observation
        .event
        .is_some_and(|event| event.event_type == "transfer.created");
    if recorded.is_none() && is_new {
        let note = "nothing is recorded of the transfer, and nothing was taken back of it";
        return observation.close(EventEnd::Ignored, note).await;
    }
    let client = observation.worker.calls.client();
    let transfer = observation.ask(client.retrieve_transfer(id)).await?;
    let is_waited_for = recorded.is_none() && !transfer.amount_reversed.is_zero();
    if is_waited_for && is_to_be_recorded(observation, &transfer).await? {
        return Err(JobError::AfterAnother("the transfer is not recorded yet"));
    }
    let Some(transaction) = recorded else {
        let note = "the transfer is of no withdrawal of ours";
        return observation.close(EventEnd::Ignored, note).await;
    };
    let commands = outside_reversals(observation, &transfer).await?;
    observation.settle(&transaction, commands).await
}

/// Whether a call of ours made a transfer that is not recorded yet: Stripe reported it before the call had
/// its answer (<https://docs.stripe.com/webhooks#event-ordering>).
async fn is_to_be_recorded(observation: &Observation<'_>, transfer: &Transfer) -> Result<bool, JobError> {
    let operation = Operation::Transfer;
    let attribution = observation.attributed(
        operation,
        Flow::Withdrawal,
        transfer.id.as_str(),
        transfer.metadata,
    );
    let Some(attribution) = attribution.await? else {
        return Ok(false);
    };
    let fits = transfer.amount == attribution.transaction.amount;
    attribution.is_ours(fits, &[Stage::Accepted, Stage::Held])
}

/// Returns the commands for the reversals of a transfer that this system did not make.
async fn outside_reversals(
    observation: &Observation<'_>,
    transfer: &Transfer,
) -> Result<Vec<WithdrawalCommand>, JobError> {
    if transfer.amount_reversed.is_zero() {
        return Ok(Vec::new());
    }
    let client = observation.worker.calls.client();
    let reversals = observation.ask(client.list_reversals(&transfer.id)).await?;
    let mut outside = Vec::new();
    // A reversal that is held until the account has the money, or that failed, has taken nothing.
    let done = |reversal: &Reversal| reversal.status == ReversalStatus::Succeeded;
    for reversal in reversals.into_iter().filter(done) {
        match reversal_author(observation.worker, &reversal).await? {
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

/// Returns who made a reversal. Its metadata leads to the record of our call, and proves nothing by itself.
pub(crate) async fn reversal_author(worker: &Worker, reversal: &Reversal) -> Result<Author, JobError> {
    let Some(transaction) = reversal.metadata.transaction_id else {
        return Ok(Author::Others);
    };
    let author = worker
        .calls
        .author(Operation::Reversal, transaction.uuid(), reversal.id.as_str());
    Ok(author.await?)
}
