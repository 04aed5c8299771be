//! Control calls that act as payees and their banks (accounts, payouts), and money from outside.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use serde::Deserialize;
use serde_json::json;

use super::{Control, Input, Refusal, id_of, move_or_plan, owner, yes};
use crate::form::{Metadata, check_amount};
use crate::money::{Currency, LARGEST_MOVEMENT};
use crate::objects::{BankAccount, Id, Owner, Payout, PayoutStatus};
use crate::resources::{accounts, balance};
use crate::shared::Core;
use crate::state::{Move, Origin};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    id: Option<String>,
    user_id: Option<String>,
    #[serde(default)]
    metadata: Metadata,
    country: Option<String>,
    currency: Option<String>,
    #[serde(default = "yes")]
    payouts_enabled: bool,
}

pub(super) async fn create_account(
    Shared(core): Shared<Arc<Core>>,
    Input(new): Input<NewAccount>,
) -> Control {
    core.with(|state| {
        let id = new.id.as_deref().map_or_else(Id::generate, Id::from_text);
        if state.accounts.get(id.as_str()).is_some() {
            return Err(Refusal::bad(format!("{id} exists already")));
        }
        let currency = Currency::parse(new.currency.as_deref().unwrap_or("usd"))?;
        let country = new.country.unwrap_or_else(|| "US".to_owned());
        let mut account = accounts::blank(state, Id::clone(&id), country, currency);
        account.metadata = new.metadata;
        account
            .metadata
            .extend(new.user_id.map(|user| ("user_id".to_owned(), user)));
        if new.payouts_enabled {
            accounts::make_ready(&mut account);
        }
        accounts::add(state, &Origin::default(), account);
        Ok(Json(state.rendered(&id)))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountChange {
    payouts_enabled: Option<bool>,
    charges_enabled: Option<bool>,
    transfers_active: Option<bool>,
    details_submitted: Option<bool>,
    currently_due: Option<Vec<String>>,
    disabled_reason: Option<String>,
    metadata: Option<Metadata>,
    /// `true`: the account has a working one; `false`: it has none.
    external_account: Option<bool>,
    /// Completes the onboarding as the payee does behind an account link, before the other changes.
    #[serde(default)]
    onboard: bool,
}

pub(super) async fn change_account(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(change): Input<AccountChange>,
) -> Control {
    core.with(|state| {
        let mut account = accounts::known(state, &id)?.clone();
        if change.onboard {
            accounts::make_ready(&mut account);
        }
        match change.external_account {
            Some(true) => {
                account
                    .external_accounts
                    .iter_mut()
                    .for_each(|bank| bank.errored = false);
                if account.external_accounts.is_empty() {
                    account
                        .external_accounts
                        .push(BankAccount::test(&account.country, account.currency));
                }
            }
            Some(false) => account.external_accounts.clear(),
            None => {}
        }
        account.payouts_enabled = change.payouts_enabled.unwrap_or(account.payouts_enabled);
        account.charges_enabled = change.charges_enabled.unwrap_or(account.charges_enabled);
        account.transfers_active = change.transfers_active.unwrap_or(account.transfers_active);
        account.details_submitted = change.details_submitted.unwrap_or(account.details_submitted);
        if let Some(due) = change.currently_due {
            account.disabled_reason = (!due.is_empty()).then(|| "requirements.past_due".to_owned());
            account.currently_due = due;
        }
        if let Some(reason) = change.disabled_reason {
            account.disabled_reason = Some(reason).filter(|reason| !reason.is_empty());
        }
        account.metadata.extend(change.metadata.into_iter().flatten());
        let id = account.id.clone();
        accounts::replace(state, &Origin::default(), account);
        Ok(Json(state.rendered(&id)))
    })
}

/// Withdraws our access to the account, as a payee does who disconnects or closes it: from now on it does not exist for us.
pub(super) async fn deauthorize_account(Shared(core): Shared<Arc<Core>>, Path(id): Path<String>) -> Control {
    core.with(|state| {
        let account = accounts::known(state, &id)?.clone();
        accounts::disconnect(state, &Origin::default(), &account);
        Ok(Json(state.rendered(&account.id)))
    })
}

/// The bank's report about a payout.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayoutMove {
    status: String,
    failure_code: Option<String>,
    #[serde(default)]
    after_seconds: u64,
}

pub(super) async fn move_payout(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(order): Input<PayoutMove>,
) -> Control {
    let next = match order.status.as_str() {
        "in_transit" => PayoutStatus::InTransit,
        "paid" => PayoutStatus::Paid,
        "failed" => PayoutStatus::Failed,
        "canceled" => PayoutStatus::Canceled,
        other => return Err(Refusal::bad(format!("a payout cannot become `{other}`"))),
    };
    core.with(|state| {
        let id: Id<Payout> = id_of(state, &id)?;
        let what = Move::Payout(id.clone(), next, order.failure_code);
        move_or_plan(state, &id, what, &order.status, order.after_seconds)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopUp {
    amount: i64,
    #[serde(default = "usd")]
    currency: String,
    account: Option<String>,
}

/// Reserves money of the platform, as Stripe does for connected accounts with a negative balance; a negative amount is released.
pub(super) async fn reserve(Shared(core): Shared<Arc<Core>>, Input(order): Input<Reserve>) -> Control {
    let currency = Currency::parse(&order.currency)?;
    core.with(|state| {
        let funds = state.funds.entry((Owner::Platform, currency)).or_default();
        funds.available = funds.available.saturating_sub(order.amount);
        funds.reserved = funds.reserved.saturating_add(order.amount);
        Ok(Json(
            json!({ "balance": balance::render(state, &Owner::Platform) }),
        ))
    })
}

/// Holds back money of a balance as a security; a negative amount is released.
pub(super) async fn keep_back(Shared(core): Shared<Arc<Core>>, Input(order): Input<KeepBack>) -> Control {
    check_amount("amount", order.amount.abs(), LARGEST_MOVEMENT)?;
    let currency = Currency::parse(&order.currency)?;
    core.with(|state| {
        let owner = owner(state, order.account.as_deref())?;
        let transaction = balance::keep_back(state, &owner, order.amount, currency);
        Ok(Json(
            json!({ "balance_transaction": transaction, "balance": balance::render(state, &owner) }),
        ))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeepBack {
    amount: i64,
    #[serde(default = "usd")]
    currency: String,
    account: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reserve {
    amount: i64,
    #[serde(default = "usd")]
    currency: String,
}

fn usd() -> String {
    "usd".to_owned()
}

pub(super) async fn top_up(Shared(core): Shared<Arc<Core>>, Input(order): Input<TopUp>) -> Control {
    check_amount("amount", order.amount, LARGEST_MOVEMENT)?;
    let currency = Currency::parse(&order.currency)?;
    core.with(|state| {
        let owner = owner(state, order.account.as_deref())?;
        let transaction = balance::top_up(state, &owner, order.amount, currency);
        Ok(Json(
            json!({ "balance_transaction": transaction, "balance": balance::render(state, &owner) }),
        ))
    })
}
