//! How a dispute is opened, changes its status and ends, and the money that it withdraws and reinstates.

use super::super::balance::{Posting, post};
use crate::effects::{NewEffect, transaction_of};
use crate::money::Currency;
use crate::objects::{Dispute, DisputeStatus, Id, Resource, TransactionKind};
use crate::state::{DisputedFunds, NewDispute, Origin, State};

/// Opens a dispute about a charge. Unless it is an inquiry, the money and Stripe's fee leave the balance at once.
pub(crate) fn open(state: &mut State, new: NewDispute) -> Option<Id<Dispute>> {
    let charge = state.charges.get(new.charge.as_str())?.clone();
    let id = Id::generate();
    let created = state.now();
    state.disputes.insert(Dispute {
        id: Id::clone(&id),
        owner: charge.owner.clone(),
        created,
        amount: new.amount.unwrap_or(charge.amount),
        currency: charge.currency,
        status: new.status,
        began_as_inquiry: new.status.is_inquiry(),
        reason: new.reason,
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        balance_transactions: Vec::new(),
        submissions: 0,
        metadata: std::collections::BTreeMap::new(),
    });
    state.change(&charge.id, |row| row.disputed = true);
    let origin = Origin::default();
    let withdrawn = if new.status.is_inquiry() || new.funds == DisputedFunds::Stay {
        0
    } else {
        withdraw(state, &id)
    };
    log(state, &origin, &id, "dispute.create", withdrawn);
    let rendered = state.rendered(&id);
    state.emit(&origin, &charge.owner, "charge.dispute.created", &rendered, None);
    announce_funds(state, &origin, &id, withdrawn);
    Some(id)
}

/// Moves a dispute to `next`. Money goes out when an inquiry becomes a dispute or a decision is reversed to our disadvantage, and
/// is returned when the dispute is won. Returns whether the move was possible.
pub(crate) fn step(
    state: &mut State,
    origin: &Origin,
    id: &Id<Dispute>,
    next: DisputeStatus,
    funds: DisputedFunds,
) -> bool {
    let Some(dispute) = state.disputes.get(id.as_str()).cloned() else {
        return false;
    };
    if !dispute.status.may_become(next) {
        return false;
    }
    let before = dispute.render(state);
    state.change(id, |row| row.status = next);
    let untaken = dispute.balance_transactions.is_empty() || dispute.status == DisputeStatus::Won;
    let change = match next {
        _ if funds == DisputedFunds::Stay => 0,
        DisputeStatus::Won => reinstate(state, id),
        DisputeStatus::NeedsResponse
        | DisputeStatus::UnderReview
        | DisputeStatus::Lost
        | DisputeStatus::Prevented
            if untaken =>
        {
            withdraw(state, id)
        }
        _ => 0,
    };
    let disputed = !matches!(next, DisputeStatus::Won | DisputeStatus::WarningClosed);
    state.change(&dispute.charge, |charge| charge.disputed = disputed);
    log(state, origin, id, &format!("dispute.{}", next.name()), change);
    let rendered = state.rendered(id);
    let kind = if next.is_closed() {
        "charge.dispute.closed"
    } else {
        "charge.dispute.updated"
    };
    state.emit_update(origin, &dispute.owner, kind, &before, &rendered);
    announce_funds(state, origin, id, change);
    true
}

/// Moves `amount` of a dispute's money back to us, or out if it is negative, whatever the dispute's status: banks do so before they
/// decide, and in part. `currency` is the platform's settlement currency, if it differs from the payment's
/// (<https://docs.stripe.com/currencies/conversions>).
pub(crate) fn move_funds(state: &mut State, id: &Id<Dispute>, amount: i64, currency: Option<Currency>) {
    let kind = if amount < 0 {
        TransactionKind::Dispute
    } else {
        TransactionKind::DisputeReversal
    };
    let change = book(state, id, kind, (amount, 0), currency);
    let operation = if amount < 0 {
        "dispute.withdraw"
    } else {
        "dispute.reinstate"
    };
    log(state, &Origin::default(), id, operation, change);
    announce_funds(state, &Origin::default(), id, change);
}

