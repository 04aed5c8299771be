//! Takes the transfer of a withdrawal back after its payout failed; then the amount is available again.

use wallet_core::flows::{Command, Stage};
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{CallError, CallOutcome, CreateReversal, Lane, LookUp, StripeTransferId, Tags};
use wallet_core::transactions::Transaction;

use super::step;
use crate::outcome::JobError;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.stage != Stage::Returning {
        return worker.finish(job).await;
    }
    let transfer = transfer_of(&transaction)?;
    let call = CreateReversal {
        transfer: transfer.clone(),
        amount: transaction.amount,
        tags: Tags {
            transaction_id: transaction.id,
            wallet_id: transaction.wallet_id,
        },
    };
    let reversal = match worker.calls.run(job.claim, transaction.id.uuid(), call).await {
        Ok(CallOutcome::Fresh(reversal)) => reversal.id.as_str().to_owned(),
        Ok(CallOutcome::Recorded { object_id }) => object_id,
        Err(CallError::LookUpFirst(look_up)) => return look(worker, &transaction, &transfer, &look_up).await,
        // A refusal here leaves the money on the connected account: outcome::end parks it for a person, funds held.
        Err(error) => return Err(error.into()),
    };
    let wallets = transaction.wallets();
    worker
        .settle_locked(
            &wallets,
            &[step(job, &transaction, Command::RecordReversal { reversal })],
        )
        .await?;
    Ok(())
}

fn transfer_of(transaction: &Transaction) -> Result<StripeTransferId, JobError> {
    transaction
        .stripe_transfer_id
        .as_deref()
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| JobError::Park("the withdrawal has no transfer to take back".to_owned()))
}

/// The key can no longer tell: the transfer's reversals can.
async fn look(
    worker: &Worker,
    transaction: &Transaction,
    transfer: &StripeTransferId,
    look_up: &LookUp,
) -> Result<(), JobError> {
    let reversals = worker
        .calls
        .ask(Lane::Withdrawals, worker.calls.gateway().list_reversals(transfer))
        .await?;
    let ours = reversals
        .iter()
        .find(|reversal| reversal.metadata.transaction_id == Some(transaction.id));
    match ours {
        Some(reversal) => {
            worker
                .calls
                .resolve_found(&look_up.key, reversal.id.as_str())
                .await?
        }
        None => worker.calls.resolve_absent(&look_up.key).await?,
    }
    Err(JobError::Again("the reversal was looked up at Stripe"))
}
