//! `/v1/payouts`: money from an account's balance to its bank, and the steps that a payout takes by itself.

use super::balance::{Posting, available, post};
use super::{Answer, Call, Route, allow_list};
use crate::effects::NewEffect;
use crate::errors::ApiError;
use crate::money::{Currency, LARGEST_MOVEMENT};
use crate::objects::{
    Account, BankBehaviour, GroupBy, Id, Owner, Payout, PayoutStatus, Resource, TransactionKind, group,
};
use crate::settings::PayoutMode;
use crate::state::{Origin, State, Timer};

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/payouts", "payouts.create", create),
    Route::get("/v1/payouts", "payouts.list", list),
    Route::get("/v1/payouts/{}", "payouts.retrieve", super::retrieve::<Payout>),
    Route::post("/v1/payouts/{}", "payouts.update", update),
    Route::post("/v1/payouts/{}/cancel", "payouts.cancel", cancel),
];

/// The bank account of the platform itself.
const PLATFORM_BANK: &str = "ba_1SimulatorPlatformBank00";

fn create(state: &mut State, call: &Call) -> Answer {
    let params = &call.params;
    params.allow_only(&[
        "amount",
        "currency",
        "description",
        "destination",
        "metadata",
        "method",
        "payout_method",
        "source_type",
        "statement_descriptor",
    ])?;
    let currency = params.currency()?;
    let amount = params.amount(LARGEST_MOVEMENT)?;
    currency.check_whole_payout(amount)?;
    let metadata = params.metadata()?;
    let instant = match params.text("method") {
        None | Some("standard") => false,
        Some("instant") => true,
        Some(other) => {
            return Err(ApiError::invalid_param(
                "method",
                format!("Invalid method: must be one of instant or standard; got {other}"),
            ));
        }
    };
    let destination = destination(state, call, currency)?;
    if available(state, &call.owner, currency) < amount {
        return Err(ApiError::refused(
            "balance_insufficient",
            "You have insufficient funds in your Stripe account for this transfer. Your card balance is too low. You can use the the /v1/balance endpoint to view your Stripe balance (for more details, see stripe.com/docs/api#balance).",
        ));
    }

    let id = Id::generate();
    let posting = Posting {
        owner: &call.owner,
        kind: TransactionKind::Payout,
        amount: -amount,
        fee: 0,
        currency,
        source: id.as_str(),
        description: Some("STRIPE PAYOUT".to_owned()),
        pending_ms: 0,
    };
    let balance_transaction = post(state, posting);
    let created = state.now();
    state.payouts.insert(Payout {
        id: Id::clone(&id),
        owner: call.owner.clone(),
        created,
        arrival: created.plus_millis(state.settings.payout_in_transit_ms + state.settings.payout_paid_ms),
        amount,
        currency,
        status: PayoutStatus::Pending,
        destination,
        balance_transaction,
        failure_balance_transaction: None,
        failure_code: None,
        failure_message: None,
        instant,
        description: params.owned("description"),
        statement_descriptor: params.owned("statement_descriptor"),
        metadata,
    });
    if state.settings.payout_mode == PayoutMode::Auto {
        state.plan(
            state.settings.payout_in_transit_ms,
            Timer::AdvancePayout(Id::clone(&id)),
        );
    }
    log(state, &call.origin, &id, "payout.create", -amount);
    let rendered = state.rendered(&id);
    state.emit(&call.origin, &call.owner, "payout.created", &rendered, None);
    Ok(rendered)
}

