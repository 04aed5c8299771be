//! Dispute: the payer's bank wants a deposit back. Until the bank decides, what the wallet has of it is held, and the rest is owed.
//!
//! The state comes from the dispute's status, the money from its balance transactions, never from the names or the order of events
//! (<https://docs.stripe.com/disputes/how-disputes-work>). The outcome, too, follows from the net of its movements, whatever the status:
//! `prevented` can mean that the payer was credited, `won` that the money is not back, `lost` that none was taken. What Stripe withdraws
//! and returns goes through the receivables; Stripe's fee is the platform's cost. An inquiry (`warning_…`) withdraws nothing, so nothing
//! is held for it. What moves after the end is a transaction of its own.

use super::debt;
use super::decide::{Decided, Decision, step};
use super::{BalanceEntry, Context, DisputeEnd, Event};
use crate::alarms::AlarmKind;
use crate::ledger::{Account, Leg};
use crate::money::{Money, MoneyError};
use crate::transactions::{ExternalRef, FailureCode, FailureReason, Stage, TimelineKind, Transaction};
use rust_decimal::Decimal;

/// A report about a dispute, apart from its movements.
#[derive(Debug, Clone)]
pub enum DisputeCommand {
    /// The bank has opened it. The amount is the net of what Stripe has taken for it so far, or `None` if no movement is known yet.
    Open(Option<Money>),
    /// It has ended, with this status. The amount is the net of what Stripe took for it, and decides the outcome, whatever the status.
    End(DisputeEnd, Money),
}

pub(super) fn decide(transaction: &Transaction, context: Context<'_>, command: &DisputeCommand) -> Decided {
    match command {
        DisputeCommand::Open(taken) => hold(transaction, context, *taken),
        // The first report of its end has decided; what moves since then is a transaction of its own.
        DisputeCommand::End(..) if transaction.stage.status().is_final() => Ok(None),
        DisputeCommand::End(said, taken) if taken.is_positive() => lost(transaction, context, *said, *taken),
        DisputeCommand::End(said, taken) => won(transaction, context, *said, taken.negated()),
    }
}

/// Books a movement. After the end, only a fee or a surplus taken back is booked here; other money is a transaction of its own.
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

fn hold(transaction: &Transaction, context: Context<'_>, taken: Option<Money>) -> Decided {
    let Some(stage) = step(transaction, Event::DisputeOpened)? else {
        return Ok(None);
    };
    let wallet = transaction.wallet_id;
    let claimed = claimed(transaction, context, taken)?;
    let decision = compared(transaction, context, Decision::to(stage), claimed)?;
    let (decision, owed) = debt::take_or_owe(transaction, context, decision, Account::Held(wallet), claimed)?;
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

/// The amount claimed while the bank decides: what Stripe took, or, if that is not known yet, the disputed amount, but at most what is left of
/// the deposit, since no more is withdrawn (<https://docs.stripe.com/api/disputes/object#dispute_object-is_charge_refundable>).
fn claimed(
    transaction: &Transaction,
    context: Context<'_>,
    taken: Option<Money>,
) -> Result<Money, MoneyError> {
    let amount = transaction.amount;
    match (taken, context.original) {
        (Some(taken), _) if taken.is_negative() => Ok(Money::zero(amount.currency())),
        // No more than the disputed amount is held; the end books all that was taken.
        (Some(taken), _) => taken.at_most(amount),
        (None, Some(deposit)) => amount.at_most(context.left(deposit)?),
        (None, None) => Ok(amount),
    }
}

/// Ends a dispute for which nothing is gone: what is held is released. If more came than was taken, an operator decides whose it is.
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
    // What was refunded before is not withdrawn again.
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
    Ok(Some(debt::release(transaction, context, decision)?))
}

/// Ends a dispute for which `taken` is gone: the wallet pays or owes that much.
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
        decision = debt::take_or_owe(transaction, context, decision, Account::RECEIVABLE, taken)?.0;
    } else {
        decision = debt::book_loss(transaction, context, decision, taken)?;
    }
    // What was held of the disputed amount stays on record: the rest was owed.
    if let Some(held) = &mut decision.changes.held {
        *held = held.at_most(transaction.amount)?;
    }
    Ok(Some(decision))
}

fn claiming(decision: Decision, claimed: Money) -> Decision {
    decision.sets(|changes| changes.claimed = Some(claimed))
}

/// Raises an alarm if more is claimed than is left of the deposit; the bank takes it nevertheless.
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

/// Whether Stripe takes back, after the end, a surplus that it had paid by mistake, while that lies in suspense.
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

/// Books that Stripe took the disputed amount and its fee, or returned them.
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
