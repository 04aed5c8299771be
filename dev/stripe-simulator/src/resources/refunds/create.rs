//! Creates refunds, requested through the API or in the dashboard.

use serde_json::json;

use super::super::balance::{Posting, available, post, settled};
use super::super::{Answer, Call};
use super::log;
use crate::errors::ApiError;
use crate::form::{Metadata, check_amount};
use crate::objects::{
    BalanceTransaction, Behaviour, Charge, ChargeStatus, Dispute, DisputeStatus, GroupBy, Id, Owner,
    PaymentIntent, Refund, RefundStatus, Resource, TransactionKind, group,
};
use crate::state::{Origin, State, Timer};

const REASONS: [&str; 3] = ["duplicate", "fraudulent", "requested_by_customer"];

/// A refund that is to be created.
#[derive(Debug)]
pub(crate) struct Order {
    /// The owner of the charge.
    pub(crate) owner: Owner,
    /// The charge's id, or …
    pub(crate) charge: Option<String>,
    /// … the id of the intent whose charge it is.
    pub(crate) payment_intent: Option<String>,
    /// In minor units; the whole remainder when absent.
    pub(crate) amount: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
}

pub(super) fn create(state: &mut State, call: &Call) -> Answer {
    let params = &call.params;
    params.allow_only(&[
        "amount",
        "charge",
        "payment_intent",
        "metadata",
        "reason",
        "instructions_email",
        "currency",
    ])?;
    let order = Order {
        owner: call.owner.clone(),
        charge: params.owned("charge"),
        payment_intent: params.owned("payment_intent"),
        amount: params.integer("amount")?,
        reason: params.owned("reason"),
        metadata: params.metadata()?,
    };
    make(state, &call.origin, order)
}

/// Creates a refund. It succeeds at once or is pending, because of its payment method or until there is money for it.
///
/// # Errors
/// Those of the API: a charge that is unknown, unpaid or disputed, or has less than the amount left.
pub(crate) fn make(state: &mut State, origin: &Origin, order: Order) -> Answer {
    if let Some(reason) = order.reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
        let message = format!(
            "Invalid reason: must be one of {}; got {reason}",
            REASONS.join(", ")
        );
        return Err(ApiError::invalid_param("reason", message));
    }
    let charge = charge_of(state, &order)?;
    let amount = refundable_amount(state, &charge, order.amount)?;
    let method = charge
        .payment_method
        .as_ref()
        .and_then(|id| state.payment_methods.get(id.as_str()));
    let by_card = method.is_none_or(|method| !method.kind.is_bank_debit());
    let behaviour = method.map_or(Behaviour::Succeeds, |method| method.behaviour);
    let id = Id::generate();
    let (needed, held_in, _) = settled(state, &order.owner, amount, charge.currency);
    let funded = available(state, &order.owner, held_in) >= needed;
    let pends = !by_card || behaviour == Behaviour::RefundPends;
    let balance_transaction = funded.then(|| debit(state, &charge, &id, amount));
    let created = state.now();
    let before = charge.render(state);
    state.refunds.insert(Refund {
        id: Id::clone(&id),
        owner: order.owner.clone(),
        created,
        amount,
        currency: charge.currency,
        status: if funded && !pends {
            RefundStatus::Succeeded
        } else {
            RefundStatus::Pending
        },
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        balance_transaction,
        failure_balance_transaction: None,
        failure_reason: None,
        pending_reason: match (funded, pends) {
            (false, _) => Some("insufficient_funds"),
            (true, true) => Some("processing"),
            (true, false) => None,
        },
        reason: order.reason,
        by_card,
        metadata: order.metadata,
    });
    state.change(&charge.id, |row| row.amount_refunded += amount);
    let taken = amount + state.settings.refund_fee_fixed;
    log(
        state,
        origin,
        &id,
        "refund.create",
        if funded { -taken } else { 0 },
    );
    let rendered = state.rendered(&id);
    let refunded = state.rendered(&charge.id);
    state.emit(origin, &order.owner, "refund.created", &rendered, None);
    state.emit_update(origin, &order.owner, "charge.refunded", &before, &refunded);
    match (funded, pends) {
        (false, _) => state.waiting_refunds.push(id),
        (true, true) => state.plan(state.settings.refund_pending_ms, Timer::CompleteRefund(id)),
        (true, false) => succeeded(state, origin, &id, behaviour),
    }
    Ok(rendered)
}

