//! A payment intent: the money of a deposit.

use std::sync::Arc;

use chrono::TimeDelta;
use wallet_core::crypto::{KeyOwner, Place};
use wallet_core::flows::{Command, DepositCommand};
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

use super::{Claim, Look};
use crate::job_error::JobError;
use crate::worker::Worker;
use wallet_core::inbox::EventEnd;

/// What nobody has begun to pay after this time is cancelled. Bank debits under way are not unpaid, and what a payer has to do first can take
/// longer: [`NextAction::ends`].
const EXPIRES_AFTER: TimeDelta = TimeDelta::hours(24);

/// Looks at an intent and settles what its state asks for.
pub(crate) async fn payment_intent(look: &Look<'_>, id: &PaymentIntentId) -> Result<(), JobError> {
    let client = look.worker.calls.client();
    let intent = look.ask(client.retrieve_payment_intent(id)).await?;
    let owner = look.owner(&ExternalRef::PaymentIntent(id.clone())).await?;
    if let Some(transaction) = owner.filter(|found| found.flow == Flow::Deposit) {
        return apply(look, &transaction, intent).await;
    }
    let claim = look
        .claimed(
            Operation::PaymentIntent,
            Flow::Deposit,
            id.as_str(),
            intent.metadata,
        )
        .await?;
    let Some(claim) = claim else {
        let note = "the payment intent is of no deposit of ours";
        return look.close(EventEnd::Ignored, note).await;
    };
    let fits = intent.amount == claim.transaction.amount;
    // While the answer to our call is on its way, what was asked for is taken for it: the money has come, from the person's own customer.
    let is_awaited = claim.author == Author::Undecided && fits && is_of_person(look, &claim, &intent).await?;
    if is_awaited || claim.is_ours(fits, &[Stage::Accepted])? {
        apply(look, &claim.transaction, intent).await
    } else {
        foreign(look, &claim.transaction, &intent).await
    }
}

/// The deposit that money at Stripe came for, by the intent that brought it; none of an intent that is none of ours. Stripe may tell of what has
/// become of the money before anything is recorded of the intent, whose call has had no answer yet
/// (<https://docs.stripe.com/webhooks#event-ordering>): then it is waited for.
pub(super) async fn deposit_of(
    look: &Look<'_>,
    id: &PaymentIntentId,
) -> Result<Option<Transaction>, JobError> {
    if let Some(found) = look.owner(&ExternalRef::PaymentIntent(id.clone())).await? {
        return Ok(Some(found).filter(|found| found.flow == Flow::Deposit));
    }
    let client = look.worker.calls.client();
    let intent = look.ask(client.retrieve_payment_intent(id)).await?;
    let operation = Operation::PaymentIntent;
    let claim = look.claimed(operation, Flow::Deposit, id.as_str(), intent.metadata);
    let Some(claim) = claim.await? else {
        return Ok(None);
    };
    match &claim.transaction.stripe_payment_intent_id {
        // Recorded since the look above.
        Some(known) if known == id => return Ok(Some(claim.transaction)),
        // A deposit has one payment; another one that names it is somebody else's, with all that becomes of it.
        Some(_) => return Ok(None),
        None => {}
    }
    let fits = intent.amount == claim.transaction.amount;
    // Money that somebody else took in the deposit's name is put in suspense by its own event.
    if claim.is_ours(fits, &[Stage::Accepted])? || intent.status == PaymentIntentStatus::Succeeded {
        return Err(JobError::AfterAnother("the payment is not booked yet"));
    }
    Ok(None)
}

/// Whether the customer of an intent is the one of the deposit's owner.
async fn is_of_person(look: &Look<'_>, claim: &Claim, intent: &PaymentIntent) -> Result<bool, JobError> {
    let conn = &mut look.worker.db.conn().await?;
    let known = wallets::customer_of(conn, claim.transaction.user_id).await?;
    Ok(known.is_some() && known == intent.customer)
}

/// An intent that names a deposit, and that no call of ours has made. Money that came by it is on our books, but is not credited unseen;
/// whatever else becomes of it does not concern the deposit.
async fn foreign(look: &Look<'_>, deposit: &Transaction, intent: &PaymentIntent) -> Result<(), JobError> {
    if intent.status != PaymentIntentStatus::Succeeded {
        let note = "the payment intent was not made by this system";
        return look.close(EventEnd::Ignored, note).await;
    }
    let received = received(look, deposit, intent).await?;
    let command = DepositCommand::SuspendPayment(intent.id.clone(), received);
    look.settle(deposit, vec![command]).await
}

