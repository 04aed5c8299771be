//! `/v1/customers`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Answer, Call, Route, allow_list};
use crate::effects::NewEffect;
use crate::errors::ApiError;
use crate::objects::{Customer, GroupBy, Id, PaymentMethod, Resource, group};
use crate::state::State;

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/customers", "customers.create", create),
    Route::get("/v1/customers", "customers.list", list),
    Route::get(
        "/v1/customers/{}",
        "customers.retrieve",
        super::retrieve::<Customer>,
    ),
    Route::post("/v1/customers/{}", "customers.update", update),
    Route::delete("/v1/customers/{}", "customers.delete", delete),
    Route::get(
        "/v1/customers/{}/payment_methods",
        "customers.payment_methods",
        payment_methods,
    ),
];

const DETAILS: [&str; 4] = ["email", "name", "phone", "description"];
const PARAMS: [&str; 12] = [
    "email",
    "name",
    "phone",
    "description",
    "metadata",
    "payment_method",
    "invoice_settings",
    "address",
    "shipping",
    "preferred_locales",
    "tax_exempt",
    "invoice_prefix",
];

fn create(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&PARAMS)?;
    let metadata = call.params.metadata()?;
    let id = Id::generate();
    let customer = Customer {
        id: Id::clone(&id),
        owner: call.owner.clone(),
        created: state.now(),
        details: details(call),
        metadata: metadata.clone(),
        default_payment_method: None,
        deleted: false,
    };
    if let Some(method) = call.params.text("payment_method") {
        super::payment_methods::attach_to(state, call, method, &id)?;
    }
    state.customers.insert(customer);
    let rendered = state.rendered(&id);
    state.emit(&call.origin, &call.owner, "customer.created", &rendered, None);
    let effect = NewEffect {
        operation: "customer.create",
        object: id.as_str(),
        account: call.owner.account(),
        metadata,
        ..NewEffect::default()
    };
    state.log_effect(&call.origin, effect);
    Ok(rendered)
}

fn details(call: &Call) -> BTreeMap<&'static str, String> {
    DETAILS
        .into_iter()
        .filter_map(|key| Some((key, call.params.owned(key)?)))
        .collect()
}

fn list(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &["email"])?;
    let email = call.params.text("email");
    state.list(
        &call.owner,
        &call.params,
        &call.path,
        None,
        |customer: &Customer| {
            !customer.deleted
                && email.is_none_or(|email| customer.details.get("email").is_some_and(|own| own == email))
        },
    )
}

fn update(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&PARAMS)?;
    let mut customer = live(state, call)?;
    let before = customer.render(state);
    call.params.update_metadata(&mut customer.metadata)?;
    if let Some(method) = call.params.text("invoice_settings[default_payment_method]") {
        let method = state.find_param::<PaymentMethod>(
            &call.owner,
            method,
            "invoice_settings[default_payment_method]",
        )?;
        customer.default_payment_method = Some(method.id.clone());
    }
    for key in DETAILS {
        match call.params.owned(key) {
            Some(value) => {
                customer.details.insert(key, value);
            }
            None if call.params.has(key) => {
                customer.details.remove(key);
            }
            None => {}
        }
    }
    let id = customer.id.clone();
    state.change(&id, |row| *row = customer);
    let rendered = state.rendered(&id);
    state.emit_update(&call.origin, &call.owner, "customer.updated", &before, &rendered);
    Ok(rendered)
}

fn delete(state: &mut State, call: &Call) -> Answer {
    let customer = live(state, call)?;
    let before = customer.render(state);
    state.change(&customer.id, |row| row.deleted = true);
    state.emit(&call.origin, &call.owner, "customer.deleted", &before, None);
    Ok(state.rendered(&customer.id))
}

fn payment_methods(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &["type"])?;
    let customer = live(state, call)?.id;
    list_methods(state, call, &customer)
}

/// Returns one page of a customer's payment methods, filtered by `type`.
pub(super) fn list_methods(state: &State, call: &Call, customer: &Id<Customer>) -> Result<Value, ApiError> {
    let kind = call.params.text("type");
    let by = Some(group(GroupBy::Customer, customer));
    state.list(
        &call.owner,
        &call.params,
        &call.path,
        by,
        |method: &PaymentMethod| {
            method.customer.as_ref() == Some(customer) && kind.is_none_or(|kind| kind == method.kind.name())
        },
    )
}

fn live(state: &State, call: &Call) -> Result<Customer, ApiError> {
    let customer = state.find::<Customer>(&call.owner, call.id())?;
    if customer.deleted {
        return Err(ApiError::not_found(Customer::NOUN, call.id()));
    }
    Ok(customer.clone())
}