/// Returns what a dispute has withdrawn so far, less what it has reinstated: amount and fee.
fn outstanding(state: &State, dispute: &Dispute) -> (i64, i64) {
    dispute
        .balance_transactions
        .iter()
        .filter_map(|id| state.balance_transactions.get(id.as_str()))
        .fold((0, 0), |(amount, fee), row| (amount - row.amount, fee + row.fee))
}

/// Withdraws the disputed money, with Stripe's fee unless that has been taken before. Returns the balance's change.
fn withdraw(state: &mut State, id: &Id<Dispute>) -> i64 {
    let Some(dispute) = state.disputes.get(id.as_str()) else {
        return 0;
    };
    let (taken, fee_taken) = outstanding(state, dispute);
    // What was refunded during an inquiry is not withdrawn again
    // (https://docs.stripe.com/api/disputes/object#dispute_object-is_charge_refundable).
    let charge = state.charges.get(dispute.charge.as_str());
    let refunded = match charge {
        Some(charge) if dispute.began_as_inquiry => charge.amount_refunded,
        _ => 0,
    };
    let amount = taken - (dispute.amount - refunded).max(0);
    if amount == 0 {
        return 0;
    }
    let fee = if fee_taken == 0 {
        state.settings.dispute_fee
    } else {
        0
    };
    book(state, id, TransactionKind::Dispute, (amount, fee), None)
}

/// Reinstates what a dispute has withdrawn; the fee too, if the settings say so. Returns the balance's change.
fn reinstate(state: &mut State, id: &Id<Dispute>) -> i64 {
    let Some(dispute) = state.disputes.get(id.as_str()) else {
        return 0;
    };
    let (taken, fee_taken) = outstanding(state, dispute);
    let fee = if state.settings.dispute_fee_returned {
        -fee_taken
    } else {
        0
    };
    book(state, id, TransactionKind::DisputeReversal, (taken, fee), None)
}

/// Records a movement of a dispute's money, unless it is zero. Returns the balance's change.
fn book(
    state: &mut State,
    id: &Id<Dispute>,
    kind: TransactionKind,
    (amount, fee): (i64, i64),
    currency: Option<Currency>,
) -> i64 {
    let Some(dispute) = state.disputes.get(id.as_str()).cloned() else {
        return 0;
    };
    if amount == 0 && fee == 0 {
        return 0;
    }
    let description = match kind {
        TransactionKind::Dispute => "Chargeback withdrawal",
        _ => "Chargeback reversal",
    };
    let posting = Posting {
        owner: &dispute.owner,
        kind,
        amount,
        fee,
        currency: currency.unwrap_or(dispute.currency),
        source: id.as_str(),
        description: Some(format!("{description} for {}", dispute.charge)),
        pending_ms: 0,
    };
    let transaction = post(state, posting);
    state.change(id, |row| row.balance_transactions.push(transaction));
    amount - fee
}

/// Emits the event that money was withdrawn or reinstated.
fn announce_funds(state: &mut State, origin: &Origin, id: &Id<Dispute>, change: i64) {
    let Some(owner) = state
        .disputes
        .get(id.as_str())
        .map(|dispute| dispute.owner.clone())
    else {
        return;
    };
    let kind = match change {
        0 => return,
        1.. => "charge.dispute.funds_reinstated",
        _ => "charge.dispute.funds_withdrawn",
    };
    let rendered = state.rendered(id);
    state.emit(origin, &owner, kind, &rendered, None);
}

fn log(state: &mut State, origin: &Origin, id: &Id<Dispute>, operation: &str, change: i64) {
    let Some(dispute) = state.disputes.get(id.as_str()).cloned() else {
        return;
    };
    let charge = state.charges.get(dispute.charge.as_str());
    let effect = NewEffect {
        operation,
        object: id.as_str(),
        amount: Some((dispute.amount, dispute.currency)),
        account: dispute.owner.account(),
        about: charge.and_then(|charge| transaction_of(&charge.metadata)),
        metadata: dispute.metadata,
        ..NewEffect::default()
    };
    state.log_effect(origin, effect.changing(&dispute.owner, change));
}
