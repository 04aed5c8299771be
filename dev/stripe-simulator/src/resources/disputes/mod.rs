//! `/v1/disputes`: reading them, submitting evidence, conceding.

mod life;

use super::{Answer, Call, Route, allow_list};
use crate::errors::ApiError;
use crate::objects::{Dispute, DisputeStatus, Group, GroupBy, Resource, group};
use crate::state::{DisputedFunds, State};

pub(crate) use life::{move_funds, open, step};

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
    if dispute.status.is_closed() || !step(state, &call.origin, &dispute.id, next, DisputedFunds::Move) {
        return Err(ApiError::refused(
            "dispute_closed",
            "This dispute is already closed.",
        ));
    }
    Ok(state.rendered(&dispute.id))
}
