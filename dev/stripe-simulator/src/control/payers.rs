//! Control calls that act as payers and their banks for payments, and events of any kind.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Control, Input, Refusal, id_of, owner, yes};
use crate::form::check_amount;
use crate::money::{Currency, LARGEST_MOVEMENT};
use crate::objects::{Decline, Id, IntentStatus, PaymentIntent};
use crate::resources::payment_intents;
use crate::shared::Core;
use crate::state::{Origin, State};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEvent {
    r#type: String,
    object: Value,
    account: Option<String>,
}

pub(super) async fn emit(Shared(core): Shared<Arc<Core>>, Input(event): Input<NewEvent>) -> Control {
    core.with(|state| {
        let owner = owner(state, event.account.as_deref())?;
        let id = state.emit(&Origin::default(), &owner, &event.r#type, &event.object, None);
        Ok(Json(state.rendered(&id)))
    })
}

pub(super) async fn resend(Shared(core): Shared<Arc<Core>>, Path(id): Path<String>) -> Control {
    core.with(|state| {
        let id = id_of(state, &id)?;
        state.resend(&id);
        Ok(Json(state.rendered(&id)))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayerConfirms {
    #[serde(default = "visa")]
    payment_method: String,
}

fn visa() -> String {
    "pm_card_visa".to_owned()
}

pub(super) async fn confirm_intent(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(payer): Input<PayerConfirms>,
) -> Control {
    core.with(|state| {
        Ok(Json(payment_intents::confirm_as_payer(
            state,
            &id,
            &payer.payment_method,
        )?))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayerAuthenticates {
    #[serde(default = "yes")]
    passed: bool,
}

pub(super) async fn authenticate_intent(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(payer): Input<PayerAuthenticates>,
) -> Control {
    core.with(|state| {
        let id = id_of(state, &id)?;
        let result = if payer.passed {
            payment_intents::Authentication::Passed
        } else {
            payment_intents::Authentication::Failed
        };
        require_intent(state, &id, IntentStatus::RequiresAction)?;
        payment_intents::authenticate(state, &Origin::default(), &id, result);
        Ok(Json(state.rendered(&id)))
    })
}

/// The action that is required of the payer instead of an authentication.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NextAction {
    #[serde(rename = "type")]
    kind: String,
    /// The time until micro-deposits arrive or a voucher expires.
    in_seconds: i64,
}

/// Makes an intent that waits for its payer wait for something else, such as a voucher or micro-deposits. The shapes are those of
/// <https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action>.
pub(super) async fn ask_payer(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(action): Input<NextAction>,
) -> Control {
    core.with(|state| {
        let id = id_of(state, &id)?;
        require_intent(state, &id, IntentStatus::RequiresAction)?;
        let at = state.now().seconds().saturating_add(action.in_seconds);
        let kind = action.kind.as_str();
        let details = match kind {
            "verify_with_microdeposits" => json!({
                "arrival_date": at, "hosted_verification_url": "https://payments.stripe.com/microdeposit/sim", "microdeposit_type": "amounts",
            }),
            "boleto_display_details" | "multibanco_display_details" => json!({ "expires_at": at }),
            "oxxo_display_details" => json!({ "expires_after": at }),
            "konbini_display_details" => json!({ "expires_at": at, "stores": {} }),
            "display_bank_transfer_instructions" | "use_stripe_sdk" => json!({}),
            other => return Err(Refusal::bad(format!("the simulator knows no action {other}"))),
        };
        state.change(&id, |row: &mut PaymentIntent| {
            row.next_action = Some(json!({ "type": kind, kind: details }));
        });
        Ok(Json(state.rendered(&id)))
    })
}

fn require_intent(state: &State, id: &Id<PaymentIntent>, wanted: IntentStatus) -> Result<(), Refusal> {
    match state.payment_intents.get(id.as_str()).map(|intent| intent.status) {
        Some(status) if status == wanted => Ok(()),
        status => Err(Refusal::bad(format!(
            "{id} is {}, not {}",
            status.map_or("missing", IntentStatus::name),
            wanted.name()
        ))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BankSettles {
    #[serde(default = "yes")]
    succeeds: bool,
}

pub(super) async fn settle_intent(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(bank): Input<BankSettles>,
) -> Control {
    core.with(|state| {
        let id = id_of(state, &id)?;
        require_intent(state, &id, IntentStatus::Processing)?;
        let failure = (!bank.succeeds).then_some(Decline {
            code: "insufficient_funds",
            decline_code: None,
            message: "The customer's account has insufficient funds to cover this payment.",
        });
        payment_intents::settle(state, &id, failure);
        Ok(Json(state.rendered(&id)))
    })
}

/// The money that arrived for an intent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayerPays {
    /// In minor units.
    amount: i64,
    currency: Option<String>,
    #[serde(default = "visa")]
    payment_method: String,
}

pub(super) async fn receive_for_intent(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(payer): Input<PayerPays>,
) -> Control {
    check_amount("amount", payer.amount, LARGEST_MOVEMENT)?;
    let currency = payer.currency.as_deref().map(Currency::parse).transpose()?;
    let received = payment_intents::Received {
        amount: payer.amount,
        currency,
        method: &payer.payment_method,
    };
    core.with(|state| Ok(Json(payment_intents::receive(state, &id, &received)?)))
}
