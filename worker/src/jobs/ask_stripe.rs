//! Polls Stripe about a transaction that has been quiet for too long, and settles the answer as an event would have been settled.

use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{BalanceTransactionId, DisputeId, Lane};
use wallet_core::transactions::{self, Flow, RefKind, Stage, Transaction};

use super::withdrawal_transfer::account_of;
use crate::job_error::JobError;
use crate::observations::{self, Observation};
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    let observation = Observation::unasked(worker, job);
    match (transaction.flow, transaction.stage) {
        (Flow::Deposit, Stage::AwaitingPayment) => {
            observations::payment_intent(&observation, &named(transaction.stripe_payment_intent_id)?).await
        }
        (Flow::Withdrawal, Stage::PayingOut) => {
            let account = account_of(&transaction)?;
            observations::payout(&observation, &account, &named(transaction.stripe_payout_id)?).await
        }
        (Flow::DepositRefund | Flow::OutsideRefund, Stage::Accepted | Stage::Refunding)
            if transaction.stripe_refund_id.is_some() =>
        {
            observations::refund(&observation, &named(transaction.stripe_refund_id)?).await
        }
        (Flow::Dispute, Stage::Accepted | Stage::Disputed) => {
            observations::dispute(&observation, &named(transaction.stripe_dispute_id)?).await
        }
        (Flow::DisputeReturn | Flow::DisputeLoss, Stage::Accepted) => {
            let original = worker.related(&transaction).await?;
            let dispute = match original.stripe_dispute_id {
                Some(dispute) => Some(dispute),
                None => source_of(worker, &transaction).await?,
            };
            observations::dispute(&observation, &named(dispute)?).await
        }
        // Its own job continues it, or nothing is left to do.
        _ => worker.finish(job).await,
    }
}

/// Returns the dispute behind the movement for which the transaction was booked. It is needed for a deposit that has no transaction of its
/// own because it was settled in review (<https://docs.stripe.com/api/balance_transactions/object#balance_transaction_object-source>).
async fn source_of(worker: &Worker, turn: &Transaction) -> Result<Option<DisputeId>, JobError> {
    let kind = RefKind::BalanceTransaction;
    let conn = &mut *worker.db.conn().await?;
    let movements: Vec<BalanceTransactionId> = transactions::external_refs_of(conn, turn.id, kind).await?;
    let movement = named(movements.into_iter().next())?;
    let question = worker.calls.client().retrieve_balance_transaction(&movement);
    let source = worker.calls.ask(Lane::Maintenance, question).await?.source;
    Ok(source.and_then(|id| id.parse().ok()))
}

fn named<Id>(id: Option<Id>) -> Result<Id, JobError> {
    id.ok_or_else(|| JobError::Park("the transaction names no object to ask about".to_owned()))
}
