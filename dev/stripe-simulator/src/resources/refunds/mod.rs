//! `/v1/refunds`: refunds to payers, and what happens to a refund afterwards.

mod create;

use super::balance::{Posting, available, post, settled};
use super::{Answer, Call, Route, allow_list};
use crate::effects::{NewEffect, transaction_of};
use crate::errors::ApiError;
use crate::objects::{Group, GroupBy, Id, Refund, RefundStatus, Resource, TransactionKind, group};
use crate::state::{Origin, State};

pub(crate) use create::{Order, make};

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/refunds", "refunds.create", create::create),
    Route::get("/v1/refunds", "refunds.list", list),
    Route::get("/v1/refunds/{}", "refunds.retrieve", super::retrieve::<Refund>),
    Route::post("/v1/refunds/{}", "refunds.update", update),
    Route::post("/v1/refunds/{}/cancel", "refunds.cancel", cancel),
];

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

/// Completes a pending refund: it reaches the payer.
pub(crate) fn complete(state: &mut State, id: &Id<Refund>) {
    step(state, &Origin::default(), id, RefundStatus::Succeeded, None);
}

/// Fails a succeeded refund, as `pm_card_refundFail` does.
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
        let (needed, held_in, _) = settled(state, &refund.owner, refund.amount, refund.currency);
        if available(state, &refund.owner, held_in) < needed {
            state.waiting_refunds.push(id);
        } else {
            complete(state, &id);
        }
    }
}

/// Moves a refund to `next`; its money is returned if it failed or was cancelled. Returns whether the move was possible.
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
        let transaction = create::debit(state, &charge, id, refund.amount);
        state.change(id, |row| row.balance_transaction = Some(transaction));
        change = -(refund.amount + state.settings.refund_fee_fixed);
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
    let charge = state.charges.get(refund.charge.as_str());
    let effect = NewEffect {
        operation,
        object: id.as_str(),
        amount: Some((refund.amount, refund.currency)),
        account: refund.owner.account(),
        about: charge.and_then(|charge| transaction_of(&charge.metadata)),
        metadata: refund.metadata,
        ..NewEffect::default()
    };
    state.log_effect(origin, effect.changing(&refund.owner, change));
}