/// Settles what the state of a deposit's intent asks for.
pub(crate) async fn apply(
    look: &Look<'_>,
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
    // Asked for while the payment was under way, and remembered until now.
    if let Some(request) = transaction.cancel_request.filter(|_| is_open && is_unpaid) {
        return give_up(
            look,
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
        return give_up(look, transaction, &intent, decline_of(&intent)).await;
    }
    let begun = transaction.created_at;
    let ends = match (&intent.status, intent.next_action) {
        // Stripe may name the action a moment after the status; then it is given the time of those that take long.
        (PaymentIntentStatus::RequiresAction, action) => action.unwrap_or(NextAction::Other).ends(begun),
        _ => begun + EXPIRES_AFTER,
    };
    if is_open && is_unpaid && look.event.is_none() && look.worker.clock.now() > ends {
        return give_up(look, transaction, &intent, expired()).await;
    }
    let received = received(look, transaction, &intent).await?;
    let end = ending(transaction, &intent, received).or_else(|| payment_note(look, transaction, &intent));
    let mut commands = Vec::new();
    // Our own call's answer is always recorded; from an event only before a refusal, which names no intent.
    let is_answer = look.job.kind == Some(JobKind::DepositIntent);
    if transaction.stage == Stage::Accepted && (is_answer || matches!(end, Some(Command::Refuse(_)))) {
        commands.push(recording(look.worker, transaction, &intent).await?.into());
    }
    commands.extend(end);
    look.settle(transaction, commands).await
}

/// Cancels the intent, so that it can never succeed; then the deposit ends for this reason. A payment that won the race is booked.
pub(crate) async fn give_up(
    look: &Look<'_>,
    transaction: &Transaction,
    intent: &PaymentIntent,
    reason: FailureReason,
) -> Result<(), JobError> {
    let now = cancelled(look, &intent.id, &reason).await?;
    let mut commands = Vec::new();
    if transaction.stage == Stage::Accepted {
        commands.push(recording(look.worker, transaction, intent).await?.into());
    }
    let id = now.id.clone();
    commands.extend(match now.status {
        PaymentIntentStatus::Succeeded => {
            let received = received(look, transaction, &now).await?;
            Some(DepositCommand::SettlePayment(id, received).into())
        }
        PaymentIntentStatus::Canceled if reason.code == FailureCode::PaymentDeclined => {
            Some(Command::Refuse(reason))
        }
        PaymentIntentStatus::Canceled => Some(DepositCommand::CancelIntent(id, reason).into()),
        // Under way meanwhile: what comes of it will be told, and a cancellation that was asked for is carried out then.
        _ => transaction.cancel_request.map(|_| Command::Note {
            kind: TimelineKind::Waiting,
            message: "the payment is under way; it is cancelled as soon as the payment provider allows it"
                .to_owned(),
            detail: None,
            at: transaction.stage,
            once: None,
        }),
    });
    look.settle(transaction, commands).await
}

/// What an intent has brought to the platform's balance, in the currency in which it came: that of the payment, unless Stripe has converted it.
/// Asked of Stripe only where that is not known already, and there is still something to decide by it.
async fn received(
    look: &Look<'_>,
    transaction: &Transaction,
    intent: &PaymentIntent,
) -> Result<Money, JobError> {
    let paid = intent.amount_received;
    let settlement = &look.worker.settlement;
    // In review it is compared once more with what came, whatever is known by now of the currency.
    let is_known = match transaction.stage {
        Stage::Completed => true,
        Stage::InReview => false,
        _ => settlement.is_known(paid.currency()),
    };
    if intent.status != PaymentIntentStatus::Succeeded || is_known {
        return Ok(paid);
    }
    let not_yet =
        || JobError::NotYet("the payment provider has not said yet in which currency it keeps the payment");
    let charge = intent.latest_charge.as_ref().ok_or_else(not_yet)?;
    let client = look.worker.calls.client();
    let charge = look.ask(client.retrieve_charge(charge)).await?;
    let came = charge.balance_transaction.ok_or_else(not_yet)?.amount;
    settlement.learn(paid, came);
    Ok(if came.currency() == paid.currency() {
        paid
    } else {
        came
    })
}

/// The intent after the attempt to cancel it, whatever it has become.
async fn cancelled(
    look: &Look<'_>,
    id: &PaymentIntentId,
    reason: &FailureReason,
) -> Result<PaymentIntent, JobError> {
    let client = look.worker.calls.client();
    let why = match reason.code {
        FailureCode::PaymentExpired => Some(CancelReason::Abandoned),
        FailureCode::CancelledByOwner | FailureCode::CancelledByOperator => {
            Some(CancelReason::RequestedByCustomer)
        }
        _ => None,
    };
    match look.ask(client.cancel_payment_intent(id, why)).await {
        Err(JobError::Call(CallError::Stripe(mut error))) => match error.payment_intent.take() {
            Some(intent) => Ok(*intent),
            None => Err(CallError::Stripe(error).into()),
        },
        done => done,
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
/// Whoever sees first that an intent is cancelled tells the same reason: the worker that cancelled it, see [`give_up`], the event of the
/// cancelling, or whoever comes after a crash. It was a wish that we remember, or a decline of a payment that the server had confirmed,
/// or nobody paid in time.
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

/// What the payer should know of an intent that is not final; nothing of most events.
fn payment_note(look: &Look<'_>, transaction: &Transaction, intent: &PaymentIntent) -> Option<Command> {
    let message = match (look.event?.event_type.as_str(), &intent.last_payment_error) {
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
    look.note(transaction, message)
}

/// The command that records the intent, with its client secret sealed under the owner's key.
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
