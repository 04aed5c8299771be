//! `/v1/payment_methods`, and Stripe's test payment methods.

use super::{Answer, Call, Route, allow_list};
use crate::errors::ApiError;
use crate::form::Params;
use crate::objects::{
    BankFate, Behaviour, Customer, GroupBy, Id, MethodKind, Owner, PaymentMethod, Resource, group,
    test_method,
};
use crate::state::State;

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/payment_methods", "payment_methods.create", create).publishable(),
    Route::get("/v1/payment_methods", "payment_methods.list", list),
    Route::get("/v1/payment_methods/{}", "payment_methods.retrieve", retrieve),
    Route::post("/v1/payment_methods/{}/attach", "payment_methods.attach", attach),
    Route::post("/v1/payment_methods/{}/detach", "payment_methods.detach", detach),
];

const KINDS: [&str; 6] = [
    "card",
    "us_bank_account",
    "sepa_debit",
    "bacs_debit",
    "acss_debit",
    "au_becs_debit",
];

fn create(state: &mut State, call: &Call) -> Answer {
    let mut known = KINDS.to_vec();
    known.extend_from_slice(&["type", "billing_details", "metadata", "allow_redisplay"]);
    call.params.allow_only(&known)?;
    let (kind, behaviour) = described(&call.params, "")?;
    let id = add(state, &call.owner, kind, behaviour);
    let metadata = call.params.metadata()?;
    state.change(&id, |method| method.metadata = metadata);
    Ok(state.rendered(&id))
}

fn list(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &["customer", "type"])?;
    let customer = call.params.required("customer")?;
    let customer = state
        .find_param::<Customer>(&call.owner, customer, "customer")?
        .id
        .clone();
    super::customers::list_methods(state, call, &customer)
}

fn retrieve(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[])?;
    let id = resolve(state, &call.owner, call.id())
        .ok_or_else(|| ApiError::not_found(PaymentMethod::NOUN, call.id()))?;
    Ok(state.rendered(&id))
}

fn attach(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&["customer"])?;
    let customer = call.params.required("customer")?;
    let customer = state
        .find_param::<Customer>(&call.owner, customer, "customer")?
        .id
        .clone();
    let id = attach_to(state, call, call.id(), &customer)?;
    Ok(state.rendered(&id))
}

fn detach(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[])?;
    let id = state.find::<PaymentMethod>(&call.owner, call.id())?.id.clone();
    state.change(&id, |method| method.customer = None);
    let rendered = state.rendered(&id);
    state.emit(
        &call.origin,
        &call.owner,
        "payment_method.detached",
        &rendered,
        None,
    );
    Ok(rendered)
}

/// Attaches a payment method, or a new copy of a test one, to a customer.
///
/// # Errors
/// When the card is declined, or the payment method is unknown or another customer's.
pub(super) fn attach_to(
    state: &mut State,
    call: &Call,
    token: &str,
    customer: &Id<Customer>,
) -> Result<Id<PaymentMethod>, ApiError> {
    let id =
        resolve(state, &call.owner, token).ok_or_else(|| ApiError::not_found(PaymentMethod::NOUN, token))?;
    let Some(method) = state.payment_methods.get(id.as_str()) else {
        return Err(ApiError::not_found(PaymentMethod::NOUN, token));
    };
    if method.customer.as_ref().is_some_and(|own| own != customer) {
        return Err(ApiError::refused(
            "payment_method_unexpected_state",
            "This PaymentMethod has already been attached to a customer.",
        ));
    }
    // Of the declining test cards only `chargeCustomerFail` can be attached; the others are declined here already.
    if let (Behaviour::Declines(decline), false) = (method.behaviour, token.ends_with("CustomerFail")) {
        return Err(ApiError::card(
            decline.code,
            decline.decline_code,
            decline.message,
        ));
    }
    state.change(&id, |method| method.customer = Some(customer.clone()));
    state
        .payment_methods
        .join(id.as_str(), group(GroupBy::Customer, customer));
    let rendered = state.rendered(&id);
    state.emit(
        &call.origin,
        &call.owner,
        "payment_method.attached",
        &rendered,
        None,
    );
    Ok(id)
}

