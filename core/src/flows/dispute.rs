//! Dispute: the payer's bank wants a deposit back. What the wallet has of it is frozen, the rest is owed, until the bank decides.
//!
//! The state comes from the dispute's status, the money from its balance transactions, never from the name or order of events
//! (<https://docs.stripe.com/disputes/how-disputes-work>). Also the end is decided by the net of its movements, whatever the status is
//! called: `prevented` can mean that the payer was credited, `won` that the money is not back, `lost` that none was taken. What Stripe
//! withdraws and gives back goes through the receivables; its fee is the platform's cost. An inquiry (`warning_…`) withdraws nothing,
//! so nothing is frozen for it. What moves after the end is a transaction of its own.

use super::decide::{Decided, Decision, step};
use super::owing;
use super::{BalanceEntry, Context, DisputeEnd, Event};
use crate::alarms::AlarmKind;
use crate::ledger::{Account, Leg};
use crate::money::{Money, MoneyError};
use crate::transactions::{ExternalRef, FailureCode, FailureReason, Stage, TimelineKind, Transaction};
use rust_decimal::Decimal;

/// What is told of a dispute, its movements apart.
#[derive(Debug, Clone)]
pub enum DisputeCommand {
    /// The bank has taken it up. What Stripe has taken for it so far, all its movements together; none before it has told of any.
    Open(Option<Money>),
    /// It has ended. What is said of it, and what Stripe took for it, all its movements together: this decides, whatever is said.
    End(DisputeEnd, Money),
}

pub(super) fn decide(transaction: &Transaction, context: Context<'_>, command: &DisputeCommand) -> Decided {
    match command {
        DisputeCommand::Open(taken) => open(transaction, context, *taken),
        // How it has ended was said by whoever came first; what moves since is a transaction of its own.
        DisputeCommand::End(..) if transaction.stage.status().is_final() => Ok(None),
        DisputeCommand::End(said, taken) if taken.is_positive() => lost(transaction, context, *said, *taken),
        DisputeCommand::End(said, taken) => won(transaction, context, *said, taken.negated()),
    }
}

/// A fee alone is the platform's cost, whenever it comes; money that moves after the end is a transaction of its own.
pub(super) fn book(
    transaction: &Transaction,
    context: Context<'_>,
    entry: &BalanceEntry,
) -> Option<Decision> {
    if context.booked {
        None
    } else if takes_surplus_back(transaction, context, entry) {
        Some(surplus_taken(entry))
    } else if transaction.stage.status().is_final() && !entry.amount.is_zero() {
        None
    } else {
        Some(moved(entry))
    }
}

fn open(transaction: &Transaction, context: Context<'_>, taken: Option<Money>) -> Decided {
    let Some(stage) = step(transaction, Event::DisputeOpened)? else {
        return Ok(None);
    };
    let wallet = transaction.wallet_id;
    let claimed = claimed(transaction, context, taken)?;
    let decision = compared(transaction, context, Decision::to(stage), claimed)?;
    let (decision, owed) = owing::take(transaction, context, decision, Account::Frozen(wallet), claimed)?;
    let words = if claimed.is_zero() {
        "the payer's bank disputes the payment; nothing is held, since it was given back already".to_owned()
    } else if owed.is_zero() {
        format!("the payer's bank disputes the payment: {claimed} is held until it decides")
    } else {
        format!(
            "the payer's bank disputes the payment of {claimed}: your balance is held until it decides, and {owed} is missing"
        )
    };
    Ok(Some(
        claiming(decision, claimed).says(TimelineKind::Posted, words),
    ))
}

/// What is claimed while the bank decides: what Stripe took; before it has told of that, what is disputed and was not given back: of a
/// payment that was refunded no more is withdrawn (<https://docs.stripe.com/api/disputes/object#dispute_object-is_charge_refundable>).
fn claimed(
    transaction: &Transaction,
    context: Context<'_>,
    taken: Option<Money>,
) -> Result<Money, MoneyError> {
    let amount = transaction.amount;
    match (taken, context.original) {
        (Some(taken), _) if taken.is_negative() => Ok(Money::zero(amount.currency())),
        // More than the disputed amount is not held; the end takes what was taken.
        (Some(taken), _) => taken.at_most(amount),
        (None, Some(deposit)) => amount.at_most(context.left(deposit)?),
        (None, None) => Ok(amount),
    }
}

