//! What happens when a payment method is charged: money, a decline, an authentication by the payer, or days of waiting.

use serde_json::{Value, json};

use super::debits;
use super::log;
use super::take::take_money;
use crate::objects::{
    BankFate, Behaviour, CaptureMethod, Charge, ChargeStatus, Decline, Id, IntentStatus, PaymentIntent,
    PaymentMethod, random_id,
};
use crate::state::{Origin, State, Timer};

/// The result of the payer's authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authentication {
    Passed,
    Failed,
}

const AUTHENTICATION_REQUIRED: Decline = Decline {
    code: "authentication_required",
    decline_code: Some("authentication_required"),
    message: "Your card was declined. This transaction requires authentication.",
};

const AUTHENTICATION_FAILED: Decline = Decline {
    code: "payment_intent_authentication_failure",
    decline_code: None,
    message: "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
};

/// Charges the intent's payment method. A decline is returned and recorded on the intent; its status shows every other outcome.
pub(super) fn attempt(
    state: &mut State,
    origin: &Origin,
    id: &Id<PaymentIntent>,
    off_session: bool,
) -> Option<Decline> {
    let intent = state.payment_intents.get(id.as_str())?;
    let (amount, capture) = (intent.amount, intent.capture_method);
    let method = method_of(state, intent)?.clone();
    match method.behaviour {
        Behaviour::Declines(why) => Some(decline(state, origin, id, why)),
        Behaviour::NeedsAuthentication | Behaviour::NeedsAuthenticationThenDeclines(_) if off_session => {
            Some(decline(state, origin, id, AUTHENTICATION_REQUIRED))
        }
        Behaviour::NeedsAuthentication | Behaviour::NeedsAuthenticationThenDeclines(_) => {
            state.change(id, |intent| {
                intent.status = IntentStatus::RequiresAction;
                intent.last_payment_error = None;
                intent.next_action = Some(json!({
                    "type": "use_stripe_sdk",
                    "use_stripe_sdk": { "type": "three_d_secure_redirect", "stripe_js": "", "source": random_id("src_") },
                }));
            });
            announce(state, origin, id, "payment_intent.requires_action");
            None
        }
        Behaviour::BankDebit(_) => {
            start_debit(state, origin, id, &method);
            None
        }
        Behaviour::Succeeds
        | Behaviour::BypassesPending
        | Behaviour::Disputed(_)
        | Behaviour::Inquired
        | Behaviour::RefundFails
        | Behaviour::RefundPends => {
            pay(state, origin, id, amount, capture);
            None
        }
    }
}

/// Completes the authentication that a card required of the payer. Does nothing unless the intent waits for it.
pub(crate) fn authenticate(
    state: &mut State,
    origin: &Origin,
    id: &Id<PaymentIntent>,
    result: Authentication,
) -> Option<Decline> {
    let intent = state
        .payment_intents
        .get(id.as_str())
        .filter(|intent| intent.status == IntentStatus::RequiresAction)?;
    let (amount, capture) = (intent.amount, intent.capture_method);
    let behaviour = method_of(state, intent)?.behaviour;
    match (result, behaviour) {
        (Authentication::Failed, _) => Some(decline(state, origin, id, AUTHENTICATION_FAILED)),
        (Authentication::Passed, Behaviour::NeedsAuthenticationThenDeclines(why)) => {
            Some(decline(state, origin, id, why))
        }
        (Authentication::Passed, _) => {
            pay(state, origin, id, amount, capture);
            None
        }
    }
}

/// Ends a bank debit as its test payment method determines.
pub(crate) fn settle_by_fate(state: &mut State, id: &Id<PaymentIntent>) {
    let Some(intent) = state.payment_intents.get(id.as_str()) else {
        return;
    };
    let Some(Behaviour::BankDebit(fate)) = method_of(state, intent).map(|method| method.behaviour) else {
        return;
    };
    match fate {
        BankFate::Stays => {}
        BankFate::Fails(code, message) => settle(
            state,
            id,
            Some(Decline {
                code,
                decline_code: None,
                message,
            }),
        ),
        BankFate::Succeeds | BankFate::Disputed => settle(state, id, None),
    }
}

/// Ends a bank debit that is `processing`: with money, or with a failure.
pub(crate) fn settle(state: &mut State, id: &Id<PaymentIntent>, failure: Option<Decline>) {
    let Some(intent) = state
        .payment_intents
        .get(id.as_str())
        .filter(|intent| intent.status == IntentStatus::Processing)
    else {
        return;
    };
    let amount = intent.amount;
    match failure {
        None => take_money(state, &Origin::default(), id, amount),
        Some(failure) => {
            decline(state, &Origin::default(), id, failure);
        }
    }
}

fn pay(state: &mut State, origin: &Origin, id: &Id<PaymentIntent>, amount: i64, capture: CaptureMethod) {
    match capture {
        CaptureMethod::Automatic => take_money(state, origin, id, amount),
        CaptureMethod::Manual => {
            let charge = charge(state, id, ChargeStatus::Succeeded, None);
            state.change(id, |intent| {
                intent.status = IntentStatus::RequiresCapture;
                intent.amount_capturable = amount;
                intent.last_payment_error = None;
                intent.next_action = None;
                intent.latest_charge.clone_from(&charge);
            });
            announce_charge(state, origin, charge.as_ref(), "charge.succeeded");
            announce(state, origin, id, "payment_intent.amount_capturable_updated");
        }
    }
}

