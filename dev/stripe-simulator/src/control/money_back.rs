//! Control calls about money that goes back: refunds made in the dashboard, bank decisions about refunds and disputes, and transfers
//! reversed from outside.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use serde::Deserialize;

use super::{Control, Input, Refusal, id_of, move_or_plan, plan};
use crate::form::Metadata;
use crate::money::Currency;
use crate::objects::{Charge, Dispute, DisputeStatus, Id, Refund, RefundStatus, Resource, Transfer};
use crate::resources::{disputes, refunds, reversals};
use crate::shared::Core;
use crate::state::{self, DisputedFunds, Move, Origin, State};

/// The charge that a test names, by its own id or by its intent's.
struct Named {
    charge: Option<String>,
    payment_intent: Option<String>,
}

impl Named {
    fn find(&self, state: &State) -> Result<Id<Charge>, Refusal> {
        let intent = self.payment_intent.as_deref();
        match (
            self.charge.as_deref(),
            intent.and_then(|id| state.payment_intents.get(id)),
        ) {
            (Some(charge), _) => id_of(state, charge),
            (None, Some(intent)) => intent
                .latest_charge
                .clone()
                .ok_or_else(|| Refusal::bad("the intent has no charge")),
            (None, None) => Err(Refusal::bad(
                "`charge` or `payment_intent` must name an existing object",
            )),
        }
    }
}

/// A refund made in Stripe's dashboard: without any of our metadata, unless a test sets some.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DashboardRefund {
    charge: Option<String>,
    payment_intent: Option<String>,
    /// In minor units; the whole remainder when absent.
    amount: Option<i64>,
    reason: Option<String>,
    #[serde(default)]
    metadata: Metadata,
}

pub(super) async fn refund(Shared(core): Shared<Arc<Core>>, Input(new): Input<DashboardRefund>) -> Control {
    core.with(|state| {
        let named = Named {
            charge: new.charge,
            payment_intent: new.payment_intent,
        };
        let charge = named.find(state)?;
        let owner = state.charges.get(charge.as_str()).map(|row| row.owner().clone());
        let order = refunds::Order {
            owner: owner.ok_or_else(|| Refusal::missing(Charge::NOUN, charge.as_str()))?,
            charge: Some(charge.to_string()),
            payment_intent: None,
            amount: new.amount,
            reason: new.reason,
            metadata: new.metadata,
        };
        Ok(Json(refunds::make(state, &Origin::default(), order)?))
    })
}

/// The next status of a refund.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefundMove {
    status: String,
    failure_reason: Option<String>,
    #[serde(default)]
    after_seconds: u64,
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
        let id: Id<Refund> = id_of(state, &id)?;
        let what = Move::Refund(id.clone(), next, order.failure_reason);
        move_or_plan(state, &id, what, &order.status, order.after_seconds)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDispute {
    charge: Option<String>,
    payment_intent: Option<String>,
    /// In minor units; the charge's amount when absent.
    amount: Option<i64>,
    #[serde(default = "fraudulent")]
    reason: String,
    #[serde(default = "needs_response")]
    status: DisputeStatus,
    /// `false`: no money moves with it.
    #[serde(default = "moving")]
    funds: bool,
    #[serde(default)]
    after_seconds: u64,
}

const fn moving() -> bool {
    true
}

const fn funds(moving: bool) -> DisputedFunds {
    if moving {
        DisputedFunds::Move
    } else {
        DisputedFunds::Stay
    }
}

fn fraudulent() -> String {
    "fraudulent".to_owned()
}

const fn needs_response() -> DisputeStatus {
    DisputeStatus::NeedsResponse
}

pub(super) async fn open_dispute(Shared(core): Shared<Arc<Core>>, Input(new): Input<NewDispute>) -> Control {
    if new.amount.is_some_and(|amount| amount < 1) {
        return Err(Refusal::bad("`amount` must be at least 1"));
    }
    core.with(|state| {
        let named = Named {
            charge: new.charge,
            payment_intent: new.payment_intent,
        };
        let charge = named.find(state)?;
        let dispute = state::NewDispute {
            charge: charge.clone(),
            amount: new.amount,
            reason: new.reason,
            status: new.status,
            funds: funds(new.funds),
        };
        if new.after_seconds > 0 {
            return Ok(plan(state, Move::OpenDispute(dispute), new.after_seconds));
        }
        let opened = disputes::open(state, dispute);
        let opened = opened.ok_or_else(|| Refusal::missing(Charge::NOUN, charge.as_str()))?;
        Ok(Json(state.rendered(&opened)))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisputeMove {
    status: DisputeStatus,
    /// `false`: no money moves with it.
    #[serde(default = "moving")]
    funds: bool,
    #[serde(default)]
    after_seconds: u64,
}

pub(super) async fn move_dispute(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(order): Input<DisputeMove>,
) -> Control {
    core.with(|state| {
        let id: Id<Dispute> = id_of(state, &id)?;
        let what = Move::Dispute(id.clone(), order.status, funds(order.funds));
        move_or_plan(state, &id, what, order.status.name(), order.after_seconds)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FundsMove {
    /// In minor units; positive when it returns to us, negative when it goes out.
    amount: i64,
    /// The platform's settlement currency, if it differs from the payment's.
    currency: Option<String>,
}

pub(super) async fn move_funds(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(order): Input<FundsMove>,
) -> Control {
    if order.amount == 0 {
        return Err(Refusal::bad("`amount` must not be 0"));
    }
    let currency = order.currency.as_deref().map(Currency::parse).transpose()?;
    core.with(|state| {
        let id: Id<Dispute> = id_of(state, &id)?;
        disputes::move_funds(state, &id, order.amount, currency);
        Ok(Json(state.rendered(&id)))
    })
}

/// A reversal made in Stripe's dashboard.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DashboardReversal {
    /// In minor units; the whole remainder when absent.
    amount: Option<i64>,
    #[serde(default)]
    metadata: Metadata,
}

pub(super) async fn reverse_transfer(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(order): Input<DashboardReversal>,
) -> Control {
    core.with(|state| {
        let transfer = state.transfers.get(&id).cloned();
        let transfer = transfer.ok_or_else(|| Refusal::missing(Transfer::NOUN, &id))?;
        let order = reversals::Order {
            amount: order.amount,
            description: None,
            metadata: order.metadata,
        };
        Ok(Json(reversals::make(
            state,
            &Origin::default(),
            &transfer,
            order,
        )?))
    })
}