/// It has ended and nothing is gone: what is held is given back. Should more have come than was taken, a person decides whose it is.
fn won(transaction: &Transaction, context: Context<'_>, said: DisputeEnd, surplus: Money) -> Decided {
    let Some(stage) = step(transaction, Event::DisputeWon)? else {
        return Ok(None);
    };
    let (code, words) = match said {
        DisputeEnd::Won => (
            FailureCode::DisputeWon,
            "the bank has decided for you: the money is yours again",
        ),
        DisputeEnd::InquiryClosed => (
            FailureCode::DisputeClosed,
            "the bank has closed its inquiry: nothing was taken",
        ),
        DisputeEnd::Prevented => (
            FailureCode::DisputeClosed,
            "the dispute was settled before it began: nothing was taken",
        ),
        DisputeEnd::Lost => (
            FailureCode::DisputeClosed,
            "the bank has decided for the payer, and nothing was taken",
        ),
    };
    let reason = FailureReason::new(code, words);
    let nothing = Money::zero(transaction.amount.currency());
    let mut decision =
        claiming(Decision::to(stage).because(&reason), nothing).says(TimelineKind::Cancelled, words);
    // What was refunded before is not withdrawn once more.
    let is_given_back = match context.original {
        Some(deposit) => context.left(deposit)?.is_zero(),
        None => false,
    };
    if !said.fits(nothing) && !is_given_back {
        decision = decision.alarms(
            AlarmKind::DisputeDiffers,
            "the dispute was lost, and no movement of the balance tells that anything was taken",
        );
    }
    if surplus.is_positive() {
        decision = decision
            .legs(Leg::pair(Account::RECEIVABLE, Account::SUSPENSE, surplus))
            .alarms(
                AlarmKind::DisputeDiffers,
                format!(
                    "the dispute gave back {surplus} more than it had taken; that lies in suspense: when Stripe says that it is not a mistake, \
                     `wallet-worker review close {}` makes it the platform's",
                    transaction.id
                ),
            );
    }
    if transaction.stage == Stage::Accepted {
        return Ok(Some(decision));
    }
    Ok(Some(owing::release(transaction, context, decision)?))
}

/// It has ended and so much is gone: so much the wallet pays or owes.
fn lost(transaction: &Transaction, context: Context<'_>, said: DisputeEnd, taken: Money) -> Decided {
    let Some(stage) = step(transaction, Event::DisputeLost)? else {
        return Ok(None);
    };
    let words = match said {
        DisputeEnd::Lost => format!("the bank has decided for the payer: {taken} went back"),
        DisputeEnd::Prevented => {
            format!("the dispute was settled before it began: {taken} went back to the payer")
        }
        DisputeEnd::InquiryClosed => {
            format!("the bank has closed its inquiry, and {taken} went back to the payer")
        }
        DisputeEnd::Won => format!("the bank has decided for you, but {taken} has not come back"),
    };
    let mut decision = claiming(Decision::to(stage), taken).says(TimelineKind::Completed, words.clone());
    if !said.fits(taken) {
        decision = decision.alarms(AlarmKind::DisputeDiffers, words);
    }
    if transaction.stage == Stage::Accepted {
        decision = compared(transaction, context, decision, taken)?;
        decision = owing::take(transaction, context, decision, Account::RECEIVABLE, taken)?.0;
    } else {
        decision = owing::lose(transaction, context, decision, taken)?;
    }
    // What was held of it stays on record: the rest was owed.
    if let Some(held) = &mut decision.changes.held {
        *held = held.at_most(transaction.amount)?;
    }
    Ok(Some(decision))
}

fn claiming(decision: Decision, claimed: Money) -> Decision {
    decision.sets(|changes| changes.claimed = Some(claimed))
}

/// Raises an alarm when more is claimed than the payer has not got back yet: the bank takes it all the same.
fn compared(
    transaction: &Transaction,
    context: Context<'_>,
    decision: Decision,
    claimed: Money,
) -> Result<Decision, MoneyError> {
    let Some(deposit) = context.original else {
        return Ok(decision);
    };
    let left = context.left(deposit)?;
    if claimed.amount() <= left.amount() {
        return Ok(decision);
    }
    let message = format!(
        "{claimed} of {} are disputed of a payment of {}, of which {left} is not given back yet",
        transaction.amount, deposit.amount
    );
    Ok(decision.alarms(AlarmKind::DisputeExceedsPayment, message))
}

/// Whether Stripe corrects after the end that it gave back more than it had taken, while that lies in suspense.
fn takes_surplus_back(transaction: &Transaction, context: Context<'_>, entry: &BalanceEntry) -> bool {
    let lies = context.suspended_in(entry.amount.currency());
    transaction.stage.status().is_final()
        && entry.amount.is_negative()
        && lies.amount() + entry.amount.amount() >= Decimal::ZERO
}

fn surplus_taken(entry: &BalanceEntry) -> Decision {
    let taken = entry.amount.negated();
    Decision::default()
        .leaves_suspense()
        .refers(ExternalRef::BalanceTransaction(entry.id.clone()))
        .legs(Leg::pair(Account::CLEARING, Account::SUSPENSE, entry.amount))
        .legs(Leg::pair(Account::STRIPE_FEES, Account::CLEARING, entry.fee))
        .says(
            TimelineKind::StripeAnswer,
            format!("the payment provider took {taken} back that it had given back too much"),
        )
}

/// Stripe took the disputed amount and its fee, or gave them back.
fn moved(entry: &BalanceEntry) -> Decision {
    let (amount, fee) = (entry.amount, entry.fee);
    let mut decision = Decision::default()
        .refers(ExternalRef::BalanceTransaction(entry.id.clone()))
        .legs(Leg::pair(Account::CLEARING, Account::RECEIVABLE, amount))
        .legs(Leg::pair(Account::STRIPE_FEES, Account::CLEARING, fee));
    if amount.is_negative() {
        decision = decision.says(
            TimelineKind::StripeAnswer,
            format!(
                "the payment provider withdrew {} for the payer's bank",
                amount.negated()
            ),
        );
    } else if amount.is_positive() {
        decision = decision.says(
            TimelineKind::StripeAnswer,
            format!("the payment provider gave {amount} back"),
        );
    }
    decision
}
