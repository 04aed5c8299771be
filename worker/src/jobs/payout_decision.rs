//! Ends a withdrawal that does not finish by itself, as an operator has decided: Stripe no longer shows us its payout, or the payout
//! is not made because the account lacks the money. If Stripe shows the payout by now, or has made one, that decides instead.

use wallet_core::db::{DbError, in_transaction};
use wallet_core::flows::{Command, WithdrawalCommand};
use wallet_core::jobs::{self, ClaimedJob, JobKind};
use wallet_core::payees;
use wallet_core::stripe::{CallError, CreatePayout, Lane, Operation, PayoutId, is_undecided, made};
use wallet_core::transactions::{FailureCode, FailureReason, Stage, TimelineKind, Transaction};

use super::restored_backup::adopt_what_was_sent;
use super::withdrawal_transfer::account_of;
use super::{payout_funds, step};
use crate::job_error::JobError;
use crate::observations::{self, Observation};
use crate::worker::Worker;

/// What an operator has found out about a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decided {
    /// The bank has the money.
    Paid,
    /// The payout came back or was never sent: the transfer is reversed, or has been.
    TakenBack,
}

impl Decided {
    const fn words(self) -> &'static str {
        match self {
            Self::Paid => "support has found out that the payout was paid",
            Self::TakenBack => "support has found out that the payout was not paid",
        }
    }

    fn command(self, payout: Option<PayoutId>) -> WithdrawalCommand {
        match self {
            Self::Paid => WithdrawalCommand::SettlePayout(payout),
            Self::TakenBack => {
                let sentence = "the payout was not paid; the money is taken back from your payout account";
                let reason = FailureReason::new(FailureCode::PayoutFailed, sentence);
                WithdrawalCommand::FailPayout(payout, reason)
            }
        }
    }
}

pub(super) async fn run(worker: &Worker, job: &ClaimedJob, decided: Decided) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    match transaction.stage {
        Stage::Transferred => not_made(worker, job, &transaction, decided).await,
        Stage::PayingOut => not_shown(worker, job, &transaction, decided).await,
        _ => worker.finish(job).await,
    }
}

/// Ends a payout that waits for money. It is first made sure that no payout can be made any more; if one was made, its state decides.
async fn not_made(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    decided: Decided,
) -> Result<(), JobError> {
    let (id, now) = (transaction.id, worker.clock.now());
    adopt_what_was_sent(worker, transaction).await?;
    if let Some(payout) = payout_made(worker, transaction).await? {
        return on_record(worker, job, transaction, &payout).await;
    }
    if decided == Decided::Paid {
        let account = account_of(transaction)?;
        match payout_funds::holds_enough(worker, transaction, &account).await {
            Ok(true) => {
                return Err(JobError::Park(format!(
                    "account {account} still has {}, so nothing shows that the bank was paid: our payout is tried again by itself, or end it as taken-back",
                    transaction.amount
                )));
            }
            Ok(false) => {}
            Err(JobError::Call(CallError::Stripe(error))) if payees::is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let is_given_up = in_transaction!(worker.db, conn => {
        // The order matters: while the job is locked, no attempt is counted.
        let is_free = jobs::lock_at_rest(conn, id, JobKind::WithdrawalPayout).await?
            && !is_undecided(conn, Operation::Payout, id.uuid()).await?;
        if is_free {
            jobs::drop_of(conn, &[id], Some(JobKind::WithdrawalPayout), now).await?;
        }
        Ok::<_, DbError>(is_free)
    })?;
    if !is_given_up {
        return Err(JobError::AfterAnother("the payout is being tried at this moment"));
    }
    settle(worker, job, transaction, decided, None).await
}

/// Returns the payout that was made according to the record of our calls, including one found after a restore of the database.
async fn payout_made(worker: &Worker, transaction: &Transaction) -> Result<Option<PayoutId>, JobError> {
    let conn = &mut worker.db.conn().await?;
    Ok(made::<CreatePayout>(conn, transaction.id.uuid()).await?)
}

/// Records the payout, also for what happens to it later: its state decides, not the operator's finding without it.
async fn on_record(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    payout: &PayoutId,
) -> Result<(), JobError> {
    let command = WithdrawalCommand::RecordPayout(payout.clone());
    worker
        .settle(&[step(job, transaction, command).before_others()])
        .await?;
    observations::payout(
        &Observation::unasked(worker, job),
        &account_of(transaction)?,
        payout,
    )
    .await
}

/// Ends a withdrawal whose payout we cannot see.
async fn not_shown(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    decided: Decided,
) -> Result<(), JobError> {
    let account = account_of(transaction)?;
    let payout = transaction
        .stripe_payout_id
        .clone()
        .ok_or_else(|| JobError::Park("the withdrawal names no payout".to_owned()))?;
    let question = worker.calls.client().retrieve_payout(&account, &payout);
    match worker.calls.ask(Lane::Maintenance, question).await {
        Ok(_) => observations::payout(&Observation::unasked(worker, job), &account, &payout).await,
        Err(CallError::Stripe(error)) if payees::is_gone(&error) => {
            settle(worker, job, transaction, decided, Some(payout)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn settle(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    decided: Decided,
    payout: Option<PayoutId>,
) -> Result<(), JobError> {
    let note = Command::Note {
        kind: TimelineKind::NeedsReview,
        message: decided.words().to_owned(),
        detail: None,
        at: transaction.stage,
        once: None,
    };
    let steps = [
        step(job, transaction, note).before_others(),
        step(job, transaction, decided.command(payout)),
    ];
    worker.settle_locked(&transaction.wallets(), &steps).await?;
    Ok(())
}
