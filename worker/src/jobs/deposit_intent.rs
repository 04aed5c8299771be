//! Creates the payment intent of a deposit, and confirms it when a payment method was given.

use std::sync::Arc;
use wallet_core::db::in_transaction;

use wallet_core::crypto::{KeyOwner, Place};
use wallet_core::flows::{Command, FailureCode, FailureReason, Stage};
use wallet_core::ids::UserId;
use wallet_core::jobs::ClaimedJob;
use wallet_core::settle::Step;
use wallet_core::stripe::{
    CallError, CallOutcome, CreateCustomer, CreatePaymentIntent, CustomerId, Decline, Disposition,
    ErrorClass, Lane, LookUp, MethodChoice, PaymentIntent, PaymentIntentId, PaymentIntentStatus,
    PaymentMethodId, Tags,
};
use wallet_core::transactions::{PaymentMethod, Transaction};
use wallet_core::wallets;

use super::step;
use crate::outcome::JobError;
use crate::worker::Worker;

/// What the timeline says of an intent whose payment the bank refused.
pub(super) const DECLINED: &str = "the payment was declined";

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.stage != Stage::Accepted {
        return worker.finish(job).await;
    }
    let customer = customer_of(worker, job, transaction.user_id).await?;
    let call = CreatePaymentIntent {
        amount: transaction.amount,
        customer: customer.clone(),
        method: MethodChoice::from(transaction.payment_method.unwrap_or(PaymentMethod::Stripe)),
        payment_method: payment_method_of(&transaction)?,
        tags: Tags {
            transaction_id: transaction.id,
            wallet_id: transaction.wallet_id,
        },
    };
    match worker.calls.run(job.claim, transaction.id.uuid(), call).await {
        Ok(CallOutcome::Fresh(intent)) => record(worker, job, &transaction, intent).await,
        Ok(CallOutcome::Recorded { object_id }) => {
            let id: PaymentIntentId = object_id
                .parse()
                .map_err(|_| JobError::Park(format!("{object_id} is no payment intent")))?;
            let question = worker.calls.gateway().retrieve_payment_intent(&id);
            let intent = worker.calls.ask(Lane::Deposits, question).await?;
            record(worker, job, &transaction, intent).await
        }
        Err(CallError::LookUpFirst(look_up)) => look(worker, &transaction, &customer, &look_up).await,
        Err(CallError::Gateway(error)) => match (error.class, error.payment_intent) {
            // The payment was tried and failed; the intent exists all the same.
            (ErrorClass::Declined | ErrorClass::AuthenticationRequired, Some(intent)) => {
                record(worker, job, &transaction, *intent).await
            }
            (class, None) if class.disposition() == Disposition::FailDefinite => {
                let code = if class == ErrorClass::Declined {
                    FailureCode::PaymentDeclined
                } else {
                    FailureCode::StripeRefused
                };
                let command = Command::Refuse(FailureReason::new(code, error.message));
                worker.settle(&[step(job, &transaction, command)]).await?;
                Ok(())
            }
            (_, payment_intent) => {
                let error = wallet_core::stripe::GatewayError {
                    payment_intent,
                    ..error
                };
                Err(CallError::Gateway(error).into())
            }
        },
        Err(error) => Err(error.into()),
    }
}