/// Returns the payment method with this id, or a new one if `token` is one of Stripe's test payment methods.
pub(crate) fn resolve(state: &mut State, owner: &Owner, token: &str) -> Option<Id<PaymentMethod>> {
    if let Some(method) = state.owned::<PaymentMethod>(owner, token) {
        return Some(method.id.clone());
    }
    let (kind, behaviour) = test_method(token)?;
    Some(add(state, owner, kind, behaviour))
}

/// Creates the payment method described by `payment_method_data[…]`.
///
/// # Errors
/// When the simulator does not know the type or the card.
pub(super) fn from_data(
    state: &mut State,
    owner: &Owner,
    params: &Params,
) -> Result<Id<PaymentMethod>, ApiError> {
    let (kind, behaviour) = described(params, "payment_method_data")?;
    Ok(add(state, owner, kind, behaviour))
}

fn add(state: &mut State, owner: &Owner, kind: MethodKind, behaviour: Behaviour) -> Id<PaymentMethod> {
    let id = Id::generate();
    let created = state.now();
    state.payment_methods.insert(PaymentMethod {
        id: Id::clone(&id),
        owner: owner.clone(),
        created,
        kind,
        behaviour,
        customer: None,
        metadata: std::collections::BTreeMap::new(),
    });
    id
}

fn described(params: &Params, prefix: &str) -> Result<(MethodKind, Behaviour), ApiError> {
    let at = |first: &str, second: &str| match (prefix, second) {
        ("", "") => first.to_owned(),
        ("", second) => format!("{first}[{second}]"),
        (prefix, "") => format!("{prefix}[{first}]"),
        (prefix, second) => format!("{prefix}[{first}][{second}]"),
    };
    let kind = params.required(&at("type", ""))?;
    let bank = |kind| Ok((kind, Behaviour::BankDebit(BankFate::Succeeds)));
    match kind {
        "card" => {
            let token = match (
                params.text(&at("card", "token")),
                params.text(&at("card", "number")),
            ) {
                (Some(token), _) => token.to_owned(),
                (None, Some(number)) => format!("tok_{}", card_with_number(number)),
                (None, None) => return Err(ApiError::missing_param(&at("card", ""))),
            };
            test_method(&token).ok_or_else(|| ApiError::no_such("token", &token, &at("card", "token")))
        }
        "us_bank_account" => bank(MethodKind::UsBankAccount),
        "sepa_debit" => bank(MethodKind::SepaDebit),
        "bacs_debit" => bank(MethodKind::BacsDebit),
        "acss_debit" => bank(MethodKind::AcssDebit),
        "au_becs_debit" => bank(MethodKind::AuBecsDebit),
        other => Err(ApiError::invalid_param(
            "type",
            format!("Invalid type: must be one of {}; got {other}", KINDS.join(", ")),
        )),
    }
}

/// Returns the test card with one of Stripe's test numbers.
fn card_with_number(number: &str) -> &'static str {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    match digits.as_str() {
        "4242424242424242" => "visa",
        "5555555555554444" => "mastercard",
        "378282246310005" => "amex",
        "4000000000000077" => "bypassPending",
        "4000000000000002" => "chargeDeclined",
        "4000000000009995" => "chargeDeclinedInsufficientFunds",
        "4000000000009987" => "chargeDeclinedLostCard",
        "4000000000009979" => "chargeDeclinedStolenCard",
        "4000000000000069" => "chargeDeclinedExpiredCard",
        "4000000000000127" => "chargeDeclinedIncorrectCvc",
        "4000000000000119" => "chargeDeclinedProcessingError",
        "4000000000000341" => "chargeCustomerFail",
        "4000002500003155" | "4000002760003184" => "authenticationRequired",
        "4000008260003178" => "authenticationRequiredChargeDeclinedInsufficientFunds",
        "4000000000000259" => "createDispute",
        "4000000000002685" => "createDisputeProductNotReceived",
        "4000000000005126" => "refundFail",
        "4000000000007726" => "pendingRefund",
        _ => "unknown",
    }
}
