//! Reverses the transfer of a withdrawal after its payout failed; then the amount is available again.

use wallet_core::flows::{Command, WithdrawalCommand};
use wallet_core::ids::TransactionId;
use wallet_core::jobs::ClaimedJob;
use wallet_core::money::Money;
use wallet_core::settle::Step;
use wallet_core::stripe::{
    Author, CallError, CreateReversal, Disposition, Lane, Made, Operation, Reversal, ReversalStatus,
    StripeTransferId, Tags,
};
use wallet_core::transactions::{self, FailureCode, FailureReason, Flow, Stage, Transaction};

use super::step;
use crate::job_error::JobError;
use crate::observations::reversal_author;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.flow == Flow::PayoutReturn && transaction.stage == Stage::Accepted {
        return begin_return(worker, job, &transaction).await;
    }
    if transaction.stage != Stage::Returning {
        return worker.finish(job).await;
    }
    let sent = sent(worker, &transaction).await?;
    let others = taken_by_others(worker, &sent.transfer).await?;
    if others.iter().any(|other| !has_ended(&other.status)) {
        return Err(JobError::AfterFunds(AFTER_OTHERS));
    }
    let others: Vec<Reversal> = others
        .into_iter()
        .filter(|other| other.status == ReversalStatus::Succeeded)
        .collect();
    let left = left_of(transaction.amount, &others)?;
    if let (true, Some(last)) = (left.is_zero(), others.last()) {
        let command = Command::RecordReversal(last.id.clone(), last.amount);
        return record(worker, job, &transaction, &sent, &others, command).await;
    }
    let subject = transaction.id.uuid();
    // A call that was stored before asks for what was left at that time.
    let is_repeated = worker.calls.is_prepared(Operation::Reversal, subject).await?;
    let call = CreateReversal {
        transfer: sent.transfer.clone(),
        amount: left,
        tags: Tags {
            transaction_id: transaction.id,
            wallet_id: transaction.wallet_id,
        },
    };
    let reversal = match worker.calls.run(job.claim, subject, call).await {
        Ok(Made {
            answer: Some(reversal),
            ..
        }) => reversal,
        Ok(Made { id, answer: None }) => reversals(worker, &sent.transfer)
            .await?
            .into_iter()
            .find(|reversal| reversal.id == id)
            .ok_or_else(|| JobError::Park(format!("{id} is no reversal of the transfer")))?,
        Err(CallError::Stripe(error)) if error.disposition() == Disposition::FailDefinite => {
            // Somebody else may have reversed part of it since. If not, the money stays on the connected
            // account: `outcome::end` parks the job for an operator, with the funds held.
            let meanwhile = taken_by_others(worker, &sent.transfer).await?;
            let taken = |all: &[Reversal]| {
                all.iter()
                    .filter(|one| one.status == ReversalStatus::Succeeded)
                    .count()
            };
            if is_repeated || taken(&meanwhile) > taken(&others) {
                return Err(JobError::Again("the rest of the transfer is taken back"));
            }
            return Err(CallError::Stripe(error).into());
        }
        Err(error) => return Err(error.into()),
    };
    match reversal.status {
        ReversalStatus::Succeeded => {}
        ReversalStatus::Pending | ReversalStatus::Unknown(_) => return Err(JobError::AfterFunds(PENDING)),
        // Nothing was reversed. An operator decides whether to try again, by requeueing the job.
        ReversalStatus::Failed | ReversalStatus::Canceled => {
            let id = reversal.id.as_str();
            worker.calls.forget(Operation::Reversal, subject, id).await?;
            return Err(JobError::Park(format!(
                "the reversal {id} has taken nothing back ({}); requeue the job to try again",
                reversal.status
            )));
        }
    }
    if reversal.amount != left {
        return Err(JobError::Park(format!(
            "{} of the transfer was taken back, {left} was left",
            reversal.amount
        )));
    }
    let command = Command::RecordReversal(reversal.id, reversal.amount);
    record(worker, job, &transaction, &sent, &others, command).await
}