/// The person's customer at Stripe: one for each, however many deposits ask at once.
async fn customer_of(worker: &Worker, job: &ClaimedJob, user: UserId) -> Result<CustomerId, JobError> {
    let unreadable = |id: &str| JobError::Park(format!("{id} is no customer"));
    let known = {
        let conn = &mut worker.db.conn().await?;
        wallets::customer_of(conn, user).await?
    };
    if let Some(known) = known {
        return known.parse().map_err(|_| unreadable(&known));
    }
    let made = match worker
        .calls
        .run(job.claim, user.uuid(), CreateCustomer { user_id: user })
        .await
    {
        Ok(CallOutcome::Fresh(customer)) => customer.id.as_str().to_owned(),
        Ok(CallOutcome::Recorded { object_id }) => object_id,
        Err(CallError::LookUpFirst(look_up)) => {
            // A customer moves no money: one made twice does no harm, and the first recorded counts.
            worker.calls.resolve_absent(&look_up.key).await?;
            return Err(JobError::Again("the customer is made again"));
        }
        Err(error) => return Err(error.into()),
    };
    let now = worker.clock.now();
    let counts = in_transaction!(worker.db, conn => wallets::record_customer(conn, user, &made, now).await)?;
    counts.parse().map_err(|_| unreadable(&counts))
}

fn payment_method_of(transaction: &Transaction) -> Result<Option<PaymentMethodId>, JobError> {
    let Some(id) = &transaction.stripe_payment_method_id else {
        return Ok(None);
    };
    id.parse()
        .map(Some)
        .map_err(|_| JobError::Park(format!("{id} is no payment method")))
}

/// Writes down what became of the intent.
async fn record(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    intent: PaymentIntent,
) -> Result<(), JobError> {
    let by_server = transaction.stripe_payment_method_id.is_some();
    match &intent.status {
        PaymentIntentStatus::Succeeded | PaymentIntentStatus::Canceled => {
            let recorded =
                recorded_first(worker, job, transaction, &intent, "payment intent created").await?;
            let ending = ending(transaction, &intent).map(|command| step(job, transaction, command));
            let steps: Vec<Step> = std::iter::once(recorded).chain(ending).collect();
            worker.settle_locked(&transaction.wallets(), &steps).await?;
            Ok(())
        }
        PaymentIntentStatus::RequiresPaymentMethod if by_server && !needs_payer(&intent) => {
            give_up(worker, job, transaction, &intent).await
        }
        status => {
            let message = match status {
                PaymentIntentStatus::RequiresAction => {
                    "the payer must authenticate the payment; confirm it with the clientSecret"
                }
                PaymentIntentStatus::RequiresPaymentMethod if by_server => {
                    "the payer must authenticate the payment; confirm it with the clientSecret"
                }
                PaymentIntentStatus::Processing => "the payment is under way; bank debits take several days",
                _ => "waiting for the payer to confirm the payment with the clientSecret",
            };
            let recorded = recording(worker, transaction, &intent, message).await?;
            worker.settle(&[step(job, transaction, recorded)]).await?;
            Ok(())
        }
    }
}

/// Whether the bank only asks the payer to authenticate.
fn needs_payer(intent: &PaymentIntent) -> bool {
    let asks = |decline: &Decline| {
        [&decline.code, &decline.decline_code]
            .into_iter()
            .any(|code| code.as_deref() == Some("authentication_required"))
    };
    intent.last_payment_error.as_ref().is_some_and(asks)
}

