//! Asks Stripe how a transaction stands that has been quiet for too long, and settles the answer as an event would have.

use std::str::FromStr;

use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{BalanceTransactionId, Lane};
use wallet_core::transactions::{self, Flow, Stage, Transaction, external_ref};

use super::withdrawal_transfer::account_of;
use crate::job_error::JobError;
use crate::observations::{self, Look};
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    let look = Look::unasked(worker, job);
    match (transaction.flow, transaction.stage) {
        (Flow::Deposit, Stage::AwaitingPayment) => {
            observations::payment_intent(&look, &id(transaction.stripe_payment_intent_id.as_deref())?).await
        }
        (Flow::Withdrawal, Stage::PayingOut) => {
            let account = account_of(&transaction)?;
            observations::payout(&look, &account, &id(transaction.stripe_payout_id.as_deref())?).await
        }
        (Flow::DepositRefund | Flow::OutsideRefund, Stage::Accepted | Stage::Refunding)
            if transaction.stripe_refund_id.is_some() =>
        {
            observations::refund(&look, &id(transaction.stripe_refund_id.as_deref())?).await
        }
        (Flow::Dispute, Stage::Accepted | Stage::Disputed) => {
            observations::dispute(&look, &id(transaction.stripe_dispute_id.as_deref())?).await
        }
        (Flow::DisputeReturn | Flow::DisputeLoss, Stage::Accepted) => {
            let original = worker.related(&transaction).await?;
            let dispute = match original.stripe_dispute_id {
                Some(dispute) => Some(dispute),
                None => source_of(worker, &transaction).await?,
            };
            observations::dispute(&look, &id(dispute.as_deref())?).await
        }
        // Its own job carries it on, or nothing has to.
        _ => worker.finish(job).await,
    }
}

/// What made the movement that the transaction is booked for: the dispute of a deposit that has no transaction of its own, since it was settled in
/// review (<https://docs.stripe.com/api/balance_transactions/object#balance_transaction_object-source>).
async fn source_of(worker: &Worker, turn: &Transaction) -> Result<Option<String>, JobError> {
    let kind = external_ref::BALANCE_TRANSACTION;
    let movements = transactions::external_refs_of(&mut *worker.db.conn().await?, turn.id, kind).await?;
    let movement: BalanceTransactionId = id(movements.first().map(String::as_str))?;
    let question = worker.calls.client().retrieve_balance_transaction(&movement);
    Ok(worker.calls.ask(Lane::Maintenance, question).await?.source)
}

fn id<Id: FromStr>(text: Option<&str>) -> Result<Id, JobError> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| JobError::Park("the transaction names no object to ask about".to_owned()))
}
