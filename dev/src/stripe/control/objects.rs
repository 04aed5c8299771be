//! Control calls that do what payers, payees, banks and Stripe's own staff do in the real world.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Control, Input, Refusal};
use crate::stripe::form::{Metadata, check_amount};
use crate::stripe::money::{Currency, LARGEST_MOVEMENT};
use crate::stripe::objects::{
    BankAccount, Charge, Decline, DisputeStatus, Id, IntentStatus, Owner, PayoutStatus, RefundStatus,
    Resource,
};
use crate::stripe::resources::{accounts, balance, disputes, payment_intents, payouts, refunds};
use crate::stripe::server::Core;
use crate::stripe::state::{Origin, State};

/// The id of an object in its table.
fn id_of<T: Resource>(state: &State, id: &str) -> Result<Id<T>, Refusal> {
    T::table(state)
        .get(id)
        .map(|row| row.id().clone())
        .ok_or_else(|| Refusal::missing(T::NOUN, id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEvent {
    r#type: String,
    object: Value,
    account: Option<String>,
}

pub(super) async fn emit(Shared(core): Shared<Arc<Core>>, Input(event): Input<NewEvent>) -> Control {
    core.with(|state| {
        let owner = owner(state, event.account.as_deref())?;
        let id = state.emit(&Origin::default(), &owner, &event.r#type, &event.object, None);
        Ok(Json(state.rendered(&id)))
    })
}

fn owner(state: &State, account: Option<&str>) -> Result<Owner, Refusal> {
    account.map_or(Ok(Owner::Platform), |id| id_of(state, id).map(Owner::Connected))
}

pub(super) async fn resend(Shared(core): Shared<Arc<Core>>, Path(id): Path<String>) -> Control {
    core.with(|state| {
        let id = id_of(state, &id)?;
        state.resend(&id);
        Ok(Json(state.rendered(&id)))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayerConfirms {
    #[serde(default = "visa")]
    payment_method: String,
}

fn visa() -> String {
    "pm_card_visa".to_owned()
}

pub(super) async fn confirm_intent(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(payer): Input<PayerConfirms>,
) -> Control {
    core.with(|state| {
        Ok(Json(payment_intents::confirm_as_payer(
            state,
            &id,
            &payer.payment_method,
        )?))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayerAuthenticates {
    #[serde(default = "yes")]
    passed: bool,
}

const fn yes() -> bool {
    true
}

pub(super) async fn authenticate_intent(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(payer): Input<PayerAuthenticates>,
) -> Control {
    core.with(|state| {
        let id = id_of(state, &id)?;
        let result = if payer.passed {
            payment_intents::Authentication::Passed
        } else {
            payment_intents::Authentication::Failed
        };
        require_intent(state, &id, IntentStatus::RequiresAction)?;
        payment_intents::authenticate(state, &Origin::default(), &id, result);
        Ok(Json(state.rendered(&id)))
    })
}

fn require_intent(
    state: &State,
    id: &Id<crate::stripe::objects::PaymentIntent>,
    wanted: IntentStatus,
) -> Result<(), Refusal> {
    match state.payment_intents.get(id.as_str()).map(|intent| intent.status) {
        Some(status) if status == wanted => Ok(()),
        status => Err(Refusal::bad(format!(
            "{id} is {}, not {}",
            status.map_or("missing", IntentStatus::name),
            wanted.name()
        ))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BankSettles {
    #[serde(default = "yes")]
    succeeds: bool,
}

pub(super) async fn settle_intent(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(bank): Input<BankSettles>,
) -> Control {
    core.with(|state| {
        let id = id_of(state, &id)?;
        require_intent(state, &id, IntentStatus::Processing)?;
        let failure = (!bank.succeeds).then_some(Decline {
            code: "insufficient_funds",
            decline_code: None,
            message: "The customer's account has insufficient funds to cover this payment.",
        });
        payment_intents::settle(state, &id, failure);
        Ok(Json(state.rendered(&id)))
    })
}

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
    /// `true`: there is one that works; `false`: there is none.
    external_account: Option<bool>,
    /// Does what the payee does behind an account link, before the other changes.
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

/// What the bank says about a payout.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayoutMove {
    status: String,
    failure_code: Option<String>,
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
        let id = id_of(state, &id)?;
        let moved = payouts::step(
            state,
            &Origin::default(),
            &id,
            next,
            order.failure_code.as_deref(),
        );
        moved_or_refused(moved, state.rendered(&id), &order.status)
    })
}

/// What becomes of a refund.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefundMove {
    status: String,
    failure_reason: Option<String>,
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
        let id = id_of(state, &id)?;
        let moved = refunds::step(
            state,
            &Origin::default(),
            &id,
            next,
            order.failure_reason.as_deref(),
        );
        moved_or_refused(moved, state.rendered(&id), &order.status)
    })
}

fn moved_or_refused(moved: bool, object: Value, to: &str) -> Control {
    if moved {
        return Ok(Json(object));
    }
    let now = object.get("status").and_then(Value::as_str).unwrap_or_default();
    Err(Refusal::bad(format!("it is {now} and cannot become {to}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDispute {
    charge: Option<String>,
    payment_intent: Option<String>,
    amount: Option<i64>,
    #[serde(default = "fraudulent")]
    reason: String,
    #[serde(default = "needs_response")]
    status: DisputeStatus,
}

fn fraudulent() -> String {
    "fraudulent".to_owned()
}

const fn needs_response() -> DisputeStatus {
    DisputeStatus::NeedsResponse
}

pub(super) async fn open_dispute(Shared(core): Shared<Arc<Core>>, Input(new): Input<NewDispute>) -> Control {
    core.with(|state| {
        let intent = new.payment_intent.as_deref();
        let charge: Id<Charge> = match (
            new.charge.as_deref(),
            intent.and_then(|id| state.payment_intents.get(id)),
        ) {
            (Some(charge), _) => id_of(state, charge)?,
            (None, Some(intent)) => intent
                .latest_charge
                .clone()
                .ok_or_else(|| Refusal::bad("the intent has no charge"))?,
            (None, None) => {
                return Err(Refusal::bad(
                    "`charge` or `payment_intent` must name an existing object",
                ));
            }
        };
        let dispute = disputes::open(state, &charge, new.amount, &new.reason, new.status);
        let dispute = dispute.ok_or_else(|| Refusal::missing("charge", charge.as_str()))?;
        Ok(Json(state.rendered(&dispute)))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisputeMove {
    status: DisputeStatus,
}

pub(super) async fn move_dispute(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Input(order): Input<DisputeMove>,
) -> Control {
    core.with(|state| {
        let id = id_of(state, &id)?;
        let moved = disputes::step(state, &Origin::default(), &id, order.status);
        moved_or_refused(moved, state.rendered(&id), order.status.name())
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