/// Returns the bank account that the payout goes to.
fn destination(state: &State, call: &Call, currency: Currency) -> Result<String, ApiError> {
    let Owner::Connected(account) = &call.owner else {
        return Ok(PLATFORM_BANK.to_owned());
    };
    let account = state.find::<Account>(&Owner::Platform, account.as_str())?;
    let bank = match call.params.text("destination") {
        Some(id) => account
            .external_accounts
            .iter()
            .find(|bank| bank.id == id)
            .ok_or_else(|| ApiError::no_such("external account", id, "destination"))?,
        None => account.default_bank(currency).ok_or_else(|| {
            ApiError::refused(
                "payouts_not_allowed",
                format!(
                    "Sorry, you don't have any external accounts in that currency ({})",
                    currency.code()
                ),
            )
        })?,
    };
    if !account.payouts_enabled {
        return Err(ApiError::refused(
            "payouts_not_allowed",
            "Payouts have been disabled on this account. Please check the account's requirements to see what needs to be addressed before payouts can be re-enabled.",
        ));
    }
    if bank.currency != currency {
        let message = format!(
            "The bank account {} cannot receive payouts in {}",
            bank.id,
            currency.code()
        );
        return Err(ApiError::refused("payouts_not_allowed", message));
    }
    if bank.errored {
        let message = format!(
            "The bank account {} was disabled because a payout to it failed. Update it before making another payout.",
            bank.id
        );
        // <https://docs.stripe.com/error-codes/bank-account-unusable>
        return Err(ApiError::refused("bank_account_unusable", message));
    }
    Ok(bank.id.clone())
}

fn list(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &["status", "destination", "arrival_date"])?;
    let (status, destination) = (call.params.text("status"), call.params.text("destination"));
    let by = destination.map(|destination| group(GroupBy::Destination, destination));
    state.list(&call.owner, &call.params, &call.path, by, |payout: &Payout| {
        status.is_none_or(|status| status == payout.status.name())
    })
}

fn update(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&["metadata"])?;
    let mut payout = state.find::<Payout>(&call.owner, call.id())?.clone();
    let before = payout.render(state);
    call.params.update_metadata(&mut payout.metadata)?;
    let id = payout.id.clone();
    state.change(&id, |row| *row = payout);
    let rendered = state.rendered(&id);
    state.emit_update(&call.origin, &call.owner, "payout.updated", &before, &rendered);
    Ok(rendered)
}

fn cancel(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[])?;
    let payout = state.find::<Payout>(&call.owner, call.id())?.clone();
    if payout.status != PayoutStatus::Pending {
        return Err(ApiError::refused(
            "payout_not_cancelable",
            format!(
                "Payout {} cannot be canceled because it is {}; only pending payouts can be canceled.",
                payout.id,
                payout.status.name()
            ),
        ));
    }
    step(state, &call.origin, &payout.id, PayoutStatus::Canceled, None);
    Ok(state.rendered(&payout.id))
}

/// Takes the next step of a payout that is due.
pub(crate) fn advance_by_itself(state: &mut State, id: &Id<Payout>) {
    let Some(payout) = state.payouts.get(id.as_str()).cloned() else {
        return;
    };
    let origin = Origin::default();
    match payout.status {
        PayoutStatus::Pending => {
            step(state, &origin, id, PayoutStatus::InTransit, None);
            state.plan(state.settings.payout_paid_ms, Timer::AdvancePayout(id.clone()));
        }
        PayoutStatus::InTransit => match behaviour_of_bank(state, &payout) {
            BankBehaviour::Pays => {
                step(state, &origin, id, PayoutStatus::Paid, None);
            }
            BankBehaviour::Fails(code) => {
                step(state, &origin, id, PayoutStatus::Failed, Some(code));
            }
        },
        PayoutStatus::Paid | PayoutStatus::Failed | PayoutStatus::Canceled => {}
    }
}

fn behaviour_of_bank(state: &State, payout: &Payout) -> BankBehaviour {
    let account = payout
        .owner
        .account()
        .and_then(|account| state.accounts.get(account));
    let bank = account.and_then(|account| {
        account
            .external_accounts
            .iter()
            .find(|bank| bank.id == payout.destination)
    });
    bank.map_or(BankBehaviour::Pays, |bank| bank.behaviour)
}

