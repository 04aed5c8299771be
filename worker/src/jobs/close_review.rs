//! Books what is left in suspense for a deposit as the platform's, as an operator has decided, once nothing of its payment
//! can be refunded. The rest comes from a different conversion rate, or from a dispute that took more than the payment.

use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;
use wallet_core::ledger::{self, Suspended};
use wallet_core::settle::Step;
use wallet_core::stripe::Lane;
use wallet_core::transactions::Flow;

use super::credit_review::at_rest;
use super::step;
use crate::job_error::JobError;
use crate::suspended_payment::{SuspendedPayment, payments_of};
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    let suspended = ledger::suspended_of(&mut *worker.db.conn().await?, transaction.id).await?;
    let payments = payments_of(worker, &transaction).await?;
    // What a dispute returned beyond what it took belongs to no payment.
    if payments.is_empty() && transaction.flow != Flow::Dispute {
        return Err(JobError::Park(
            "no payment is known that came to lie in suspense for it".to_owned(),
        ));
    }
    for intent in payments {
        let payment = SuspendedPayment::ask(worker, Lane::Maintenance, intent).await?;
        at_rest(worker, &transaction, &payment).await?;
        // With amounts in several currencies, what is left cannot be computed: the operator's decision stands.
        if let Ok(Some(left)) = payment.left() {
            let why = format!(
                "{left} of the payment can still be refunded: `wallet-worker review return {}`, or {} in Stripe's dashboard when it is one of several",
                transaction.id, payment.intent
            );
            return Err(JobError::Park(why));
        }
    }
    let close = |one: &Suspended| step(job, &transaction, Command::CloseSuspense(one.amount));
    let Some((last, others)) = suspended.split_last() else {
        return worker.finish(job).await;
    };
    let mut steps: Vec<Step> = others.iter().map(|one| close(one).before_others()).collect();
    steps.push(close(last));
    worker.settle(&steps).await?;
    Ok(())
}
