//! Takes the transfer of a withdrawal back after its payout failed; then the amount is available again.

use wallet_core::flows::{Command, FailureCode, FailureReason, Flow, Stage};
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{
    CallError, CallOutcome, CreateReversal, Disposition, Lane, LookUp, StripeTransferId, Tags,
};
use wallet_core::transactions::{self, Transaction};

use super::step;
use crate::outcome::JobError;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.flow == Flow::PayoutReturn && transaction.stage == Stage::Accepted {
        return begin_return(worker, job, &transaction).await;
    }
    if transaction.stage != Stage::Returning {
        return worker.finish(job).await;
    }
    let transfer = transfer_of(worker, &transaction).await?;
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
        Err(CallError::Gateway(error)) if error.disposition() == Disposition::FailDefinite => {
            // Perhaps somebody else has taken all of it back. If not, the money stays on the connected account: outcome::end
            // parks the job for a person, funds held.
            match taken_by_others(worker, &transaction, &transfer).await? {
                Some(reversal) => reversal,
                None => return Err(CallError::Gateway(error).into()),
            }
        }
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

/// A payout came back after it was paid: its money is on the connected account and is the wallet's, but cannot be spent yet.
async fn begin_return(worker: &Worker, job: &ClaimedJob, transaction: &Transaction) -> Result<(), JobError> {
    let command = Command::FailPayout {
        payout: None,
        reason: FailureReason::new(
            FailureCode::PayoutFailed,
            "it is taken back from your payout account",
        ),
    };
    worker
        .settle_locked(&transaction.wallets(), &[step(job, transaction, command)])
        .await?;
    Ok(())
}

/// The reversal of the whole transfer that somebody else made.
async fn taken_by_others(
    worker: &Worker,
    transaction: &Transaction,
    transfer: &StripeTransferId,
) -> Result<Option<String>, JobError> {
    let reversals = worker
        .calls
        .ask(Lane::Withdrawals, worker.calls.gateway().list_reversals(transfer))
        .await?;
    let whole = reversals
        .iter()
        .find(|reversal| reversal.metadata.transaction_id.is_none() && reversal.amount == transaction.amount);
    Ok(whole.map(|reversal| reversal.id.as_str().to_owned()))
}

/// The transfer to take back: a returned payout's is that of the withdrawal.
async fn transfer_of(worker: &Worker, transaction: &Transaction) -> Result<StripeTransferId, JobError> {
    let none = || JobError::Park("the withdrawal has no transfer to take back".to_owned());
    let id = match (transaction.flow, transaction.related_transaction_id) {
        (Flow::PayoutReturn, Some(withdrawal)) => {
            let conn = &mut worker.db.conn().await?;
            transactions::find(conn, withdrawal)
                .await?
                .and_then(|withdrawal| withdrawal.stripe_transfer_id)
        }
        _ => transaction.stripe_transfer_id.clone(),
    };
    id.and_then(|id| id.parse().ok()).ok_or_else(none)
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
