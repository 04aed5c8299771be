//! `/v1/refunds`: money back to the payer, and what happens to a refund afterwards.

use super::balance::{Posting, available, post};
use super::{Answer, Call, Route, allow_list};
use crate::stripe::effects::NewEffect;
use crate::stripe::errors::ApiError;
use crate::stripe::form::check_amount;
use crate::stripe::list::{Group, GroupBy};
use crate::stripe::objects::{
    BalanceTransaction, Behaviour, Charge, ChargeStatus, Id, PaymentIntent, Refund, RefundStatus, Resource,
    TransactionKind, group,
};
use crate::stripe::state::{Origin, State, Timer};

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/refunds", "refunds.create", create),
    Route::get("/v1/refunds", "refunds.list", list),
    Route::get("/v1/refunds/{}", "refunds.retrieve", super::retrieve::<Refund>),
    Route::post("/v1/refunds/{}", "refunds.update", update),
    Route::post("/v1/refunds/{}/cancel", "refunds.cancel", cancel),
];

const REASONS: [&str; 3] = ["duplicate", "fraudulent", "requested_by_customer"];

fn create(state: &mut State, call: &Call) -> Answer {
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
    if let Some(reason) = params.text("reason").filter(|reason| !REASONS.contains(reason)) {
        let message = format!(
            "Invalid reason: must be one of {}; got {reason}",
            REASONS.join(", ")
        );
        return Err(ApiError::invalid_param("reason", message));
    }
    let charge = charge_of(state, call)?;
    let metadata = params.metadata()?;
    let left = charge.refundable();
    let amount = params.integer("amount")?.unwrap_or(left);
    if charge.disputed {
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
        return Err(ApiError::refused("amount_too_large", message).with("param", serde_json::json!("amount")));
    }

    let method = charge
        .payment_method
        .as_ref()
        .and_then(|id| state.payment_methods.get(id.as_str()));
    let by_card = method.is_none_or(|method| !method.kind.is_bank_debit());
    let behaviour = method.map_or(Behaviour::Succeeds, |method| method.behaviour);
    let id = Id::generate();
    let funded = available(state, &call.owner, charge.currency) >= amount;
    let pends = !by_card || behaviour == Behaviour::RefundPends;
    let balance_transaction = funded.then(|| debit(state, &charge, &id, amount));
    let created = state.now();
    state.refunds.insert(Refund {
        id: Id::clone(&id),
        owner: call.owner.clone(),
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
        reason: params.owned("reason"),
        by_card,
        metadata,
    });
    state.change(&charge.id, |row| row.amount_refunded += amount);
    log(
        state,
        &call.origin,
        &id,
        "refund.create",
        if funded { -amount } else { 0 },
    );
    let rendered = state.rendered(&id);
    let refunded = state.rendered(&charge.id);
    state.emit(&call.origin, &call.owner, "refund.created", &rendered, None);
    state.emit_update(
        &call.origin,
        &call.owner,
        "charge.refunded",
        &charge.render(state),
        &refunded,
    );
    match (funded, pends) {
        (false, _) => state.waiting_refunds.push(id),
        (true, true) => state.plan(state.settings.refund_pending_ms, Timer::CompleteRefund(id)),
        (true, false) => succeeded(state, &call.origin, &id, behaviour),
    }
    Ok(rendered)
}

/// The charge to refund, named itself or by its payment intent.
fn charge_of(state: &State, call: &Call) -> Result<Charge, ApiError> {
    let charge = match (call.params.text("charge"), call.params.text("payment_intent")) {
        (Some(id), _) => state.find_param::<Charge>(&call.owner, id, "charge")?,
        (None, Some(id)) => {
            let intent = state.find_param::<PaymentIntent>(&call.owner, id, "payment_intent")?;
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

fn debit(state: &mut State, charge: &Charge, refund: &Id<Refund>, amount: i64) -> Id<BalanceTransaction> {
    let by_card = charge.id.as_str().starts_with("ch_");
    let posting = Posting {
        owner: &charge.owner,
        kind: if by_card {
            TransactionKind::Refund
        } else {
            TransactionKind::PaymentRefund
        },
        amount: -amount,
        fee: 0,
        currency: charge.currency,
        source: refund.as_str(),
        description: Some("REFUND FOR CHARGE".to_owned()),
        pending_ms: 0,
    };
    post(state, posting)
}

fn list(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &["charge", "payment_intent"])?;
    let intent = call
        .params
        .text("payment_intent")
        .map(|id| group(GroupBy::Intent, id));
    let charge = call.params.text("charge").map(|id| group(GroupBy::Charge, id));
    let wanted: Vec<Group> = [intent, charge].into_iter().flatten().collect();
    state.list(
        &call.owner,
        &call.params,
        &call.path,
        wanted.first().cloned(),
        |refund: &Refund| {
            let own = refund.groups();
            wanted.iter().all(|wanted| own.contains(wanted))
        },
    )
}

fn update(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&["metadata"])?;
    let mut refund = state.find::<Refund>(&call.owner, call.id())?.clone();
    let before = refund.render(state);
    call.params.update_metadata(&mut refund.metadata)?;
    let id = refund.id.clone();
    state.change(&id, |row| *row = refund);
    let rendered = state.rendered(&id);
    state.emit_update(&call.origin, &call.owner, "refund.updated", &before, &rendered);
    Ok(rendered)
}

fn cancel(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[])?;
    let refund = state.find::<Refund>(&call.owner, call.id())?.clone();
    if refund.status != RefundStatus::RequiresAction {
        return Err(ApiError::refused(
            "refund_not_cancelable",
            format!(
                "Refund {} cannot be canceled because it is {}; only refunds that require action can be canceled.",
                refund.id,
                refund.status.name()
            ),
        ));
    }
    step(state, &call.origin, &refund.id, RefundStatus::Canceled, None);
    Ok(state.rendered(&refund.id))
}

