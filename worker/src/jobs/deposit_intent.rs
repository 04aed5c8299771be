//! Creates the payment intent of a deposit, and confirms it when a payment method was given.

use serde_json::json;
use wallet_core::audit::{self, Actor, AuditRecord};
use wallet_core::db::in_transaction;
use wallet_core::flows::Command;
use wallet_core::ids::UserId;
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{
    CallError, CreateCustomer, CreatePaymentIntent, CustomerId, Disposition, ErrorClass, Lane, MethodChoice,
    Operation, PaymentIntentId, StripeClient, Tags,
};
use wallet_core::transactions::{
    self, FailureCode, FailureReason, PaymentMethod, Stage, TimelineKind, Transaction,
};
use wallet_core::wallets;

use super::{INACTIVE, step};
use crate::job_error::JobError;
use crate::observations::{Observation, apply_payment_intent};
use crate::refusal;
use crate::worker::Worker;

/// What the owner reads when their customer record at Stripe is gone.
const CUSTOMER_LOST: &str = "the payment provider has lost your customer record; a new one is made, and payment methods saved with the old one have to be added again";

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.stage != Stage::Accepted {
        return worker.finish(job).await;
    }
    let customer = customer_of(worker, job, transaction.user_id).await?;
    // A call that was stored before names the customer of that time.
    let is_repeated = worker
        .calls
        .is_prepared(Operation::PaymentIntent, transaction.id.uuid())
        .await?;
    let call = CreatePaymentIntent {
        amount: transaction.amount,
        customer: customer.clone(),
        method: MethodChoice::from(transaction.payment_method.unwrap_or(PaymentMethod::Stripe)),
        payment_method: transaction.stripe_payment_method_id.clone(),
        tags: Tags {
            transaction_id: transaction.id,
            wallet_id: transaction.wallet_id,
        },
    };
    match worker.calls.run(job.claim, transaction.id.uuid(), call).await {
        Ok(made) => {
            let fetch =
                async |client: &StripeClient, id: &PaymentIntentId| client.retrieve_payment_intent(id).await;
            let intent = worker.calls.read(Lane::Deposits, made, fetch).await?;
            apply_payment_intent(&Observation::unasked(worker, job), &transaction, intent).await
        }
        Err(CallError::WalletInactive) => {
            let command = Command::Refuse(FailureReason::new(FailureCode::WalletInactive, INACTIVE));
            worker.settle(&[step(job, &transaction, command)]).await?;
            Ok(())
        }
        Err(CallError::Stripe(error)) if error.misses("customer") => {
            if !is_repeated {
                forget_customer(worker, &transaction, &customer).await?;
            }
            Err(JobError::NotYet("the customer is created again"))
        }
        Err(CallError::Stripe(mut error)) => match (error.class, error.payment_intent.take()) {
            // The payment was attempted and failed, but the intent exists.
            (ErrorClass::Declined | ErrorClass::AuthenticationRequired, Some(intent)) => {
                apply_payment_intent(&Observation::unasked(worker, job), &transaction, *intent).await
            }
            (class, None) if class.disposition() == Disposition::FailDefinite => {
                let code = if class == ErrorClass::Declined {
                    FailureCode::PaymentDeclined
                } else {
                    FailureCode::StripeRefused
                };
                let command = Command::Refuse(refusal::reason(&error, code));
                worker.settle(&[step(job, &transaction, command)]).await?;
                Ok(())
            }
            (_, payment_intent) => {
                error.payment_intent = payment_intent;
                Err(CallError::Stripe(error).into())
            }
        },
        Err(error) => Err(error.into()),
    }
}

/// Returns the person's customer at Stripe: one per person, however many deposits need it at once.
async fn customer_of(worker: &Worker, job: &ClaimedJob, user: UserId) -> Result<CustomerId, JobError> {
    let known = {
        let conn = &mut worker.db.conn().await?;
        wallets::customer_of(conn, user).await?
    };
    if let Some(known) = known {
        return Ok(known);
    }
    let made = worker
        .calls
        .run(job.claim, user.uuid(), CreateCustomer { user_id: user })
        .await?;
    let now = worker.clock.now();
    Ok(in_transaction!(worker.db, conn => wallets::record_customer(conn, user, &made.id, now).await)?)
}

/// Forgets the person's customer, which Stripe does not know: somebody deleted it, or it belongs to another
/// Stripe account. The first deposit that needs one creates another, once.
async fn forget_customer(
    worker: &Worker,
    transaction: &Transaction,
    lost: &CustomerId,
) -> Result<(), JobError> {
    let user = transaction.user_id;
    // This comes first, so that a job that finds no recorded customer creates another one instead of finding this one again.
    worker
        .calls
        .forget(Operation::Customer, user.uuid(), lost.as_str())
        .await?;
    let now = worker.clock.now();
    in_transaction!(worker.db, conn => {
        if wallets::forget_customer(conn, user, lost.as_str(), now).await? {
            let actor = Actor::Worker(worker.name.clone());
            let entry = AuditRecord {
                transactions: &[transaction.id],
                wallets: &[transaction.wallet_id],
                detail: json!({ "lost": lost.as_str() }),
                ..AuditRecord::new(now, &actor, "forget_customer")
            };
            audit::record(conn, &entry).await?;
        }
        transactions::record(conn, transaction.id, worker.ids.next(), now, TimelineKind::Waiting, CUSTOMER_LOST, None).await
    })?;
    Ok(())
}
