//! Cancels a transaction at a cancel request if nothing irreversible has happened; a request that came too late is noted and changes nothing.

use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{Lane, Operation};
use wallet_core::transactions::{Canceller, FailureReason, Flow, Stage, Transaction};

use super::restored_backup::adopt_what_was_sent;
use super::step;
use crate::job_error::JobError;
use crate::observations::{Observation, give_up};
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.status.is_final() {
        return worker.finish(job).await;
    }
    if transaction.flow == Flow::Deposit {
        return cancel_deposit(worker, job, &transaction).await;
    }
    // What was sent before a restore of the database is adopted, and then it is too late.
    adopt_what_was_sent(worker, &transaction).await?;
    let steps = [step(job, &transaction, Command::Cancel(canceller(&transaction)))];
    worker.settle_locked(&transaction.wallets(), &steps).await?;
    Ok(())
}

/// Cancels a transaction whose own job finds the request just before it sends the money. Nothing has left, even if the request counted
/// as too late at first because an earlier attempt might have succeeded. The job runs again and finds how the transaction ended.
pub(super) async fn before_sending(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
) -> Result<(), JobError> {
    if !adopt_what_was_sent(worker, transaction).await? {
        let steps = [step(job, transaction, Command::Cancel(canceller(transaction))).before_others()];
        worker.settle_locked(&transaction.wallets(), &steps).await?;
    }
    Err(JobError::Again("it was cancelled"))
}

/// Cancels a deposit: its intent is cancelled at Stripe first, so that a cancelled deposit cannot be paid.
async fn cancel_deposit(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
) -> Result<(), JobError> {
    let intent = &transaction.stripe_payment_intent_id;
    let Some(intent) = intent
        .as_ref()
        .filter(|_| transaction.stage == Stage::AwaitingPayment)
    else {
        let id = transaction.id.uuid();
        let being_made = JobError::AfterAnother("the payment intent is being created");
        if transaction.stage == Stage::Accepted
            && worker.calls.is_undecided(Operation::PaymentIntent, id).await?
        {
            return Err(being_made);
        }
        let steps = [step(job, transaction, Command::Cancel(canceller(transaction))).before_others()];
        worker.settle_locked(&transaction.wallets(), &steps).await?;
        // Another worker may have begun to create the intent since this job read the transaction: then nothing is cancelled yet.
        let now = worker.transaction(job).await?;
        return match now.stage {
            Stage::Accepted | Stage::AwaitingPayment => Err(being_made),
            _ => worker.finish(job).await,
        };
    };
    let reason = FailureReason::cancelled(canceller(transaction), "it was paid");
    let client = worker.calls.client();
    let question = client.retrieve_payment_intent(intent);
    let intent = worker.calls.ask(Lane::Maintenance, question).await?;
    give_up(&Observation::unasked(worker, job), transaction, &intent, reason).await
}

/// Returns who requested the cancellation. A request accepted by the previous version names nobody; its owner usually made it.
fn canceller(transaction: &Transaction) -> Canceller {
    transaction
        .cancel_request
        .map_or(Canceller::Owner, |request| request.by)
}
