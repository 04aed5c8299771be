//! `/v1/payment_intents`: payments, from their creation to the money.

mod attempt;
mod create;
mod debits;
mod receive;
mod take;

use serde_json::Value;

use super::{Answer, Call, Route, allow_list};
use crate::auth::KeyKind;
use crate::effects::NewEffect;
use crate::errors::ApiError;
use crate::form::check_amount;
use crate::objects::{Decline, GroupBy, Id, IntentStatus, PaymentIntent, Resource, group};
use crate::state::{Origin, State};

pub(crate) use attempt::{Authentication, authenticate, settle, settle_by_fate};
pub(crate) use receive::{Received, receive};

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/payment_intents", "payment_intents.create", create::create),
    Route::get("/v1/payment_intents", "payment_intents.list", list),
    Route::get("/v1/payment_intents/{}", "payment_intents.retrieve", retrieve).publishable(),
    Route::post("/v1/payment_intents/{}", "payment_intents.update", create::update),
    Route::post(
        "/v1/payment_intents/{}/confirm",
        "payment_intents.confirm",
        confirm,
    )
    .publishable(),
    Route::post("/v1/payment_intents/{}/cancel", "payment_intents.cancel", cancel),
    Route::post(
        "/v1/payment_intents/{}/capture",
        "payment_intents.capture",
        capture,
    ),
];

fn list(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &["customer"])?;
    let customer = call.params.text("customer");
    let by = customer.map(|customer| group(GroupBy::Customer, customer));
    state.list(
        &call.owner,
        &call.params,
        &call.path,
        by,
        |intent: &PaymentIntent| {
            customer.is_none_or(|customer| {
                intent
                    .customer
                    .as_ref()
                    .is_some_and(|own| own.as_str() == customer)
            })
        },
    )
}

fn retrieve(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&["client_secret"])?;
    let intent = find(state, call)?;
    Ok(render_for(state, call, intent))
}

/// Returns the intent in the path. A client with a publishable key must also know its secret.
fn find<'a>(state: &'a State, call: &Call) -> Result<&'a PaymentIntent, ApiError> {
    let intent = state.find::<PaymentIntent>(&call.owner, call.id())?;
    let secret = call.params.text("client_secret");
    let known = match call.key {
        KeyKind::Secret => secret.is_none_or(|secret| secret == intent.client_secret),
        KeyKind::Publishable => secret.is_some_and(|secret| secret == intent.client_secret),
    };
    if known {
        return Ok(intent);
    }
    let message =
        "The client_secret provided does not match the client_secret associated with this PaymentIntent.";
    Err(ApiError::invalid_param("client_secret", message.to_owned()).code("payment_intent_invalid_parameter"))
}

fn render_for(state: &State, call: &Call, intent: &PaymentIntent) -> Value {
    match call.key {
        KeyKind::Secret => intent.render(state),
        KeyKind::Publishable => intent.render_for_client(state),
    }
}

fn confirm(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[
        "allowed_payment_method_types",
        "payment_method",
        "payment_method_data",
        "payment_method_options",
        "payment_method_types",
        "return_url",
        "off_session",
        "client_secret",
        "setup_future_usage",
        "mandate",
        "mandate_data",
        "receipt_email",
        "use_stripe_sdk",
        "error_on_requires_action",
        "capture_method",
        "key",
        "shipping",
        "radar_options",
        "expected_payment_method_type",
    ])?;
    let intent = find(state, call)?;
    let (id, status, method) = (intent.id.clone(), intent.status, intent.payment_method.clone());
    let redirects = intent.automatic_methods == Some(true);
    if !status.confirmable() {
        let why = match status {
            IntentStatus::Succeeded => "it has already succeeded after being previously confirmed".to_owned(),
            other => format!(
                "it has a status of {}. Only a PaymentIntent with one of the following statuses may be confirmed: requires_confirmation, requires_action",
                other.name()
            ),
        };
        return Err(unexpected(
            state,
            &id,
            format!("You cannot confirm this PaymentIntent because {why}."),
        ));
    }
    create::require_return_url(state, &call.params, redirects)?;
    let method = match create::method_for(state, call, &id)? {
        Some(method) => method,
        None => method.ok_or_else(|| {
            unexpected(
                state,
                &id,
                "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method or ConfirmationToken.".to_owned(),
            )
        })?,
    };
    let off_session = call
        .params
        .text("off_session")
        .is_some_and(|value| value != "false");
    state.change(&id, |intent| intent.payment_method = Some(method));
    match attempt::attempt(state, &call.origin, &id, off_session) {
        Some(decline) => Err(declined(state, &id, decline)),
        None => Ok(state
            .find::<PaymentIntent>(&call.owner, id.as_str())
            .map(|intent| render_for(state, call, intent))?),
    }
}

