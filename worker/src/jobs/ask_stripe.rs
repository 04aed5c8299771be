//! Asks Stripe how a transaction stands that has been quiet for too long, and settles the answer as an event would have.

use std::str::FromStr;

use wallet_core::flows::{Flow, Stage};
use wallet_core::jobs::ClaimedJob;

use super::withdrawal_transfer::account_of;
use crate::observe::{self, Look};
use crate::outcome::JobError;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    let look = Look::unasked(worker, job);
    match (transaction.flow, transaction.stage) {
        (Flow::Deposit, Stage::AwaitingPayment) => {
            observe::payment_intent(&look, &id(transaction.stripe_payment_intent_id.as_deref())?).await
        }
        (Flow::Withdrawal, Stage::PayingOut) => {
            let account = account_of(&transaction)?;
            observe::payout(&look, &account, &id(transaction.stripe_payout_id.as_deref())?).await
        }
        (Flow::DepositRefund | Flow::OutsideRefund, Stage::Accepted | Stage::Refunding)
            if transaction.stripe_refund_id.is_some() =>
        {
            observe::refund(&look, &id(transaction.stripe_refund_id.as_deref())?).await
        }
        (Flow::Dispute, Stage::Accepted | Stage::Disputed) => {
            observe::dispute(&look, &id(transaction.stripe_dispute_id.as_deref())?).await
        }
        (Flow::DisputeReturn | Flow::DisputeLoss, Stage::Accepted) => {
            let dispute = worker.related(&transaction).await?;
            observe::dispute(&look, &id(dispute.stripe_dispute_id.as_deref())?).await
        }
        // Its own job carries it on, or nothing has to.
        _ => worker.finish(job).await,
    }
}

fn id<Id: FromStr>(text: Option<&str>) -> Result<Id, JobError> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| JobError::Park("the transaction names no object to ask about".to_owned()))
}
