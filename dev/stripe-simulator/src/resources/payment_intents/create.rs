//! Creates and changes payment intents.

use super::super::{Answer, Call, payment_methods};
use super::{attempt, declined, log, unexpected};
use crate::errors::ApiError;
use crate::form::Params;
use crate::money::{Currency, LARGEST_CHARGE};
use crate::objects::{
    CaptureMethod, Customer, GroupBy, Id, IntentStatus, MethodKind, Owner, PaymentIntent, PaymentMethod,
    Resource, group, random_id,
};
use crate::state::State;

const PARAMS: [&str; 30] = [
    "allowed_payment_method_types",
    "amount",
    "currency",
    "automatic_payment_methods",
    "capture_method",
    "confirm",
    "confirmation_method",
    "customer",
    "description",
    "error_on_requires_action",
    "customer_account",
    "mandate",
    "mandate_data",
    "metadata",
    "off_session",
    "payment_method",
    "payment_method_data",
    "payment_method_options",
    "payment_method_types",
    "receipt_email",
    "return_url",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
    "use_stripe_sdk",
    "radar_options",
    "excluded_payment_method_types",
    "payment_method_configuration",
];

pub(super) fn create(state: &mut State, call: &Call) -> Answer {
    let params = &call.params;
    params.allow_only(&PARAMS)?;
    let currency = params.currency()?;
    let amount = charge_amount(params, currency)?;
    let metadata = params.metadata()?;
    let customer = customer(state, call)?;
    let (types, automatic) = method_types(params, currency)?;
    if automatic.is_none() {
        require_mandate(params, &types)?;
    }
    let confirm = params.boolean("confirm")?.unwrap_or(false);
    let off_session = params.text("off_session").is_some_and(|value| value != "false");
    if off_session && !confirm {
        let message = "You cannot provide off_session when confirm is not true.".to_owned();
        return Err(ApiError::invalid_param("off_session", message).code("payment_intent_invalid_parameter"));
    }
    if confirm {
        require_return_url(state, params, automatic == Some(true))?;
        if !params.has("payment_method") && !params.has("payment_method_data") {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method or ConfirmationToken.";
            return Err(ApiError::refused("payment_intent_unexpected_state", message));
        }
    }

    let id: Id<PaymentIntent> = Id::generate();
    let client_secret = random_id(&format!("{id}_secret_"));
    let mut intent = PaymentIntent {
        id: id.clone(),
        owner: call.owner.clone(),
        created: state.now(),
        amount,
        amount_received: 0,
        amount_capturable: 0,
        currency,
        status: IntentStatus::RequiresPaymentMethod,
        capture_method: if params.text("capture_method") == Some("manual") {
            CaptureMethod::Manual
        } else {
            CaptureMethod::Automatic
        },
        customer,
        payment_method: None,
        payment_method_types: types,
        automatic_methods: automatic,
        latest_charge: None,
        last_payment_error: None,
        next_action: None,
        client_secret,
        canceled_at: None,
        cancellation_reason: None,
        description: params.owned("description"),
        receipt_email: params.owned("receipt_email"),
        setup_future_usage: params.owned("setup_future_usage"),
        statement_descriptor_suffix: params.owned("statement_descriptor_suffix"),
        transfer_group: params.owned("transfer_group"),
        metadata,
    };
    if let Some(method) = named_method(state, call)? {
        check_method(state, &method, &intent)?;
        intent.payment_method = Some(method);
        intent.status = IntentStatus::RequiresConfirmation;
    }
    state.payment_intents.insert(intent);
    log(state, &call.origin, &id, "payment_intent.create", 0);
    let rendered = state.rendered(&id);
    state.emit(
        &call.origin,
        &call.owner,
        "payment_intent.created",
        &rendered,
        None,
    );
    if !confirm {
        return Ok(rendered);
    }
    match attempt::attempt(state, &call.origin, &id, off_session) {
        Some(decline) => Err(declined(state, &id, decline)),
        None => Ok(state.rendered(&id)),
    }
}