/// Moves a payout to `next`; its money is returned if it failed or was cancelled. Returns whether the move was possible.
pub(crate) fn step(
    state: &mut State,
    origin: &Origin,
    id: &Id<Payout>,
    next: PayoutStatus,
    failure: Option<&str>,
) -> bool {
    let Some(payout) = state.payouts.get(id.as_str()).cloned() else {
        return false;
    };
    if !payout.status.may_become(next) {
        return false;
    }
    let before = payout.render(state);
    let returns = match next {
        PayoutStatus::Failed => Some(TransactionKind::PayoutFailure),
        PayoutStatus::Canceled => Some(TransactionKind::PayoutCancel),
        PayoutStatus::Pending | PayoutStatus::InTransit | PayoutStatus::Paid => None,
    };
    let returned = returns.map(|kind| {
        let posting = Posting {
            owner: &payout.owner,
            kind,
            amount: payout.amount,
            fee: 0,
            currency: payout.currency,
            source: id.as_str(),
            description: Some("STRIPE PAYOUT FAILURE".to_owned())
                .filter(|_| kind == TransactionKind::PayoutFailure),
            pending_ms: 0,
        };
        post(state, posting)
    });
    let failure = (next == PayoutStatus::Failed).then(|| failure.unwrap_or("could_not_process").to_owned());
    state.change(id, |row| {
        row.status = next;
        row.failure_message = failure.as_deref().map(failure_message);
        row.failure_code = failure;
        row.failure_balance_transaction = returned;
    });
    let (operation, kind, change) = match next {
        PayoutStatus::Paid => ("payout.paid", "payout.paid", 0),
        PayoutStatus::Failed => ("payout.fail", "payout.failed", payout.amount),
        PayoutStatus::Canceled => ("payout.cancel", "payout.canceled", payout.amount),
        PayoutStatus::Pending | PayoutStatus::InTransit => ("payout.in_transit", "payout.updated", 0),
    };
    log(state, origin, id, operation, change);
    let rendered = state.rendered(id);
    state.emit_update(origin, &payout.owner, kind, &before, &rendered);
    if next == PayoutStatus::Failed && state.settings.payout_failure_disables_bank {
        disable_bank(state, origin, &payout);
    }
    true
}

fn disable_bank(state: &mut State, origin: &Origin, payout: &Payout) {
    let Owner::Connected(id) = &payout.owner else {
        return;
    };
    state.change(id, |account| {
        for bank in account
            .external_accounts
            .iter_mut()
            .filter(|bank| bank.id == payout.destination)
        {
            bank.errored = true;
        }
    });
    let bank = state.accounts.get(id.as_str()).and_then(|account| {
        let bank = account
            .external_accounts
            .iter()
            .find(|bank| bank.id == payout.destination)?;
        Some(bank.render(id, account.is_default(bank)))
    });
    if let Some(bank) = bank {
        state.emit(
            origin,
            &payout.owner,
            "account.external_account.updated",
            &bank,
            None,
        );
    }
}

fn log(state: &mut State, origin: &Origin, id: &Id<Payout>, operation: &str, change: i64) {
    let Some(payout) = state.payouts.get(id.as_str()).cloned() else {
        return;
    };
    let effect = NewEffect {
        operation,
        object: id.as_str(),
        amount: Some((payout.amount, payout.currency)),
        account: payout.owner.account(),
        metadata: payout.metadata,
        ..NewEffect::default()
    };
    state.log_effect(origin, effect.changing(&payout.owner, change));
}

fn failure_message(code: &str) -> String {
    match code {
        "account_closed" => "The bank account has been closed.",
        "no_account" => "The bank account details on file are probably incorrect. No bank account could be located with those details.",
        "account_frozen" => "The bank account has been frozen.",
        "insufficient_funds" => "Your Stripe account has insufficient funds to cover the payout.",
        "debit_not_authorized" => "Debit transactions are not approved on your bank account.",
        "invalid_currency" => "The bank was unable to process this payout because of its currency.",
        _ => "The bank could not process this payout.",
    }
    .to_owned()
}
