//! Observes a payment intent: the money of a deposit.

use std::sync::Arc;

use chrono::TimeDelta;
use wallet_core::crypto::{KeyOwner, Place};
use wallet_core::flows::{Command, DepositCommand};
use wallet_core::inbox::EventEnd;
use wallet_core::jobs::JobKind;
use wallet_core::money::Money;
use wallet_core::stripe::{
    Author, CallError, CancelReason, CancellationReason, Decline, NextAction, Operation, PaymentIntent,
    PaymentIntentId, PaymentIntentStatus,
};
use wallet_core::transactions::{
    ExternalRef, FailureCode, FailureReason, Flow, Stage, TimelineKind, Transaction,
};
use wallet_core::wallets;

use super::{Attribution, Observation};
use crate::job_error::JobError;
use crate::worker::Worker;

/// An intent that nobody has begun to pay after this time is cancelled. A bank debit under way counts as
/// begun, and what a payer has to do first can take longer: see [`NextAction::ends`].
const EXPIRES_AFTER: TimeDelta = TimeDelta::hours(24);

/// Observes an intent: settles what its state asks for.
pub(crate) async fn payment_intent(
    observation: &Observation<'_>,
    id: &PaymentIntentId,
) -> Result<(), JobError> {
    let client = observation.worker.calls.client();
    let intent = observation.ask(client.retrieve_payment_intent(id)).await?;
    let owner = observation.owner(&ExternalRef::PaymentIntent(id.clone())).await?;
    if let Some(transaction) = owner.filter(|found| found.flow == Flow::Deposit) {
        return apply(observation, &transaction, intent).await;
    }
    let attribution = observation
        .attributed(
            Operation::PaymentIntent,
            Flow::Deposit,
            id.as_str(),
            intent.metadata,
        )
        .await?;
    let Some(attribution) = attribution else {
        let note = "the payment intent is of no deposit of ours";
        return observation.close(EventEnd::Ignored, note).await;
    };
    let fits = intent.amount == attribution.transaction.amount;
    // Before our call is answered, an intent of the requested amount counts as ours: the money came from the person's own customer.
    let is_awaited = attribution.author == Author::Undecided
        && fits
        && is_of_person(observation, &attribution, &intent).await?;
    if is_awaited || attribution.is_ours(fits, &[Stage::Accepted])? {
        apply(observation, &attribution.transaction, intent).await
    } else {
        foreign(observation, &attribution.transaction, &intent).await
    }
}

/// Returns the deposit that an intent's money was for, or `None` if the intent is not ours. Stripe may report
/// what happened to the money before the intent is recorded, because our call has had no answer yet
/// (<https://docs.stripe.com/webhooks#event-ordering>): then the record is waited for.
pub(super) async fn deposit_of(
    observation: &Observation<'_>,
    id: &PaymentIntentId,
) -> Result<Option<Transaction>, JobError> {
    if let Some(found) = observation.owner(&ExternalRef::PaymentIntent(id.clone())).await? {
        return Ok(Some(found).filter(|found| found.flow == Flow::Deposit));
    }
    let client = observation.worker.calls.client();
    let intent = observation.ask(client.retrieve_payment_intent(id)).await?;
    let operation = Operation::PaymentIntent;
    let attribution = observation.attributed(operation, Flow::Deposit, id.as_str(), intent.metadata);
    let Some(attribution) = attribution.await? else {
        return Ok(None);
    };
    match &attribution.transaction.stripe_payment_intent_id {
        // It was recorded since the look-up above.
        Some(known) if known == id => return Ok(Some(attribution.transaction)),
        // A deposit has one payment; another one that names the deposit is somebody else's, with all that follows from it.
        Some(_) => return Ok(None),
        None => {}
    }
    let fits = intent.amount == attribution.transaction.amount;
    // Money that somebody else took in the deposit's name is put into suspense by its own event.
    if attribution.is_ours(fits, &[Stage::Accepted])? || intent.status == PaymentIntentStatus::Succeeded {
        return Err(JobError::AfterAnother("the payment is not booked yet"));
    }
    Ok(None)
}

/// Whether the customer of an intent is the one of the deposit's owner.
async fn is_of_person(
    observation: &Observation<'_>,
    attribution: &Attribution,
    intent: &PaymentIntent,
) -> Result<bool, JobError> {
    let conn = &mut observation.worker.db.conn().await?;
    let known = wallets::customer_of(conn, attribution.transaction.user_id).await?;
    Ok(known.is_some() && known == intent.customer)
}

/// Settles an intent that names a deposit but was not made by us. Money that it brought is in our balance and
/// goes to suspense, but is not credited unseen; nothing else about it concerns the deposit.
async fn foreign(
    observation: &Observation<'_>,
    deposit: &Transaction,
    intent: &PaymentIntent,
) -> Result<(), JobError> {
    if intent.status != PaymentIntentStatus::Succeeded {
        let note = "the payment intent was not made by this system";
        return observation.close(EventEnd::Ignored, note).await;
    }
    let received = received(observation, deposit, intent).await?;
    let command = DepositCommand::SuspendPayment(intent.id.clone(), received);
    observation.settle(deposit, vec![command]).await
}

