//! Pays the connected account out to its bank.

use wallet_core::alarms::{self, AlarmKind};
use wallet_core::flows::WithdrawalCommand;
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{CallError, CreatePayout, Disposition, ReversalStatus, Tags};
use wallet_core::transactions::{FailureCode, FailureReason, Stage, Transaction};

use super::restored_backup::adopt_what_was_sent;
use super::withdrawal_reversal::taken_by_others;
use super::withdrawal_transfer::account_of;
use super::{INACTIVE, REVERSED, payout_funds, step};
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
        // An operator is finding out whether the bank already has the money; that continues even if the wallet was deactivated.
        Err(CallError::WalletInactive) if waits_for_a_person(worker, &transaction).await? => {
            return Err(JobError::AfterFunds(
                "a person is finding out whether the bank was paid",
            ));
        }
        // The money is on the connected account, and the transfer is reversed.
        Err(CallError::WalletInactive) => {
            let reason = FailureReason::new(FailureCode::WalletInactive, INACTIVE);
            return fail_payout(worker, job, &transaction, reason).await;
        }
        Err(CallError::Stripe(error)) if error.disposition() == Disposition::FailDefinite => {
            let reason = refusal::reason(&error, FailureCode::PayoutFailed);
            return fail_payout(worker, job, &transaction, reason).await;
        }
        // The money is not there and will not come: somebody else has reversed the transfer.
        Err(CallError::Stripe(error))
            if error.disposition() == Disposition::WaitForFunds
                && others_took_back(worker, &transaction).await? =>
        {
            let reason = FailureReason::new(FailureCode::PayoutFailed, REVERSED);
            return fail_payout(worker, job, &transaction, reason).await;
        }
        Err(CallError::Stripe(error)) if error.disposition() == Disposition::WaitForFunds => {
            payout_funds::tell(worker, job, &transaction).await?;
            return Err(CallError::Stripe(error).into());
        }
        Err(error) => return Err(error.into()),
    };
    let record = WithdrawalCommand::RecordPayout(payout);
    worker.settle(&[step(job, &transaction, record)]).await?;
    Ok(())
}

/// Returns the payout call of a withdrawal.
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

/// Fails a payout that was not made, also not before a restore of the database, so that the transfer is reversed.
async fn fail_payout(
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

/// Whether an alarm is open because the account may have paid the money out by itself.
async fn waits_for_a_person(worker: &Worker, transaction: &Transaction) -> Result<bool, JobError> {
    let conn = &mut worker.db.conn().await?;
    Ok(alarms::is_open_about(conn, AlarmKind::PayoutByOthers, &transaction.id.to_string()).await?)
}

/// Whether somebody else has reversed the transfer, wholly or partly.
async fn others_took_back(worker: &Worker, transaction: &Transaction) -> Result<bool, JobError> {
    match &transaction.stripe_transfer_id {
        Some(transfer) => Ok(taken_by_others(worker, transfer)
            .await?
            .iter()
            .any(|taken| taken.status == ReversalStatus::Succeeded)),
        None => Ok(false),
    }
}