/// A declined payment that nobody will confirm again: the intent is cancelled, so that it can never succeed, then the deposit fails.
async fn give_up(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    intent: &PaymentIntent,
) -> Result<(), JobError> {
    let cancelled = worker
        .calls
        .ask(
            Lane::Deposits,
            worker.calls.gateway().cancel_payment_intent(&intent.id),
        )
        .await;
    let now = match cancelled {
        Ok(intent) => intent,
        // It became final before we could: what it became counts.
        Err(CallError::Gateway(error))
            if error
                .payment_intent
                .as_ref()
                .is_some_and(|intent| intent.status.is_final()) =>
        {
            match error.payment_intent {
                Some(intent) => *intent,
                None => return Err(CallError::Gateway(error).into()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let command = match now.status {
        PaymentIntentStatus::Succeeded => Command::SettlePayment {
            intent: now.id.as_str().to_owned(),
            received: now.amount_received,
        },
        _ => Command::Refuse(decline_of(intent)),
    };
    let recorded = recorded_first(worker, job, transaction, intent, DECLINED).await?;
    let steps = [recorded, step(job, transaction, command)];
    worker.settle_locked(&transaction.wallets(), &steps).await?;
    Ok(())
}

fn decline_of(intent: &PaymentIntent) -> FailureReason {
    let decline = intent.last_payment_error.as_ref();
    let sentence = decline
        .and_then(|decline| decline.message.clone())
        .unwrap_or_else(|| "the payment was declined".to_owned());
    let detail = decline.and_then(|decline| decline.decline_code.clone().or_else(|| decline.code.clone()));
    let sentence = detail.map_or_else(|| sentence.clone(), |code| format!("{sentence} ({code})"));
    FailureReason::new(FailureCode::PaymentDeclined, sentence)
}

/// What an intent that is final asks for; none while it is not.
///
/// A cancelled intent whose payment the server had confirmed and the bank declined was cancelled by us, see [`give_up`]: the
/// deposit failed by the decline, whether this worker says so first, the event of the cancelling, or whoever comes after a crash.
pub(super) fn ending(transaction: &Transaction, intent: &PaymentIntent) -> Option<Command> {
    let id = intent.id.as_str().to_owned();
    match intent.status {
        PaymentIntentStatus::Succeeded => Some(Command::SettlePayment {
            intent: id,
            received: intent.amount_received,
        }),
        PaymentIntentStatus::Canceled
            if transaction.stripe_payment_method_id.is_some() && intent.last_payment_error.is_some() =>
        {
            Some(Command::Refuse(decline_of(intent)))
        }
        PaymentIntentStatus::Canceled => {
            let reason = FailureReason::new(FailureCode::PaymentCancelled, "the payment was cancelled");
            Some(Command::CancelIntent { intent: id, reason })
        }
        _ => None,
    }
}

/// The step that records the intent before the one that ends the job, so that its id is known whatever follows.
pub(super) async fn recorded_first(
    worker: &Worker,
    job: &ClaimedJob,
    transaction: &Transaction,
    intent: &PaymentIntent,
    message: &str,
) -> Result<Step, JobError> {
    let command = recording(worker, transaction, intent, message).await?;
    Ok(Step {
        claim: None,
        ..step(job, transaction, command)
    })
}

/// The command that records the intent, with its client secret sealed under the owner's key.
async fn recording(
    worker: &Worker,
    transaction: &Transaction,
    intent: &PaymentIntent,
    message: &str,
) -> Result<Command, JobError> {
    let sealed_client_secret = match &intent.client_secret {
        Some(secret) => {
            let owner = KeyOwner::User(transaction.user_id);
            let place = Place::new(
                "wallet_transactions",
                "encrypted_client_secret",
                transaction.id,
                owner,
            );
            let vault = Arc::clone(&worker.vault);
            Some(
                vault
                    .seal_bytes(&place, secret.expose().as_bytes())
                    .await?
                    .into_string(),
            )
        }
        None => None,
    };
    Ok(Command::RecordIntent {
        intent: intent.id.as_str().to_owned(),
        sealed_client_secret,
        message: message.to_owned(),
    })
}

/// The key can no longer tell: the customer's intents since then can.
async fn look(
    worker: &Worker,
    transaction: &Transaction,
    customer: &CustomerId,
    look_up: &LookUp,
) -> Result<(), JobError> {
    let listing = worker
        .calls
        .gateway()
        .list_payment_intents(customer, look_up.first_tried_at);
    let intents = worker.calls.ask(Lane::Deposits, listing).await?;
    let ours = intents
        .iter()
        .find(|intent| intent.metadata.transaction_id == Some(transaction.id));
    match ours {
        Some(intent) => {
            worker
                .calls
                .resolve_found(&look_up.key, intent.id.as_str())
                .await?
        }
        None => worker.calls.resolve_absent(&look_up.key).await?,
    }
    Err(JobError::Again("the payment intent was looked up at Stripe"))
}
