//! `/v1/charges`: read only, since payments are made with payment intents.

use super::{Answer, Call, Route, allow_list};
use crate::objects::{Charge, Group, GroupBy, group};
use crate::state::State;

pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/charges", "charges.list", list),
    Route::get("/v1/charges/{}", "charges.retrieve", super::retrieve::<Charge>),
];

fn list(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &["customer", "payment_intent", "transfer_group"])?;
    let wanted = |key, by| call.params.text(key).map(|value| group(by, value));
    let intent = wanted("payment_intent", GroupBy::Intent);
    let customer = wanted("customer", GroupBy::Customer);
    let transfers = wanted("transfer_group", GroupBy::TransferGroup);
    let all: Vec<Group> = [intent, customer, transfers].into_iter().flatten().collect();
    let first = all.first().cloned();
    state.list(&call.owner, &call.params, &call.path, first, |charge: &Charge| {
        use crate::objects::Resource as _;
        let own = charge.groups();
        all.iter().all(|wanted| own.contains(wanted))
    })
}
