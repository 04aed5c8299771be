//! One module per kind of job. A handler ends its job itself, in the database transaction of its effect;
//! after an error, `execution::outcome` ends it.

mod ask_stripe;
mod cancel;
mod close_review;
mod credit_review;
mod deposit_fee;
mod deposit_intent;
mod page_events;
mod payout_decision;
mod payout_funds;
mod refund_create;
mod refund_hold;
mod restored_backup;
mod return_review;
mod stripe_event;
mod withdrawal_hold;
mod withdrawal_payout;
mod withdrawal_reversal;
mod withdrawal_transfer;

use wallet_core::flows::Command;
use wallet_core::jobs::{ClaimedJob, JobKind};
use wallet_core::settle::Step;
use wallet_core::transactions::Transaction;

use crate::job_error::JobError;
use crate::worker::Worker;

/// Why nothing is sent for a deactivated wallet.
const INACTIVE: &str = "the wallet is not active";

/// Why a withdrawal fails when its transfer was reversed by somebody else.
const REVERSED: &str = "the money was taken back from your payout account before it was paid out";

/// Runs the handler of the job's kind.
pub(crate) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    match job.kind {
        Some(JobKind::DepositIntent) => deposit_intent::run(worker, job).await,
        Some(JobKind::DepositFee) => deposit_fee::run(worker, job).await,
        Some(JobKind::WithdrawalHold) => withdrawal_hold::run(worker, job).await,
        Some(JobKind::RefundHold) => refund_hold::run(worker, job).await,
        Some(JobKind::RefundCreate) => refund_create::run(worker, job).await,
        Some(JobKind::Cancel) => cancel::run(worker, job).await,
        Some(JobKind::CreditReview) => credit_review::run(worker, job).await,
        Some(JobKind::ReturnReview) => return_review::run(worker, job).await,
        Some(JobKind::CloseReview) => close_review::run(worker, job).await,
        Some(JobKind::WithdrawalPaid) => {
            payout_decision::run(worker, job, payout_decision::Decided::Paid).await
        }
        Some(JobKind::WithdrawalTakenBack) => {
            payout_decision::run(worker, job, payout_decision::Decided::TakenBack).await
        }
        Some(JobKind::AskStripe) => ask_stripe::run(worker, job).await,
        Some(JobKind::PageEvents) => page_events::run(worker, job).await,
        Some(JobKind::WithdrawalTransfer) => withdrawal_transfer::run(worker, job).await,
        Some(JobKind::WithdrawalPayout) => withdrawal_payout::run(worker, job).await,
        Some(JobKind::WithdrawalReversal) => withdrawal_reversal::run(worker, job).await,
        Some(JobKind::StripeEvent) => stripe_event::run(worker, job).await,
        Some(JobKind::Transfer) | None => Err(JobError::Park(
            "no handler serves this kind of job one by one".to_owned(),
        )),
    }
}

/// Returns a step that ends the job with its effect on the transaction.
fn step(job: &ClaimedJob, transaction: &Transaction, command: impl Into<Command>) -> Step {
    Step::new(job.claim, transaction.id, transaction.wallets(), command)
}
