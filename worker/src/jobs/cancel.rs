//! Undoes what its owner has cancelled, if nothing irreversible has happened; what was too late is told and changes nothing.

use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{Lane, Operation};
use wallet_core::transactions::{Canceller, FailureReason, Flow, Stage, Transaction};

use super::lost_call::adopt_what_was_sent;
use super::step;
use crate::job_error::JobError;
use crate::observations::{Look, give_up};
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.status.is_final() {
        return worker.finish(job).await;
    }
    if transaction.flow == Flow::Deposit {
        return cancel_deposit(worker, job, &transaction).await;
    }
    // What lost books have sent is adopted, and then it is too late.
    adopt_what_was_sent(worker, &transaction).await?;
    let steps = [step(job, &transaction, Command::Cancel(canceller(&transaction)))];
    worker.settle_locked(&transaction.wallets(), &steps).await?;
    Ok(())
}

/// Undoes what its own job finds cancelled when it is about to send the money: nothing has left, also when it was too late at first, because an
/// earlier try might have been taken. The job goes on, and finds how it has ended.
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

/// A deposit's intent is cancelled at Stripe first, so that nobody can pay what is cancelled here.
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
        // Another worker may have begun to create the intent since we looked: then nothing is cancelled yet.
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
    give_up(&Look::unasked(worker, job), transaction, &intent, reason).await
}

/// Who asked for it; what the version before accepted names nobody, and was asked for by its owner as a rule.
fn canceller(transaction: &Transaction) -> Canceller {
    transaction
        .cancel_request
        .map_or(Canceller::Owner, |request| request.by)
}
