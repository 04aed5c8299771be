//! Pays the connected account out to its bank.

use wallet_core::alarms::{self, AlarmKind};
use wallet_core::flows::WithdrawalCommand;
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{CallError, CreatePayout, Disposition, ReversalStatus, Tags};
use wallet_core::transactions::{FailureCode, FailureReason, Stage, Transaction};

use super::lost_call::adopt_what_was_sent;
use super::withdrawal_reversal::taken_by_others;
use super::withdrawal_transfer::account_of;
use super::{INACTIVE, TAKEN_BACK, payout_waits, step};
use crate::job_error::JobError;
use crate::observations::bank_of;
use crate::refusal;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.stage != Stage::Transferred {
        return worker.finish(job).await;
    }
    let call = payout_of(worker, &transaction).await?;
    let payout = match worker.calls.run(job.claim, transaction.id.uuid(), call).await {
        Ok(made) => made.id,
        // Whether the bank has the money already is for a person to find out, also when the wallet is frozen meanwhile.
        Err(CallError::WalletInactive) if waits_for_a_person(worker, &transaction).await? => {
            return Err(JobError::AfterFunds(
                "a person is finding out whether the bank was paid",
            ));
        }
        // The money is on the connected account, and is taken back from there.
        Err(CallError::WalletInactive) => {
            let reason = FailureReason::new(FailureCode::WalletInactive, INACTIVE);
            return give_back(worker, job, &transaction, reason).await;
        }
        Err(CallError::Stripe(error)) if error.disposition() == Disposition::FailDefinite => {
            let reason = refusal::reason(&error, FailureCode::PayoutFailed);
            return give_back(worker, job, &transaction, reason).await;
        }
        // The money is not there and will not come: somebody else has taken it back.
        Err(CallError::Stripe(error))
            if error.disposition() == Disposition::WaitForFunds
                && others_took_back(worker, &transaction).await? =>
        {
            let reason = FailureReason::new(FailureCode::PayoutFailed, TAKEN_BACK);
            return give_back(worker, job, &transaction, reason).await;
        }
        Err(CallError::Stripe(error)) if error.disposition() == Disposition::WaitForFunds => {
            payout_waits::tell(worker, job, &transaction).await?;
            return Err(CallError::Stripe(error).into());
        }
        Err(error) => return Err(error.into()),
    };
    let record = WithdrawalCommand::RecordPayout(payout);
    worker.settle(&[step(job, &transaction, record)]).await?;
    Ok(())
}

/// The call for the payout of a withdrawal.
pub(super) async fn payout_of(worker: &Worker, transaction: &Transaction) -> Result<CreatePayout, JobError> {
    Ok(CreatePayout {
        account: account_of(transaction)?,
        amount: transaction.amount,
        destination: bank_of(worker, transaction).await?,
        tags: Tags {
            transaction_id: transaction.id,
            wallet_id: transaction.wallet_id,
        },
    })
}

/// Has taken back from the account what was not paid out, also not by books that are lost.
async fn give_back(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    reason: FailureReason,
) -> Result<(), JobError> {
    if adopt_what_was_sent(worker, transaction).await? {
        return Err(JobError::Again("the payout was found at Stripe"));
    }
    let command = WithdrawalCommand::FailPayout(None, reason);
    worker.settle(&[step(job, transaction, command)]).await?;
    Ok(())
}

/// Whether an operator has been told that the account may have paid the money out by itself.
async fn waits_for_a_person(worker: &Worker, transaction: &Transaction) -> Result<bool, JobError> {
    let conn = &mut worker.db.conn().await?;
    Ok(alarms::is_open_about(conn, AlarmKind::PayoutByOthers, &transaction.id.to_string()).await?)
}

/// Whether somebody else has taken the transfer, or a part of it, back.
async fn others_took_back(worker: &Worker, transaction: &Transaction) -> Result<bool, JobError> {
    match &transaction.stripe_transfer_id {
        Some(transfer) => Ok(taken_by_others(worker, transfer)
            .await?
            .iter()
            .any(|taken| taken.status == ReversalStatus::Succeeded)),
        None => Ok(false),
    }
}