pub(super) fn update(state: &mut State, call: &Call) -> Answer {
    let params = &call.params;
    params.allow_only(&PARAMS)?;
    let mut intent = state.find::<PaymentIntent>(&call.owner, call.id())?.clone();
    if params.has("amount") || params.has("currency") || params.has("payment_method") {
        if !intent.status.confirmable() {
            let message = format!(
                "This PaymentIntent's amount could not be updated because it has a status of {}.",
                intent.status.name()
            );
            return Err(unexpected(state, &intent.id, message));
        }
        if let Some(code) = params.text("currency") {
            intent.currency = Currency::parse(code)?;
        }
        if params.has("amount") {
            intent.amount = charge_amount(params, intent.currency)?;
        }
    }
    if let Some(customer) = customer(state, call)? {
        state
            .payment_intents
            .join(intent.id.as_str(), group(GroupBy::Customer, &customer));
        intent.customer = Some(customer);
    }
    params.update_metadata(&mut intent.metadata)?;
    if params.has("description") {
        intent.description = params.owned("description");
    }
    if params.has("transfer_group") {
        intent.transfer_group = params.owned("transfer_group");
    }
    if let Some(method) = named_method(state, call)? {
        check_method(state, &method, &intent)?;
        intent.payment_method = Some(method);
        intent.status = IntentStatus::RequiresConfirmation;
    }
    let id = intent.id.clone();
    state.change(&id, |row| *row = intent);
    Ok(state.rendered(&id))
}

fn charge_amount(params: &Params, currency: Currency) -> Result<i64, ApiError> {
    let amount = params.amount(LARGEST_CHARGE)?;
    currency.check_whole(amount)?;
    if amount < currency.minimum_charge() {
        let message = format!(
            "Amount must be at least {} {}",
            currency.show(currency.minimum_charge()),
            currency.code()
        );
        return Err(ApiError::invalid_param("amount", message).code("amount_too_small"));
    }
    Ok(amount)
}

fn customer(state: &State, call: &Call) -> Result<Option<Id<Customer>>, ApiError> {
    let Some(id) = call.params.text("customer") else {
        return Ok(None);
    };
    let customer = state.find_param::<Customer>(&call.owner, id, "customer")?;
    if customer.deleted {
        return Err(ApiError::no_such(Customer::NOUN, id, "customer"));
    }
    Ok(Some(customer.id.clone()))
}

/// Returns the payment method types of a new intent, and whether they come from the dashboard (with or without redirects).
fn method_types(params: &Params, currency: Currency) -> Result<(Vec<String>, Option<bool>), ApiError> {
    // API versions from 2026-09-30 on have `allowed_payment_method_types`, the older ones `payment_method_types`.
    let mut named = params.list("payment_method_types");
    named.extend(params.list("allowed_payment_method_types"));
    let automatic = params.boolean("automatic_payment_methods[enabled]")?;
    if !named.is_empty() && automatic == Some(true) {
        let message =
            "You may only specify one of these parameters: automatic_payment_methods, payment_method_types.";
        return Err(ApiError::invalid_param(
            "payment_method_types",
            message.to_owned(),
        ));
    }
    let bank = MethodKind::bank_debit_of(currency);
    if named.is_empty() {
        let redirects = params.text("automatic_payment_methods[allow_redirects]") != Some("never");
        let types = ["card"].into_iter().chain(bank).map(str::to_owned).collect();
        return Ok((types, Some(redirects)));
    }
    for kind in &named {
        if !["card", "link"].contains(kind) && bank != Some(*kind) {
            let message = format!(
                "The payment method type \"{kind}\" is invalid. Please ensure the provided type is activated in your dashboard and supports the currency {}.",
                currency.code()
            );
            return Err(ApiError::invalid_param("payment_method_types", message)
                .code("payment_intent_invalid_parameter"));
        }
    }
    Ok((named.into_iter().map(str::to_owned).collect(), None))
}