fn start_debit(state: &mut State, origin: &Origin, id: &Id<PaymentIntent>, method: &PaymentMethod) {
    let charge = charge(state, id, ChargeStatus::Pending, None);
    let change = charge
        .as_ref()
        .map_or(0, |charge| debits::submitted(state, charge));
    state.change(id, |intent| {
        intent.status = IntentStatus::Processing;
        intent.last_payment_error = None;
        intent.next_action = None;
        intent.latest_charge.clone_from(&charge);
    });
    log(state, origin, id, "payment_intent.submit", change);
    announce_charge(state, origin, charge.as_ref(), "charge.pending");
    announce(state, origin, id, "payment_intent.processing");
    if method.behaviour != Behaviour::BankDebit(BankFate::Stays) {
        state.plan(state.settings.bank_debit_ms, Timer::SettleIntent(id.clone()));
    }
}

/// Records that the attempt failed: the intent waits for another payment method.
fn decline(state: &mut State, origin: &Origin, id: &Id<PaymentIntent>, why: Decline) -> Decline {
    let Some(intent) = state.payment_intents.get(id.as_str()).cloned() else {
        return why;
    };
    let method = intent
        .payment_method
        .as_ref()
        .map_or(Value::Null, |method| state.rendered(method));
    let pending = (intent.status == IntentStatus::Processing)
        .then(|| intent.latest_charge.clone())
        .flatten();
    let mut change = 0;
    let charge = match pending {
        Some(charge) => {
            change = debits::taken_back(state, &charge);
            state.change(&charge, |row| {
                row.status = ChargeStatus::Failed;
                row.failure = Some(why);
            });
            Some(charge)
        }
        None => charge(state, id, ChargeStatus::Failed, Some(why)),
    };
    let mut error = json!({
        "type": if intent.status == IntentStatus::Processing { "invalid_request_error" } else { "card_error" },
        "code": why.code,
        "message": why.message,
        "doc_url": format!("https://stripe.com/docs/error-codes/{}", why.code.replace('_', "-")),
        "charge": charge,
        "payment_method": method,
    });
    if let (Some(code), Value::Object(error)) = (why.decline_code, &mut error) {
        error.insert("decline_code".to_owned(), json!(code));
    }
    state.change(id, |row| {
        row.status = IntentStatus::RequiresPaymentMethod;
        row.payment_method = None;
        row.next_action = None;
        row.last_payment_error = Some(error);
        row.latest_charge.clone_from(&charge);
    });
    log(state, origin, id, "payment_intent.fail", change);
    announce_charge(state, origin, charge.as_ref(), "charge.failed");
    announce(state, origin, id, "payment_intent.payment_failed");
    why
}

/// Creates a charge for the intent's whole amount.
pub(super) fn charge(
    state: &mut State,
    id: &Id<PaymentIntent>,
    status: ChargeStatus,
    failure: Option<Decline>,
) -> Option<Id<Charge>> {
    let intent = state.payment_intents.get(id.as_str())?.clone();
    let method = method_of(state, &intent)?.clone();
    let prefix = if method.kind.is_bank_debit() { "py_" } else { "ch_" };
    let charge = Id::from_text(&random_id(prefix));
    let created = state.now();
    state.charges.insert(Charge {
        id: Id::clone(&charge),
        owner: intent.owner,
        created,
        amount: intent.amount,
        amount_captured: 0,
        amount_refunded: 0,
        currency: intent.currency,
        status,
        captured: false,
        disputed: false,
        payment_intent: Some(intent.id),
        payment_method: intent.payment_method,
        method: Some(method.kind),
        customer: intent.customer,
        balance_transaction: None,
        source_transfer: None,
        failure,
        description: intent.description,
        transfer_group: intent.transfer_group,
        metadata: intent.metadata,
    });
    Some(charge)
}

pub(super) fn method_of<'a>(state: &'a State, intent: &PaymentIntent) -> Option<&'a PaymentMethod> {
    state
        .payment_methods
        .get(intent.payment_method.as_ref()?.as_str())
}

pub(super) fn announce(state: &mut State, origin: &Origin, id: &Id<PaymentIntent>, kind: &str) {
    let Some(owner) = state
        .payment_intents
        .get(id.as_str())
        .map(|intent| intent.owner.clone())
    else {
        return;
    };
    let rendered = state.rendered(id);
    state.emit(origin, &owner, kind, &rendered, None);
}

pub(super) fn announce_charge(state: &mut State, origin: &Origin, id: Option<&Id<Charge>>, kind: &str) {
    let Some(charge) = id.and_then(|id| state.charges.get(id.as_str())) else {
        return;
    };
    let (owner, rendered) = (charge.owner.clone(), state.rendered(&charge.id));
    state.emit(origin, &owner, kind, &rendered, None);
}