/// Settles what the state of a deposit's intent asks for.
pub(crate) async fn apply(
    observation: &Observation<'_>,
    transaction: &Transaction,
    intent: PaymentIntent,
) -> Result<(), JobError> {
    let is_unpaid = matches!(
        intent.status,
        PaymentIntentStatus::RequiresPaymentMethod
            | PaymentIntentStatus::RequiresConfirmation
            | PaymentIntentStatus::RequiresAction
    );
    let is_open = matches!(transaction.stage, Stage::Accepted | Stage::AwaitingPayment);
    // The cancellation was requested while the payment was under way, and remembered until now.
    if let Some(request) = transaction.cancel_request.filter(|_| is_open && is_unpaid) {
        return give_up(
            observation,
            transaction,
            &intent,
            FailureReason::cancelled(request.by, "it was paid"),
        )
        .await;
    }
    let declined = intent.status == PaymentIntentStatus::RequiresPaymentMethod
        && transaction.stripe_payment_method_id.is_some()
        && intent.last_payment_error.is_some()
        && !needs_payer(&intent);
    if is_open && declined {
        return give_up(observation, transaction, &intent, decline_of(&intent)).await;
    }
    let begun = transaction.created_at;
    let ends = match (&intent.status, intent.next_action) {
        // Stripe may name the action a moment after the status; until then the longest time applies.
        (PaymentIntentStatus::RequiresAction, action) => action.unwrap_or(NextAction::Other).ends(begun),
        _ => begun + EXPIRES_AFTER,
    };
    if is_open && is_unpaid && observation.event.is_none() && observation.worker.clock.now() > ends {
        return give_up(observation, transaction, &intent, expired()).await;
    }
    let received = received(observation, transaction, &intent).await?;
    let end =
        ending(transaction, &intent, received).or_else(|| payment_note(observation, transaction, &intent));
    let mut commands = Vec::new();
    // The answer to our own call is always recorded; after an event the intent is recorded only before a refusal, which names no intent.
    let is_answer = observation.job.kind == Some(JobKind::DepositIntent);
    if transaction.stage == Stage::Accepted && (is_answer || matches!(end, Some(Command::Refuse(_)))) {
        commands.push(recording(observation.worker, transaction, &intent).await?.into());
    }
    commands.extend(end);
    observation.settle(transaction, commands).await
}

/// Cancels the intent, so that it can never succeed; then the deposit ends for this reason. If the payment won the race, it is booked.
pub(crate) async fn give_up(
    observation: &Observation<'_>,
    transaction: &Transaction,
    intent: &PaymentIntent,
    reason: FailureReason,
) -> Result<(), JobError> {
    let now = cancelled(observation, &intent.id, &reason).await?;
    let mut commands = Vec::new();
    if transaction.stage == Stage::Accepted {
        commands.push(recording(observation.worker, transaction, intent).await?.into());
    }
    let id = now.id.clone();
    commands.extend(match now.status {
        PaymentIntentStatus::Succeeded => {
            let received = received(observation, transaction, &now).await?;
            Some(DepositCommand::SettlePayment(id, received).into())
        }
        PaymentIntentStatus::Canceled if reason.code == FailureCode::PaymentDeclined => {
            Some(Command::Refuse(reason))
        }
        PaymentIntentStatus::Canceled => Some(DepositCommand::CancelIntent(id, reason).into()),
        // The payment is under way: its outcome is reported later, and a requested cancellation is carried out then.
        _ => transaction.cancel_request.map(|_| Command::Note {
            kind: TimelineKind::Waiting,
            message: "the payment is under way; it is cancelled as soon as the payment provider allows it"
                .to_owned(),
            detail: None,
            at: transaction.stage,
            once: None,
        }),
    });
    observation.settle(transaction, commands).await
}

/// Returns what an intent added to the platform's balance, in the currency in which it arrived: the payment's, unless
/// Stripe converted it. Stripe is asked only if this is not known already and the answer still decides something.
async fn received(
    observation: &Observation<'_>,
    transaction: &Transaction,
    intent: &PaymentIntent,
) -> Result<Money, JobError> {
    let paid = intent.amount_received;
    let settled = &observation.worker.settled_currencies;
    // In review, the payment is compared again with what arrived, whatever is known of the currency by now.
    let is_known = match transaction.stage {
        Stage::Completed => true,
        Stage::InReview => false,
        _ => settled.is_known(paid.currency()),
    };
    if intent.status != PaymentIntentStatus::Succeeded || is_known {
        return Ok(paid);
    }
    let not_yet =
        || JobError::NotYet("the payment provider has not said yet in which currency it keeps the payment");
    let charge = intent.latest_charge.as_ref().ok_or_else(not_yet)?;
    let client = observation.worker.calls.client();
    let charge = observation.ask(client.retrieve_charge(charge)).await?;
    let came = charge.balance_transaction.ok_or_else(not_yet)?.amount;
    settled.learn(paid, came);
    Ok(if came.currency() == paid.currency() {
        paid
    } else {
        came
    })
}