/// Confirms an intent with `method` as its payer would in a browser, at a test's request, passing the authentication.
///
/// # Errors
/// Those of the API: an unknown intent or payment method, a wrong status, a decline.
pub(crate) fn confirm_as_payer(state: &mut State, id: &str, method: &str) -> Answer {
    let intent = state
        .payment_intents
        .get(id)
        .ok_or_else(|| ApiError::not_found(PaymentIntent::NOUN, id))?;
    let (id, owner, status) = (intent.id.clone(), intent.owner.clone(), intent.status);
    if !status.confirmable() {
        let message = format!(
            "You cannot confirm this PaymentIntent because it has a status of {}.",
            status.name()
        );
        return Err(unexpected(state, &id, message));
    }
    let method = create::usable_method(state, &owner, method, &id)?;
    state.change(&id, |intent| intent.payment_method = Some(method));
    let origin = Origin::default();
    let mut decline = attempt::attempt(state, &origin, &id, false);
    if state
        .payment_intents
        .get(id.as_str())
        .is_some_and(|intent| intent.status == IntentStatus::RequiresAction)
    {
        decline = authenticate(state, &origin, &id, Authentication::Passed);
    }
    match decline {
        Some(decline) => Err(declined(state, &id, decline)),
        None => Ok(state.rendered(&id)),
    }
}

fn cancel(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&["cancellation_reason"])?;
    let intent = state.find::<PaymentIntent>(&call.owner, call.id())?.clone();
    let reason = call.params.owned("cancellation_reason");
    const REASONS: [&str; 4] = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
    if let Some(reason) = reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
        let message = format!(
            "Invalid cancellation_reason: must be one of {}; got {reason}",
            REASONS.join(", ")
        );
        return Err(ApiError::invalid_param("cancellation_reason", message));
    }
    if !intent.status.cancelable() {
        let message = format!(
            "You cannot cancel this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of the following statuses may be canceled: requires_payment_method, requires_capture, requires_confirmation, requires_action, processing.",
            intent.status.name()
        );
        return Err(unexpected(state, &intent.id, message));
    }
    let now = state.now();
    state.change(&intent.id, |row| {
        row.status = IntentStatus::Canceled;
        row.canceled_at = Some(now);
        row.cancellation_reason = reason;
        row.next_action = None;
        row.amount_capturable = 0;
    });
    log(state, &call.origin, &intent.id, "payment_intent.cancel", 0);
    let rendered = state.rendered(&intent.id);
    state.emit(
        &call.origin,
        &call.owner,
        "payment_intent.canceled",
        &rendered,
        None,
    );
    Ok(rendered)
}

fn capture(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[
        "amount_to_capture",
        "final_capture",
        "metadata",
        "statement_descriptor_suffix",
    ])?;
    let intent = state.find::<PaymentIntent>(&call.owner, call.id())?.clone();
    if intent.status != IntentStatus::RequiresCapture {
        let message = format!(
            "This PaymentIntent could not be captured because it has a status of {}. Only a PaymentIntent with one of the following statuses may be captured: requires_capture.",
            intent.status.name()
        );
        return Err(unexpected(state, &intent.id, message));
    }
    let amount = call
        .params
        .integer("amount_to_capture")?
        .unwrap_or(intent.amount_capturable);
    check_amount("amount_to_capture", amount, intent.amount_capturable)?;
    take::take_money(state, &call.origin, &intent.id, amount);
    Ok(state.rendered(&intent.id))
}

/// Returns a 400 that shows the intent as it is.
fn unexpected(state: &State, id: &Id<PaymentIntent>, message: String) -> ApiError {
    ApiError::refused("payment_intent_unexpected_state", message).with("payment_intent", state.rendered(id))
}

/// Returns a 402 that shows the intent, the payment method and the failed charge.
fn declined(state: &State, id: &Id<PaymentIntent>, decline: Decline) -> ApiError {
    let intent = state.rendered(id);
    let mut error = ApiError::card(decline.code, decline.decline_code, decline.message);
    for field in ["charge", "payment_method"] {
        let value = intent.pointer(&format!("/last_payment_error/{field}")).cloned();
        error = error.with(field, value.unwrap_or_default());
    }
    error.with("payment_intent", intent)
}

fn log(state: &mut State, origin: &Origin, id: &Id<PaymentIntent>, operation: &str, change: i64) {
    let Some(intent) = state.payment_intents.get(id.as_str()).cloned() else {
        return;
    };
    let amount = if operation == "payment_intent.succeed" {
        intent.amount_received
    } else {
        intent.amount
    };
    let effect = NewEffect {
        operation,
        object: id.as_str(),
        amount: Some((amount, intent.currency)),
        account: intent.owner.account(),
        metadata: intent.metadata,
        ..NewEffect::default()
    };
    state.log_effect(origin, effect.changing(&intent.owner, change));
}