/// Returns the amount to refund of a charge, if it may be refunded.
fn refundable_amount(state: &State, charge: &Charge, asked: Option<i64>) -> Result<i64, ApiError> {
    let left = charge.refundable();
    let amount = asked.unwrap_or(left);
    charge.currency.check_whole(amount)?;
    let charged_back =
        |dispute: &Dispute| !dispute.status.is_inquiry() && dispute.status != DisputeStatus::Won;
    if state
        .disputes
        .members(&group(GroupBy::Charge, &charge.id))
        .any(charged_back)
    {
        return Err(ApiError::refused(
            "charge_disputed",
            format!(
                "Charge {} has been charged back; cannot issue a refund.",
                charge.id
            ),
        ));
    }
    if left == 0 {
        return Err(ApiError::refused(
            "charge_already_refunded",
            format!("Charge {} has already been refunded.", charge.id),
        ));
    }
    check_amount("amount", amount, i64::MAX)?;
    if amount > left {
        let (asked, left) = (charge.currency.show(amount), charge.currency.show(left));
        let message = format!("Refund amount ({asked}) is greater than unrefunded amount on charge ({left})");
        return Err(ApiError::refused("amount_too_large", message).with("param", json!("amount")));
    }
    Ok(amount)
}

/// Returns the charge to refund, named by its own id or by its payment intent's.
fn charge_of(state: &State, order: &Order) -> Result<Charge, ApiError> {
    let charge = match (&order.charge, &order.payment_intent) {
        (Some(id), _) => state.find_param::<Charge>(&order.owner, id, "charge")?,
        (None, Some(id)) => {
            let intent = state.find_param::<PaymentIntent>(&order.owner, id, "payment_intent")?;
            let charge = intent
                .latest_charge
                .as_ref()
                .and_then(|id| state.charges.get(id.as_str()));
            charge
                .filter(|charge| charge.status == ChargeStatus::Succeeded)
                .ok_or_else(|| {
                    ApiError::invalid_param(
                        "payment_intent",
                        format!("This PaymentIntent ({id}) does not have a successful charge to refund."),
                    )
                })?
        }
        (None, None) => return Err(ApiError::missing_param("payment_intent")),
    };
    if charge.status != ChargeStatus::Succeeded || !charge.captured {
        let message = format!(
            "Charge {} was not paid and captured; it cannot be refunded.",
            charge.id
        );
        return Err(ApiError::invalid_param("charge", message));
    }
    Ok(charge.clone())
}

/// Takes a refund's money, and its fee, from the balance.
pub(super) fn debit(
    state: &mut State,
    charge: &Charge,
    refund: &Id<Refund>,
    amount: i64,
) -> Id<BalanceTransaction> {
    let by_card = charge.id.as_str().starts_with("ch_");
    let posting = Posting {
        owner: &charge.owner,
        kind: if by_card {
            TransactionKind::Refund
        } else {
            TransactionKind::PaymentRefund
        },
        amount: -amount,
        fee: state.settings.refund_fee_fixed,
        currency: charge.currency,
        source: refund.as_str(),
        description: Some("REFUND FOR CHARGE".to_owned()),
        pending_ms: 0,
    };
    post(state, posting)
}

fn succeeded(state: &mut State, origin: &Origin, id: &Id<Refund>, behaviour: Behaviour) {
    log(state, origin, id, "refund.succeed", 0);
    if behaviour == Behaviour::RefundFails {
        state.plan(state.settings.refund_fail_ms, Timer::FailRefund(id.clone()));
    }
}
