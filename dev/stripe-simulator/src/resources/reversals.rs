//! `/v1/transfers/{}/reversals`: money of transfers that is reversed from connected accounts.

use super::balance::{Posting, available, post};
use super::{Answer, Call, Route, allow_list};
use crate::effects::{NewEffect, transaction_of};
use crate::errors::ApiError;
use crate::form::{Metadata, check_amount};
use crate::objects::{GroupBy, Id, Owner, Resource, Reversal, TransactionKind, Transfer, group};
use crate::state::{Origin, State};

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/transfers/{}/reversals", "transfer_reversals.create", create),
    Route::get("/v1/transfers/{}/reversals", "transfer_reversals.list", list),
    Route::get(
        "/v1/transfers/{}/reversals/{}",
        "transfer_reversals.retrieve",
        retrieve,
    ),
];

fn create(state: &mut State, call: &Call) -> Answer {
    let params = &call.params;
    params.allow_only(&["amount", "description", "metadata", "refund_application_fee"])?;
    let transfer = state.find::<Transfer>(&call.owner, call.id())?.clone();
    let order = Order {
        amount: params.integer("amount")?,
        description: params.owned("description"),
        metadata: params.metadata()?,
    };
    make(state, &call.origin, &transfer, order)
}

/// A reversal that is to be made.
#[derive(Debug)]
pub(crate) struct Order {
    /// In minor units; the whole remainder when absent.
    pub(crate) amount: Option<i64>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
}

/// Reverses a transfer, requested through the API or in the dashboard.
///
/// # Errors
/// Those of the API: more than is left of the transfer, or than its account has.
pub(crate) fn make(state: &mut State, origin: &Origin, transfer: &Transfer, order: Order) -> Answer {
    let left = transfer.amount - transfer.amount_reversed;
    let amount = order.amount.unwrap_or(left);
    if left == 0 {
        return Err(ApiError::refused(
            "transfer_already_reversed",
            format!("Transfer {} is already fully reversed.", transfer.id),
        ));
    }
    check_amount("amount", amount, transfer.amount)?;
    let currency = transfer.currency;
    if amount > left {
        return Err(ApiError::invalid_param(
            "amount",
            format!(
                "Transfer reversal amount ({}) is greater than unreversed amount on transfer ({})",
                currency.show(amount),
                currency.show(left)
            ),
        ));
    }
    let destination = Owner::Connected(transfer.destination.clone());
    if available(state, &destination, currency) < amount {
        return Err(ApiError::refused(
            "balance_insufficient",
            format!(
                "The destination account {} has an insufficient available balance to reverse this transfer.",
                transfer.destination
            ),
        ));
    }

    let id = Id::generate();
    let out = Posting {
        owner: &destination,
        kind: TransactionKind::PaymentRefund,
        amount: -amount,
        fee: 0,
        currency,
        source: transfer.destination_payment.as_str(),
        description: None,
        pending_ms: 0,
    };
    post(state, out);
    let back = Posting {
        owner: &transfer.owner,
        kind: TransactionKind::TransferRefund,
        amount,
        fee: 0,
        currency,
        source: id.as_str(),
        description: order.description,
        pending_ms: 0,
    };
    let balance_transaction = post(state, back);
    let created = state.now();
    let before = transfer.render(state);
    state.reversals.insert(Reversal {
        id: Id::clone(&id),
        owner: transfer.owner.clone(),
        created,
        amount,
        currency,
        transfer: transfer.id.clone(),
        balance_transaction,
        metadata: order.metadata.clone(),
    });
    state.change(&transfer.id, |row| row.amount_reversed += amount);
    state.change(&transfer.destination_payment, |payment| {
        payment.amount_refunded += amount
    });
    let effect = NewEffect {
        operation: "transfer_reversal.create",
        object: id.as_str(),
        amount: Some((amount, currency)),
        account: destination.account(),
        platform_change: amount,
        connected_change: -amount,
        metadata: order.metadata,
        about: transaction_of(&transfer.metadata),
    };
    state.log_effect(origin, effect);
    let after = state.rendered(&transfer.id);
    state.emit_update(origin, &transfer.owner, "transfer.reversed", &before, &after);
    Ok(state.rendered(&id))
}

fn list(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &[])?;
    let transfer = state.find::<Transfer>(&call.owner, call.id())?.id.clone();
    state.list(
        &call.owner,
        &call.params,
        &call.path,
        Some(group(GroupBy::Transfer, &transfer)),
        |_: &Reversal| true,
    )
}

fn retrieve(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[])?;
    let transfer = state.find::<Transfer>(&call.owner, call.id())?;
    let reversal = state.find::<Reversal>(&call.owner, call.second_id())?;
    if reversal.transfer != transfer.id {
        return Err(ApiError::not_found(Reversal::NOUN, call.second_id()));
    }
    Ok(reversal.render(state))
}