fn succeeded(state: &mut State, origin: &Origin, id: &Id<Refund>, behaviour: Behaviour) {
    log(state, origin, id, "refund.succeed", 0);
    if behaviour == Behaviour::RefundFails {
        state.plan(state.settings.refund_fail_ms, Timer::FailRefund(id.clone()));
    }
}

/// A pending refund reaches the payer.
pub(crate) fn complete(state: &mut State, id: &Id<Refund>) {
    step(state, &Origin::default(), id, RefundStatus::Succeeded, None);
}

/// A succeeded refund comes back, as `pm_card_refundFail` does.
pub(crate) fn fail_later(state: &mut State, id: &Id<Refund>) {
    step(
        state,
        &Origin::default(),
        id,
        RefundStatus::Failed,
        Some("unknown"),
    );
}

/// Tries the refunds that wait for money, oldest first.
pub(crate) fn retry_waiting(state: &mut State) {
    for id in std::mem::take(&mut state.waiting_refunds) {
        let Some(refund) = state.refunds.get(id.as_str()) else {
            continue;
        };
        if refund.status != RefundStatus::Pending {
            continue;
        }
        if available(state, &refund.owner, refund.currency) < refund.amount {
            state.waiting_refunds.push(id);
        } else {
            complete(state, &id);
        }
    }
}

/// Moves a refund to `next`; money comes back when it failed or was cancelled. Says whether that was possible.
pub(crate) fn step(
    state: &mut State,
    origin: &Origin,
    id: &Id<Refund>,
    next: RefundStatus,
    failure: Option<&str>,
) -> bool {
    let Some(refund) = state.refunds.get(id.as_str()).cloned() else {
        return false;
    };
    let Some(charge) = state.charges.get(refund.charge.as_str()).cloned() else {
        return false;
    };
    if !refund.status.may_become(next) {
        return false;
    }
    let before = refund.render(state);
    let ends = matches!(next, RefundStatus::Failed | RefundStatus::Canceled);
    let mut change = 0;
    if next == RefundStatus::Succeeded && refund.balance_transaction.is_none() {
        let transaction = debit(state, &charge, id, refund.amount);
        state.change(id, |row| row.balance_transaction = Some(transaction));
        change = -refund.amount;
    }
    let returned = (ends && refund.balance_transaction.is_some()).then(|| {
        change = refund.amount;
        let posting = Posting {
            owner: &refund.owner,
            kind: TransactionKind::RefundFailure,
            amount: refund.amount,
            fee: 0,
            currency: refund.currency,
            source: id.as_str(),
            description: Some("REFUND FAILURE".to_owned()),
            pending_ms: 0,
        };
        post(state, posting)
    });
    if ends {
        state.change(&charge.id, |row| row.amount_refunded -= refund.amount);
    }
    let failure = (next == RefundStatus::Failed).then(|| failure.unwrap_or("unknown").to_owned());
    state.change(id, |row| {
        row.status = next;
        row.failure_reason = failure;
        row.failure_balance_transaction = returned;
        row.pending_reason = (next == RefundStatus::Pending).then_some("processing");
    });
    let operation = match next {
        RefundStatus::Succeeded => "refund.succeed",
        RefundStatus::Failed => "refund.fail",
        RefundStatus::Canceled => "refund.cancel",
        RefundStatus::Pending | RefundStatus::RequiresAction => "refund.update",
    };
    log(state, origin, id, operation, change);
    let rendered = state.rendered(id);
    if next == RefundStatus::Failed {
        state.emit(origin, &refund.owner, "refund.failed", &rendered, None);
    }
    state.emit_update(origin, &refund.owner, "refund.updated", &before, &rendered);
    state.emit_update(origin, &refund.owner, "charge.refund.updated", &before, &rendered);
    true
}

fn log(state: &mut State, origin: &Origin, id: &Id<Refund>, operation: &str, change: i64) {
    let Some(refund) = state.refunds.get(id.as_str()).cloned() else {
        return;
    };
    let effect = NewEffect {
        operation,
        object: id.as_str(),
        amount: Some((refund.amount, refund.currency)),
        account: refund.owner.account(),
        metadata: refund.metadata,
        ..NewEffect::default()
    };
    state.log_effect(origin, effect.changing(&refund.owner, change));
}