/// Tries to cancel the intent and returns it, whatever its state is then.
async fn cancelled(
    observation: &Observation<'_>,
    id: &PaymentIntentId,
    reason: &FailureReason,
) -> Result<PaymentIntent, JobError> {
    let client = observation.worker.calls.client();
    let why = match reason.code {
        FailureCode::PaymentExpired => Some(CancelReason::Abandoned),
        FailureCode::CancelledByOwner | FailureCode::CancelledByOperator => {
            Some(CancelReason::RequestedByCustomer)
        }
        _ => None,
    };
    match observation.ask(client.cancel_payment_intent(id, why)).await {
        Err(JobError::Call(CallError::Stripe(mut error))) => match error.payment_intent.take() {
            Some(intent) => Ok(*intent),
            None => Err(CallError::Stripe(error).into()),
        },
        done => done,
    }
}

/// Whether the decline only requires the payer to authenticate.
fn needs_payer(intent: &PaymentIntent) -> bool {
    let asks = |decline: &Decline| {
        [&decline.code, &decline.decline_code]
            .into_iter()
            .any(|code| code.as_deref() == Some("authentication_required"))
    };
    intent.last_payment_error.as_ref().is_some_and(asks)
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

/// Returns what a final intent asks for, or `None` while it is not final.
///
/// The first to see that an intent is cancelled must give the same reason as any other: the worker that cancelled it, see
/// [`give_up`], the event of the cancellation, or a job after a crash. The reasons are a cancel request that we remember, a
/// decline of a payment that the server had confirmed, that nobody paid in time, or otherwise only that it was cancelled.
fn ending(transaction: &Transaction, intent: &PaymentIntent, received: Money) -> Option<Command> {
    let id = intent.id.clone();
    match intent.status {
        PaymentIntentStatus::Succeeded => Some(DepositCommand::SettlePayment(id, received).into()),
        PaymentIntentStatus::Canceled => {
            let by_server = transaction.stripe_payment_method_id.is_some();
            let reason = match (transaction.cancel_request, &intent.cancellation_reason) {
                (Some(request), _) => FailureReason::cancelled(request.by, "it was paid"),
                (None, _) if by_server && intent.last_payment_error.is_some() => {
                    return Some(Command::Refuse(decline_of(intent)));
                }
                (None, Some(CancellationReason::Abandoned | CancellationReason::Expired)) => expired(),
                (None, _) => FailureReason::new(FailureCode::PaymentCancelled, "the payment was cancelled"),
            };
            Some(DepositCommand::CancelIntent(id, reason).into())
        }
        _ => None,
    }
}

fn expired() -> FailureReason {
    FailureReason::new(FailureCode::PaymentExpired, "nobody paid in time")
}

/// Returns a note for the payer about an intent that is not final; most events need none.
fn payment_note(
    observation: &Observation<'_>,
    transaction: &Transaction,
    intent: &PaymentIntent,
) -> Option<Command> {
    let message = match (observation.event?.event_type.as_str(), &intent.last_payment_error) {
        ("payment_intent.payment_failed", Some(decline)) => {
            let why = decline.message.as_deref().unwrap_or("The payment failed.");
            format!("a payment attempt failed: {why} The payer may try again.")
        }
        ("payment_intent.processing", _) => "the payment is under way".to_owned(),
        ("payment_intent.requires_action", _) => "the payer must authenticate the payment".to_owned(),
        ("payment_intent.partially_funded", _) => {
            format!("{} received so far; waiting for the rest", intent.amount_received)
        }
        _ => return None,
    };
    observation.note(transaction, message)
}

/// Returns the command that records the intent, with its client secret sealed under the owner's key.
async fn recording(
    worker: &Worker,
    transaction: &Transaction,
    intent: &PaymentIntent,
) -> Result<DepositCommand, JobError> {
    let sealed_client_secret = match &intent.client_secret {
        Some(secret) => {
            let owner = KeyOwner::User(transaction.user_id);
            let place = Place::new(
                "wallet_transactions",
                "encrypted_client_secret",
                transaction.id,
                owner,
            );
            let sealed = Arc::clone(&worker.vault)
                .seal_bytes(&place, secret.expose().as_bytes())
                .await?;
            Some(sealed.into_string())
        }
        None => None,
    };
    let by_server = transaction.stripe_payment_method_id.is_some();
    let message = match &intent.status {
        PaymentIntentStatus::RequiresAction => {
            "the payer must authenticate the payment; confirm it with the clientSecret"
        }
        PaymentIntentStatus::RequiresPaymentMethod if by_server && needs_payer(intent) => {
            "the payer must authenticate the payment; confirm it with the clientSecret"
        }
        PaymentIntentStatus::RequiresPaymentMethod if by_server => "the payment was declined",
        PaymentIntentStatus::Processing => "the payment is under way; bank debits take several days",
        PaymentIntentStatus::Succeeded | PaymentIntentStatus::Canceled => "payment intent created",
        _ => "waiting for the payer to confirm the payment with the clientSecret",
    };
    Ok(DepositCommand::RecordIntent {
        intent: intent.id.clone(),
        sealed_client_secret,
        message: message.to_owned(),
    })
}
