//! `/v1/disputes`, and how a test opens and decides a dispute.

use super::balance::{Posting, post};
use super::{Answer, Call, Route, allow_list};
use crate::stripe::effects::NewEffect;
use crate::stripe::errors::ApiError;
use crate::stripe::list::{Group, GroupBy};
use crate::stripe::objects::{Charge, Dispute, DisputeStatus, Id, Resource, TransactionKind, group};
use crate::stripe::state::{Origin, State};

pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/disputes", "disputes.list", list),
    Route::get("/v1/disputes/{}", "disputes.retrieve", super::retrieve::<Dispute>),
    Route::post("/v1/disputes/{}", "disputes.update", update),
    Route::post("/v1/disputes/{}/close", "disputes.close", close),
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
        |dispute: &Dispute| {
            let own = dispute.groups();
            wanted.iter().all(|wanted| own.contains(wanted))
        },
    )
}

fn update(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&["evidence", "metadata", "submit"])?;
    let mut dispute = state.find::<Dispute>(&call.owner, call.id())?.clone();
    let before = dispute.render(state);
    call.params.update_metadata(&mut dispute.metadata)?;
    if call.params.has("evidence") && call.params.boolean("submit")? != Some(false) {
        dispute.submissions += 1;
        dispute.status = match dispute.status {
            DisputeStatus::NeedsResponse => DisputeStatus::UnderReview,
            DisputeStatus::WarningNeedsResponse => DisputeStatus::WarningUnderReview,
            other => other,
        };
    }
    let id = dispute.id.clone();
    state.change(&id, |row| *row = dispute);
    let rendered = state.rendered(&id);
    state.emit_update(
        &call.origin,
        &call.owner,
        "charge.dispute.updated",
        &before,
        &rendered,
    );
    Ok(rendered)
}

fn close(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[])?;
    let dispute = state.find::<Dispute>(&call.owner, call.id())?.clone();
    let next = if dispute.status.is_inquiry() {
        DisputeStatus::WarningClosed
    } else {
        DisputeStatus::Lost
    };
    if !step(state, &call.origin, &dispute.id, next) {
        return Err(ApiError::refused(
            "dispute_closed",
            "This dispute is already closed.",
        ));
    }
    Ok(state.rendered(&dispute.id))
}

/// Opens a dispute about a charge. Unless it is an inquiry, the money and Stripe's fee leave the balance at once.
pub(crate) fn open(
    state: &mut State,
    charge: &Id<Charge>,
    amount: Option<i64>,
    reason: &str,
    status: DisputeStatus,
) -> Option<Id<Dispute>> {
    let charge = state.charges.get(charge.as_str())?.clone();
    let id = Id::generate();
    let created = state.now();
    state.disputes.insert(Dispute {
        id: Id::clone(&id),
        owner: charge.owner.clone(),
        created,
        amount: amount.unwrap_or(charge.amount),
        currency: charge.currency,
        status,
        reason: reason.to_owned(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        balance_transactions: Vec::new(),
        submissions: 0,
        metadata: std::collections::BTreeMap::new(),
    });
    state.change(&charge.id, |row| row.disputed = true);
    let origin = Origin::default();
    let withdrawn = if status.is_inquiry() {
        0
    } else {
        move_money(state, &id, TransactionKind::Dispute)
    };
    log(state, &origin, &id, "dispute.create", withdrawn);
    let rendered = state.rendered(&id);
    state.emit(&origin, &charge.owner, "charge.dispute.created", &rendered, None);
    if withdrawn != 0 {
        state.emit(
            &origin,
            &charge.owner,
            "charge.dispute.funds_withdrawn",
            &rendered,
            None,
        );
    }
    Some(id)
}

/// Moves a dispute to `next`. Money goes out when an inquiry becomes a dispute, and comes back when it is won.
/// Says whether that was possible.
pub(crate) fn step(state: &mut State, origin: &Origin, id: &Id<Dispute>, next: DisputeStatus) -> bool {
    let Some(dispute) = state.disputes.get(id.as_str()).cloned() else {
        return false;
    };
    let backwards = next.is_inquiry() && !dispute.status.is_inquiry();
    if dispute.status.is_closed() || dispute.status == next || backwards {
        return false;
    }
    let before = dispute.render(state);
    state.change(id, |row| row.status = next);
    let taken = !dispute.balance_transactions.is_empty();
    let change = match next {
        DisputeStatus::Won if taken => move_money(state, id, TransactionKind::DisputeReversal),
        DisputeStatus::NeedsResponse | DisputeStatus::UnderReview | DisputeStatus::Lost if !taken => {
            move_money(state, id, TransactionKind::Dispute)
        }
        _ => 0,
    };
    if next == DisputeStatus::Won || next == DisputeStatus::WarningClosed {
        state.change(&dispute.charge, |charge| charge.disputed = false);
    }
    log(state, origin, id, &format!("dispute.{}", next.name()), change);
    let rendered = state.rendered(id);
    let kind = if next.is_closed() {
        "charge.dispute.closed"
    } else {
        "charge.dispute.updated"
    };
    state.emit_update(origin, &dispute.owner, kind, &before, &rendered);
    match change {
        0 => {}
        1.. => {
            state.emit(
                origin,
                &dispute.owner,
                "charge.dispute.funds_reinstated",
                &rendered,
                None,
            );
        }
        _ => {
            state.emit(
                origin,
                &dispute.owner,
                "charge.dispute.funds_withdrawn",
                &rendered,
                None,
            );
        }
    }
    true
}

/// Takes the disputed money out, with Stripe's fee, or puts it back (the fee stays). Returns the balance's change.
fn move_money(state: &mut State, id: &Id<Dispute>, kind: TransactionKind) -> i64 {
    let Some(dispute) = state.disputes.get(id.as_str()).cloned() else {
        return 0;
    };
    let out = kind == TransactionKind::Dispute;
    let (amount, fee) = if out {
        (-dispute.amount, state.settings.dispute_fee)
    } else {
        (dispute.amount, 0)
    };
    let posting = Posting {
        owner: &dispute.owner,
        kind,
        amount,
        fee,
        currency: dispute.currency,
        source: id.as_str(),
        description: Some(
            if out {
                "Chargeback withdrawal"
            } else {
                "Chargeback reversal"
            }
            .to_owned(),
        ),
        pending_ms: 0,
    };
    let transaction = post(state, posting);
    state.change(id, |row| row.balance_transactions.push(transaction));
    amount - fee
}

fn log(state: &mut State, origin: &Origin, id: &Id<Dispute>, operation: &str, change: i64) {
    let Some(dispute) = state.disputes.get(id.as_str()).cloned() else {
        return;
    };
    let metadata = state
        .charges
        .get(dispute.charge.as_str())
        .map(|charge| charge.metadata.clone())
        .unwrap_or_default();
    let effect = NewEffect {
        operation,
        object: id.as_str(),
        amount: Some((dispute.amount, dispute.currency)),
        account: dispute.owner.account(),
        metadata,
        ..NewEffect::default()
    };
    state.log_effect(origin, effect.changing(&dispute.owner, change));
}