/// What the owner reads while Stripe holds our reversal back.
const PENDING: &str = "the money is taken back from your payout account as soon as that has it";
/// What the owner reads while Stripe holds back a reversal that somebody else made.
const AFTER_OTHERS: &str =
    "somebody else is taking the money back from your payout account; waiting for how that ends";

/// Whether the status of a reversal is final.
const fn has_ended(status: &ReversalStatus) -> bool {
    matches!(
        status,
        ReversalStatus::Succeeded | ReversalStatus::Failed | ReversalStatus::Canceled
    )
}

/// Books what others reversed of the transfer, each reversal once, and ends with our own reversal.
async fn record(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    sent: &Sent,
    others: &[Reversal],
    command: Command,
) -> Result<(), JobError> {
    let wallets = transaction.wallets();
    let mut steps: Vec<Step> = others
        .iter()
        .map(|reversal| {
            let command = WithdrawalCommand::RecordOutsideReversal(reversal.id.clone(), reversal.amount);
            Step::new(job.claim, sent.withdrawal, wallets.clone(), command).before_others()
        })
        .collect();
    steps.push(step(job, transaction, command));
    worker.settle_locked(&wallets, &steps).await?;
    Ok(())
}

/// Begins the return of a payout that came back after it was paid: the money on the connected account is the wallet's, but not spendable yet.
async fn begin_return(worker: &Worker, job: &ClaimedJob, transaction: &Transaction) -> Result<(), JobError> {
    let command = Command::BeginPayoutReturn(FailureReason::new(
        FailureCode::PayoutFailed,
        "it is taken back from your payout account",
    ));
    worker
        .settle_locked(&transaction.wallets(), &[step(job, transaction, command)])
        .await?;
    Ok(())
}

/// Returns the reversals of a transfer that this system did not make and cannot be making now.
pub(super) async fn taken_by_others(
    worker: &Worker,
    transfer: &StripeTransferId,
) -> Result<Vec<Reversal>, JobError> {
    let mut others = Vec::new();
    for reversal in reversals(worker, transfer).await? {
        if reversal_author(worker, &reversal).await? == Author::Others {
            others.push(reversal);
        }
    }
    Ok(others)
}

async fn reversals(worker: &Worker, transfer: &StripeTransferId) -> Result<Vec<Reversal>, JobError> {
    let question = worker.calls.client().list_reversals(transfer);
    Ok(worker.calls.ask(Lane::Withdrawals, question).await?)
}

/// Returns what is left of a transfer after these reversals.
fn left_of(sent: Money, taken: &[Reversal]) -> Result<Money, JobError> {
    taken
        .iter()
        .try_fold(sent, |left, reversal| left.checked_sub(reversal.amount))
        .map_err(|error| JobError::Park(format!("more was taken back than was sent: {error}")))
}

/// The transfer to reverse, and its withdrawal.
struct Sent {
    withdrawal: TransactionId,
    transfer: StripeTransferId,
}

/// Returns the transfer to reverse: for a returned payout, that of its withdrawal.
async fn sent(worker: &Worker, transaction: &Transaction) -> Result<Sent, JobError> {
    let none = || JobError::Park("the withdrawal has no transfer to take back".to_owned());
    let (withdrawal, transfer) = match (transaction.flow, transaction.related_transaction_id) {
        (Flow::PayoutReturn, Some(withdrawal)) => {
            let conn = &mut worker.db.conn().await?;
            let found = transactions::find(conn, withdrawal).await?;
            (withdrawal, found.and_then(|found| found.stripe_transfer_id))
        }
        _ => (transaction.id, transaction.stripe_transfer_id.clone()),
    };
    let transfer = transfer.ok_or_else(none)?;
    Ok(Sent { withdrawal, transfer })
}
