//! Sends the held amount of a withdrawal to the connected account.

use wallet_core::flows::{Command, WithdrawalCommand};
use wallet_core::jobs::ClaimedJob;
use wallet_core::payees::{self, ProvenAccount};
use wallet_core::stripe::{
    AccountId, CallError, CreateTransfer, Disposition, Lane, Operation, StripeTransferId, Tags,
};
use wallet_core::transactions::{FailureCode, FailureReason, Stage, Transaction};

use super::restored_backup::{adopt, adopt_what_was_sent, is_reversed, transfer_that_left};
use super::{INACTIVE, REVERSED, cancel, step};
use crate::job_error::JobError;
use crate::refusal;
use crate::worker::Worker;

/// Why nothing is sent to an account that the platform cannot reach.
const ACCOUNT_GONE: &str = "the payout account does not exist or is not connected to the platform";

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.stage != Stage::Held {
        return worker.finish(job).await;
    }
    let account = account_of(&transaction)?;
    let call = transfer_of(&transaction)?;
    let check = async || match account_obstacle(worker, &transaction, &account).await {
        Ok(None) => Ok(()),
        Ok(Some(reason)) => Err(Obstacle::Account(reason)),
        Err(error) => Err(Obstacle::Unclear(error)),
    };
    let transfer = match worker
        .calls
        .run_checked(job.claim, transaction.id.uuid(), call, check)
        .await
    {
        Ok(made) if made.answer.is_none() && is_reversed(worker, &made.id).await? => {
            return settle_reversed(worker, job, &transaction, made.id).await;
        }
        Ok(made) => made.id,
        Err(Obstacle::Account(reason)) => return refuse_unsent(worker, job, &transaction, reason).await,
        Err(Obstacle::Unclear(error)) => return Err(error),
        Err(Obstacle::Call(error)) => return not_sent(worker, job, &transaction, error).await,
    };
    let record = WithdrawalCommand::RecordTransfer(transfer);
    worker.settle(&[step(job, &transaction, record)]).await?;
    Ok(())
}

/// Why a withdrawal's transfer is not made in this run.
enum Obstacle {
    /// The account may not be paid.
    Account(FailureReason),
    /// Whether the account may be paid could not be determined.
    Unclear(JobError),
    /// The call returned no transfer.
    Call(CallError),
}