/// Requires the terms of the mandate that Canadian debits need (<https://docs.stripe.com/payments/acss-debit/accept-a-payment>).
fn require_mandate(params: &Params, types: &[String]) -> Result<(), ApiError> {
    if !types.iter().any(|kind| kind == "acss_debit") || params.has("automatic_payment_methods") {
        return Ok(());
    }
    for option in ["payment_schedule", "transaction_type"] {
        let param = format!("payment_method_options[acss_debit][mandate_options][{option}]");
        if !params.has(&param) {
            return Err(ApiError::missing_param(&param));
        }
    }
    Ok(())
}

/// Requires a `return_url` if payment methods from the dashboard may redirect the payer.
pub(super) fn require_return_url(state: &State, params: &Params, redirects: bool) -> Result<(), ApiError> {
    if !state.settings.require_return_url || !redirects || params.has("return_url") {
        return Ok(());
    }
    Err(ApiError::invalid_param(
        "return_url",
        "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of these payment methods might redirect your customer off of your page, you must provide a `return_url`. If you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents.".to_owned(),
    ))
}

/// Returns the payment method that a request names for an existing intent.
///
/// # Errors
/// When it is unknown, another customer's, or of a type or for a currency that the intent does not accept.
pub(super) fn method_for(
    state: &mut State,
    call: &Call,
    intent: &Id<PaymentIntent>,
) -> Result<Option<Id<PaymentMethod>>, ApiError> {
    let Some(method) = named_method(state, call)? else {
        return Ok(None);
    };
    if let Some(intent) = state.payment_intents.get(intent.as_str()) {
        check_method(state, &method, intent)?;
    }
    Ok(Some(method))
}

/// Returns the payment method called `token`, if `intent` accepts it.
///
/// # Errors
/// As [`method_for`].
pub(super) fn usable_method(
    state: &mut State,
    owner: &Owner,
    token: &str,
    intent: &Id<PaymentIntent>,
) -> Result<Id<PaymentMethod>, ApiError> {
    let method = payment_methods::resolve(state, owner, token)
        .ok_or_else(|| ApiError::no_such(PaymentMethod::NOUN, token, "payment_method"))?;
    if let Some(intent) = state.payment_intents.get(intent.as_str()) {
        check_method(state, &method, intent)?;
    }
    Ok(method)
}

fn named_method(state: &mut State, call: &Call) -> Result<Option<Id<PaymentMethod>>, ApiError> {
    if let Some(token) = call.params.text("payment_method") {
        let method = payment_methods::resolve(state, &call.owner, token);
        return method
            .map(Some)
            .ok_or_else(|| ApiError::no_such(PaymentMethod::NOUN, token, "payment_method"));
    }
    if call.params.has("payment_method_data") {
        return payment_methods::from_data(state, &call.owner, &call.params).map(Some);
    }
    Ok(None)
}

fn check_method(state: &State, method: &Id<PaymentMethod>, intent: &PaymentIntent) -> Result<(), ApiError> {
    let Some(method) = state.payment_methods.get(method.as_str()) else {
        return Ok(());
    };
    if method.customer.is_some() && method.customer != intent.customer {
        let message = match &method.customer {
            Some(_) if intent.customer.is_none() => format!(
                "The provided PaymentMethod cannot be attached. To reuse a PaymentMethod, you must attach it to a Customer first. {}",
                method.id
            ),
            _ => format!(
                "The customer does not have a payment method with the ID {}. The payment method must be attached to the customer.",
                method.id
            ),
        };
        return Err(
            ApiError::invalid_param("payment_method", message).code("payment_intent_invalid_parameter")
        );
    }
    let kind = method.kind.name();
    if !intent.payment_method_types.iter().any(|taken| taken == kind) || !method.kind.accepts(intent.currency)
    {
        let message = format!(
            "The PaymentMethod provided ({kind}) is not allowed for this PaymentIntent. Please attach a PaymentMethod of one of the following types: {}.",
            intent.payment_method_types.join(", ")
        );
        return Err(ApiError::refused(
            "payment_intent_incompatible_payment_method",
            message,
        ));
    }
    Ok(())
}
