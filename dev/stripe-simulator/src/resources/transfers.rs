//! `/v1/transfers`: money from the platform to a connected account.

use super::balance::{Posting, available, post};
use super::{Answer, Call, Route, allow_list};
use crate::clock::Moment;
use crate::effects::NewEffect;
use crate::errors::ApiError;
use crate::money::{Currency, LARGEST_MOVEMENT};
use crate::objects::{
    Account, BalanceTransaction, Charge, ChargeStatus, GroupBy, Id, Owner, Resource, TransactionKind,
    Transfer, group, random_id,
};
use crate::state::State;

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/transfers", "transfers.create", create),
    Route::get("/v1/transfers", "transfers.list", list),
    Route::get(
        "/v1/transfers/{}",
        "transfers.retrieve",
        super::retrieve::<Transfer>,
    ),
    Route::post("/v1/transfers/{}", "transfers.update", update),
];

fn create(state: &mut State, call: &Call) -> Answer {
    let params = &call.params;
    params.allow_only(&[
        "amount",
        "currency",
        "destination",
        "description",
        "metadata",
        "source_transaction",
        "source_type",
        "transfer_group",
    ])?;
    let currency = params.currency()?;
    let destination = params.required("destination")?;
    let account = state
        .owned::<Account>(&Owner::Platform, destination)
        .filter(|account| !account.deleted)
        .cloned()
        .ok_or_else(|| ApiError::no_such("destination", destination, "destination"))?;
    let source = source_of(state, call)?;
    let amount = params.amount(LARGEST_MOVEMENT)?;
    let metadata = params.metadata()?;
    let pending_ms = check_money(state, call, &account, source.as_ref(), (amount, currency))?;

    let id = Id::generate();
    let payment = Id::from_text(&random_id("py_"));
    let owner = account.as_owner();
    let description = params.owned("description");
    let out = Posting {
        owner: &call.owner,
        kind: TransactionKind::Transfer,
        amount: -amount,
        fee: 0,
        currency,
        source: id.as_str(),
        description: description.clone(),
        pending_ms,
    };
    let balance_transaction = post(state, out);
    let into = Posting {
        owner: &owner,
        kind: TransactionKind::Payment,
        amount,
        fee: 0,
        currency,
        source: payment.as_str(),
        description: None,
        pending_ms,
    };
    let received = post(state, into);
    let created = state.now();
    let transfer_group = params
        .owned("transfer_group")
        .or_else(|| source.as_ref().and_then(|charge| charge.transfer_group.clone()));
    let payment_made = Received {
        id: &payment,
        owner: &owner,
        transfer: &id,
        amount,
        currency,
        balance_transaction: received,
    };
    payment_made.insert(state, created);
    state.transfers.insert(Transfer {
        id: Id::clone(&id),
        owner: call.owner.clone(),
        created,
        amount,
        amount_reversed: 0,
        currency,
        destination: account.id,
        destination_payment: Id::clone(&payment),
        balance_transaction,
        source_transaction: source.map(|charge| charge.id),
        description,
        transfer_group,
        metadata: metadata.clone(),
    });
    let rendered = state.rendered(&id);
    let effect = NewEffect {
        operation: "transfer.create",
        object: id.as_str(),
        amount: Some((amount, currency)),
        account: owner.account(),
        platform_change: -amount,
        connected_change: amount,
        metadata,
        about: None,
    };
    state.log_effect(&call.origin, effect);
    state.emit(&call.origin, &call.owner, "transfer.created", &rendered, None);
    let payment = state.rendered(&payment);
    state.emit(&call.origin, &owner, "payment.created", &payment, None);
    Ok(rendered)
}

/// Returns the charge that a transfer is made from, if it names one.
fn source_of(state: &State, call: &Call) -> Result<Option<Charge>, ApiError> {
    let named = call.params.text("source_transaction");
    let find = |id| state.find_param::<Charge>(&call.owner, id, "source_transaction");
    named.map(|id| find(id).cloned()).transpose()
}