impl From<CallError> for Obstacle {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// Decides what happens to a withdrawal whose transfer was not made.
async fn not_sent(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    error: CallError,
) -> Result<(), JobError> {
    match error {
        CallError::WalletInactive => {
            let reason = FailureReason::new(FailureCode::WalletInactive, INACTIVE);
            refuse_unsent(worker, job, transaction, reason).await
        }
        CallError::CancelAsked => cancel::before_sending(worker, job, transaction).await,
        // For a transfer, the destination is the account (<https://docs.stripe.com/api/transfers/create#create_transfer-destination>).
        CallError::Stripe(error) if error.misses("destination") => {
            let reason = FailureReason::new(FailureCode::PayoutAccountRefused, ACCOUNT_GONE);
            refuse(worker, job, transaction, reason).await
        }
        CallError::Stripe(error) if error.disposition() == Disposition::FailDefinite => {
            let reason = refusal::reason(&error, FailureCode::StripeRefused);
            refuse(worker, job, transaction, reason).await
        }
        error => Err(error.into()),
    }
}

/// Settles a transfer that was found after somebody had reversed it: a payout now would take other money of
/// the account. If a payout was made already, the money is at the bank.
async fn settle_reversed(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    transfer: StripeTransferId,
) -> Result<(), JobError> {
    let id = transaction.id.uuid();
    if adopt(worker, transaction, Operation::Payout).await?
        || worker.calls.is_undecided(Operation::Payout, id).await?
    {
        let record = step(job, transaction, WithdrawalCommand::RecordTransfer(transfer));
        worker.settle(&[record]).await?;
        return Ok(());
    }
    if let Some(other) = transfer_that_left(worker, transaction).await? {
        return Err(JobError::Park(format!(
            "{transfer} was taken back, and {other} is still there: take that back as well at Stripe, then requeue this job"
        )));
    }
    let reason = FailureReason::new(FailureCode::PayoutFailed, REVERSED);
    let steps = [
        step(job, transaction, WithdrawalCommand::RecordTransfer(transfer)).before_others(),
        step(job, transaction, WithdrawalCommand::FailPayout(None, reason)),
    ];
    worker.settle(&steps).await?;
    Ok(())
}

/// Refuses a withdrawal for which nothing was sent, also not before a restore of the database.
async fn refuse_unsent(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    reason: FailureReason,
) -> Result<(), JobError> {
    if adopt_what_was_sent(worker, transaction).await? {
        return Err(JobError::Again("the transfer was found at Stripe"));
    }
    refuse(worker, job, transaction, reason).await
}

/// Returns the transfer call of a withdrawal.
pub(super) fn transfer_of(transaction: &Transaction) -> Result<CreateTransfer, JobError> {
    Ok(CreateTransfer {
        amount: transaction.amount,
        destination: account_of(transaction)?,
        tags: Tags {
            transaction_id: transaction.id,
            wallet_id: transaction.wallet_id,
        },
    })
}

/// Returns the account that was fixed when the withdrawal was accepted.
pub(super) fn account_of(transaction: &Transaction) -> Result<AccountId, JobError> {
    transaction
        .stripe_account_id
        .clone()
        .ok_or_else(|| JobError::Park("the withdrawal names no payout account".to_owned()))
}

/// Returns why the account may not be paid, if it may not.
async fn account_obstacle(
    worker: &Worker,
    transaction: &Transaction,
    id: &AccountId,
) -> Result<Option<FailureReason>, JobError> {
    let refused = |sentence: &str| Some(FailureReason::new(FailureCode::PayoutAccountRefused, sentence));
    let asked_at = worker.clock.now();
    let account = match worker
        .calls
        .ask(Lane::Withdrawals, worker.calls.client().retrieve_account(id))
        .await
    {
        Ok(account) => account,
        Err(CallError::Stripe(error)) if payees::is_gone(&error) => {
            return Ok(refused(ACCOUNT_GONE));
        }
        Err(CallError::Stripe(error)) if error.disposition() == Disposition::FailDefinite => {
            return Ok(Some(refusal::reason(&error, FailureCode::StripeRefused)));
        }
        Err(error) => return Err(error.into()),
    };
    // Checked before anything is recorded, or changed at Stripe: wallets of earlier versions name accounts that were never checked.
    let Some(proven) = ProvenAccount::of(account, transaction.user_id, asked_at) else {
        return Ok(refused(
            "Stripe does not say that the payout account is yours; name yours with changePayoutAccount",
        ));
    };
    note_state(worker, &proven).await?;
    let account = proven.account();
    if !account.payouts_enabled {
        return Ok(refused(
            "payouts to the payout account are disabled; complete its details at Stripe",
        ));
    }
    // Otherwise the payout would be refused once the money is already on the account.
    let currency = transaction.amount.currency();
    if account
        .bank_currencies
        .as_ref()
        .is_some_and(|banks| !banks.contains(&currency))
    {
        return Ok(refused(&format!(
            "the payout account has no bank account in {currency}; add one on the page of onboardPayouts"
        )));
    }
    // With a schedule of its own, the account would pay the money out before our payout could.
    if account
        .payout_interval
        .as_deref()
        .is_some_and(|interval| interval != "manual")
    {
        let change = worker.calls.client().set_manual_payouts(id);
        match worker.calls.ask(Lane::Withdrawals, change).await {
            Ok(_) => {}
            // Nothing was sent, and nothing will be.
            Err(CallError::Stripe(error)) if error.disposition() == Disposition::FailDefinite => {
                return Ok(refused(&format!(
                    "the payout account pays itself out by a schedule that cannot be changed from here ({}); set it to manual at Stripe, or name another account \
                     with changePayoutAccount",
                    error.class.sentence()
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Records the account's state, and that money is about to be sent to it.
async fn note_state(worker: &Worker, proven: &ProvenAccount) -> Result<(), JobError> {
    let conn = &mut worker.db.conn().await?;
    payees::record(conn, proven).await?;
    if proven.account().payouts_enabled {
        payees::mark_paid(conn, proven.id(), worker.clock.now()).await?;
    }
    Ok(())
}

async fn refuse(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    reason: FailureReason,
) -> Result<(), JobError> {
    let wallets = transaction.wallets();
    worker
        .settle_locked(&wallets, &[step(job, transaction, Command::Refuse(reason))])
        .await?;
    Ok(())
}
