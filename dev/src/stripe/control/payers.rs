//! Control calls that do what payers, their banks and Stripe's own staff do: payments, refunds, disputes, events.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use serde::Deserialize;
use serde_json::Value;

use super::{Control, Input, Refusal, id_of, moved_or_refused, owner, yes};
use crate::stripe::objects::{Charge, Decline, DisputeStatus, Id, IntentStatus, PaymentIntent, RefundStatus};
use crate::stripe::resources::{disputes, payment_intents, refunds};
use crate::stripe::server::Core;
use crate::stripe::state::{Origin, State};

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

/// What becomes of a refund.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefundMove {
    status: String,
    failure_reason: Option<String>,
}

pub(super) async fn move_refund(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(order): Input<RefundMove>,
) -> Control {
    let next = match order.status.as_str() {
        "pending" => RefundStatus::Pending,
        "requires_action" => RefundStatus::RequiresAction,
        "succeeded" => RefundStatus::Succeeded,
        "failed" => RefundStatus::Failed,
        "canceled" => RefundStatus::Canceled,
        other => return Err(Refusal::bad(format!("a refund cannot become `{other}`"))),
    };
    core.with(|state| {
        let id = id_of(state, &id)?;
        let moved = refunds::step(
            state,
            &Origin::default(),
            &id,
            next,
            order.failure_reason.as_deref(),
        );
        moved_or_refused(moved, state.rendered(&id), &order.status)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDispute {
    charge: Option<String>,
    payment_intent: Option<String>,
    amount: Option<i64>,
    #[serde(default = "fraudulent")]
    reason: String,
    #[serde(default = "needs_response")]
    status: DisputeStatus,
}

fn fraudulent() -> String {
    "fraudulent".to_owned()
}

const fn needs_response() -> DisputeStatus {
    DisputeStatus::NeedsResponse
}

pub(super) async fn open_dispute(Shared(core): Shared<Arc<Core>>, Input(new): Input<NewDispute>) -> Control {
    core.with(|state| {
        let intent = new.payment_intent.as_deref();
        let charge: Id<Charge> = match (
            new.charge.as_deref(),
            intent.and_then(|id| state.payment_intents.get(id)),
        ) {
            (Some(charge), _) => id_of(state, charge)?,
            (None, Some(intent)) => intent
                .latest_charge
                .clone()
                .ok_or_else(|| Refusal::bad("the intent has no charge"))?,
            (None, None) => {
                return Err(Refusal::bad(
                    "`charge` or `payment_intent` must name an existing object",
                ));
            }
        };
        let dispute = disputes::open(state, &charge, new.amount, &new.reason, new.status);
        let dispute = dispute.ok_or_else(|| Refusal::missing("charge", charge.as_str()))?;
        Ok(Json(state.rendered(&dispute)))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisputeMove {
    status: DisputeStatus,
}

pub(super) async fn move_dispute(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(order): Input<DisputeMove>,
) -> Control {
    core.with(|state| {
        let id = id_of(state, &id)?;
        let moved = disputes::step(state, &Origin::default(), &id, order.status);
        moved_or_refused(moved, state.rendered(&id), order.status.name())
    })
}
