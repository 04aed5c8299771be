//! `/v1/accounts/{}/external_accounts`: the bank accounts that payouts go to.

use serde_json::json;

use super::accounts::{known, replace};
use super::{Answer, Call, Route, allow_list};
use crate::errors::ApiError;
use crate::form::Params;
use crate::money::Currency;
use crate::objects::{Account, BankAccount, BankBehaviour, list_object};
use crate::state::State;

pub(super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/accounts/{}/external_accounts",
        "external_accounts.create",
        create,
    ),
    Route::get(
        "/v1/accounts/{}/external_accounts",
        "external_accounts.list",
        list,
    ),
    Route::get(
        "/v1/accounts/{}/external_accounts/{}",
        "external_accounts.retrieve",
        retrieve,
    ),
    Route::post(
        "/v1/accounts/{}/external_accounts/{}",
        "external_accounts.update",
        update,
    ),
    Route::delete(
        "/v1/accounts/{}/external_accounts/{}",
        "external_accounts.delete",
        delete,
    ),
];

/// Returns the bank account described by `external_account`, as a test token or as fields.
///
/// # Errors
/// When a token or a currency is not known.
pub(super) fn described(params: &Params, country: &str) -> Result<BankAccount, ApiError> {
    if let Some(token) = params.text("external_account") {
        let behaviour = match token {
            "btok_us_verified" | "btok_us" => BankBehaviour::Pays,
            "btok_us_verified_noAccount" => BankBehaviour::Fails("no_account"),
            "btok_us_verified_accountClosed" => BankBehaviour::Fails("account_closed"),
            "btok_us_verified_insufficientFunds" => BankBehaviour::Fails("insufficient_funds"),
            "btok_us_verified_debitNotAuthorized" => BankBehaviour::Fails("debit_not_authorized"),
            "btok_us_verified_invalidCurrency" => BankBehaviour::Fails("invalid_currency"),
            other => return Err(ApiError::no_such("token", other, "external_account")),
        };
        let mut bank = BankAccount::test("US", Currency::parse("usd")?);
        bank.behaviour = behaviour;
        return Ok(bank);
    }
    let field = |name: &str| format!("external_account[{name}]");
    let number = params.required(&field("account_number"))?;
    let country = params.text(&field("country")).unwrap_or(country).to_uppercase();
    let mut bank = BankAccount::test(&country, Currency::parse(params.required(&field("currency"))?)?);
    let digits = number.chars().count();
    bank.last4 = number.chars().skip(digits.saturating_sub(4)).collect();
    bank.holder = params.owned(&field("account_holder_name"));
    if let Some(routing) = params.owned(&field("routing_number")) {
        bank.routing_number = routing;
    }
    // Stripe's test account numbers whose payouts fail.
    bank.behaviour = match number {
        "000111111116" => BankBehaviour::Fails("no_account"),
        "000111111113" => BankBehaviour::Fails("account_closed"),
        "000222222227" => BankBehaviour::Fails("insufficient_funds"),
        "000333333335" => BankBehaviour::Fails("debit_not_authorized"),
        "000444444440" => BankBehaviour::Fails("invalid_currency"),
        _ => BankBehaviour::Pays,
    };
    Ok(bank)
}

fn create(state: &mut State, call: &Call) -> Answer {
    call.params
        .allow_only(&["external_account", "metadata", "default_for_currency"])?;
    let mut account = known(state, call.id())?.clone();
    let mut bank = described(&call.params, &account.country)?;
    call.params.update_metadata(&mut bank.metadata)?;
    let id = bank.id.clone();
    if call.params.boolean("default_for_currency")? == Some(true) {
        account.external_accounts.insert(0, bank);
    } else {
        account.external_accounts.push(bank);
    }
    account.currently_due.retain(|due| due != "external_account");
    if account.disabled_reason.as_deref() == Some("requirements.past_due") {
        account.reconsider();
    }
    let owner = account.as_owner();
    replace(state, &call.origin, account);
    let rendered = render(known(state, call.id())?, &id)?;
    state.emit(
        &call.origin,
        &owner,
        "account.external_account.created",
        &rendered,
        None,
    );
    Ok(rendered)
}

fn list(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &["object"])?;
    let account = known(state, call.id())?;
    let banks = account
        .external_accounts
        .iter()
        .map(|bank| bank.render(&account.id, account.is_default(bank)))
        .collect();
    Ok(list_object(&call.path, banks, false))
}

fn retrieve(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[])?;
    render(known(state, call.id())?, call.second_id())
}

fn update(state: &mut State, call: &Call) -> Answer {
    call.params
        .allow_only(&["metadata", "default_for_currency", "account_holder_name"])?;
    let mut account = known(state, call.id())?.clone();
    let place = place(&account, call.second_id())?;
    let mut bank = account.external_accounts.remove(place);
    call.params.update_metadata(&mut bank.metadata)?;
    // Stripe lets payouts resume once the owner has confirmed the bank account again.
    bank.errored = false;
    let first = call.params.boolean("default_for_currency")? == Some(true);
    account
        .external_accounts
        .insert(if first { 0 } else { place }, bank);
    replace(state, &call.origin, account);
    render(known(state, call.id())?, call.second_id())
}

fn delete(state: &mut State, call: &Call) -> Answer {
    let mut account = known(state, call.id())?.clone();
    let place = place(&account, call.second_id())?;
    let rendered = render(&account, call.second_id())?;
    account.external_accounts.remove(place);
    let owner = account.as_owner();
    replace(state, &call.origin, account);
    state.emit(
        &call.origin,
        &owner,
        "account.external_account.deleted",
        &rendered,
        None,
    );
    Ok(json!({ "id": call.second_id(), "object": "bank_account", "deleted": true }))
}

fn place(account: &Account, id: &str) -> Result<usize, ApiError> {
    account
        .external_accounts
        .iter()
        .position(|bank| bank.id == id)
        .ok_or_else(|| ApiError::not_found("external account", id))
}

fn render(account: &Account, id: &str) -> Answer {
    let bank = account.external_accounts.iter().find(|bank| bank.id == id);
    bank.map(|bank| bank.render(&account.id, account.is_default(bank)))
        .ok_or_else(|| ApiError::not_found("external account", id))
}