/// Checks that the account may receive, and that the money is there; returns how long it is still pending, in milliseconds.
fn check_money(
    state: &State,
    call: &Call,
    account: &Account,
    source: Option<&Charge>,
    (amount, currency): (i64, Currency),
) -> Result<u64, ApiError> {
    if !account.transfers_active {
        return Err(ApiError::refused(
            "insufficient_capabilities_for_transfer",
            "Your destination account needs to have at least one of the following capabilities enabled: transfers, crypto_transfers, legacy_payments",
        ));
    }
    match source {
        Some(charge) => check_source(state, charge, amount),
        None if available(state, &call.owner, currency) < amount => Err(ApiError::refused(
            "balance_insufficient",
            "You have insufficient available funds in your Stripe account. Try adding funds directly to your available balance by creating Charges using the 4000000000000077 test card. See: https://stripe.com/docs/testing#available-balance",
        )),
        None => Ok(0),
    }
}

/// The payment as which a transfer arrives on the connected account.
struct Received<'a> {
    id: &'a Id<Charge>,
    owner: &'a Owner,
    transfer: &'a Id<Transfer>,
    amount: i64,
    currency: Currency,
    balance_transaction: Id<BalanceTransaction>,
}

impl Received<'_> {
    fn insert(self, state: &mut State, created: Moment) {
        state.charges.insert(Charge {
            id: Id::clone(self.id),
            owner: self.owner.clone(),
            created,
            amount: self.amount,
            amount_captured: self.amount,
            amount_refunded: 0,
            currency: self.currency,
            status: ChargeStatus::Succeeded,
            captured: true,
            disputed: false,
            payment_intent: None,
            payment_method: None,
            method: None,
            customer: None,
            balance_transaction: Some(self.balance_transaction),
            source_transfer: Some(Id::clone(self.transfer)),
            failure: None,
            description: None,
            transfer_group: None,
            metadata: std::collections::BTreeMap::new(),
        });
    }
}

/// Checks a transfer against the charge it is made from; returns how long the charge's money is still pending, in milliseconds.
fn check_source(state: &State, charge: &Charge, amount: i64) -> Result<u64, ApiError> {
    let used: i64 = state
        .transfers
        .rows()
        .filter(|transfer| transfer.source_transaction.as_ref() == Some(&charge.id))
        .map(|transfer| transfer.amount - transfer.amount_reversed)
        .sum();
    if used + amount > charge.refundable() {
        return Err(ApiError::refused(
            "transfer_source_balance_parameters_mismatch",
            format!(
                "The source_transaction {} has an insufficient amount left to transfer",
                charge.id
            ),
        ));
    }
    let transaction = charge
        .balance_transaction
        .as_ref()
        .and_then(|id| state.balance_transactions.get(id.as_str()));
    Ok(transaction
        .filter(|row| !row.available)
        .map_or(0, |row| row.available_on.since(state.now()).max(1)))
}

fn list(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &["destination", "transfer_group"])?;
    let transfers = call.params.text("transfer_group");
    let destination = call.params.text("destination");
    let by = match (transfers, destination) {
        (Some(name), _) => Some(group(GroupBy::TransferGroup, name)),
        (None, Some(account)) => Some(group(GroupBy::Destination, account)),
        (None, None) => None,
    };
    state.list(
        &call.owner,
        &call.params,
        &call.path,
        by,
        |transfer: &Transfer| destination.is_none_or(|account| transfer.destination.as_str() == account),
    )
}

fn update(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&["metadata", "description"])?;
    let mut transfer = state.find::<Transfer>(&call.owner, call.id())?.clone();
    let before = transfer.render(state);
    call.params.update_metadata(&mut transfer.metadata)?;
    if call.params.has("description") {
        transfer.description = call.params.owned("description");
    }
    let id = transfer.id.clone();
    state.change(&id, |row| *row = transfer);
    let rendered = state.rendered(&id);
    state.emit_update(&call.origin, &call.owner, "transfer.updated", &before, &rendered);
    Ok(rendered)
}
