//! Dispute: the payer's bank wants a deposit back. What the wallet has of it is frozen, the rest is owed, until the bank decides.
//!
//! The state comes from the dispute's status, the money from its balance transactions, never from the name or order of events
//! (<https://docs.stripe.com/disputes/how-disputes-work>). What Stripe withdraws and gives back goes through the receivables; its fee is the
//! platform's cost. An inquiry (`warning_…`) withdraws nothing, so nothing is frozen for it.

use super::decide::{Changes, Decided, Decision, foreign, step};
use super::owing::{self};
use super::{BalanceEntry, Command, Context, Event, FailureCode, FailureReason, Stage};
use crate::ledger::{Account, Leg};
use crate::transactions::{TimelineKind, Transaction, external_ref};

pub(super) fn decide(transaction: &Transaction, context: Context<'_>, command: &Command) -> Decided {
    let (amount, wallet) = (transaction.amount, transaction.wallet_id);
    match command {
        Command::OpenDispute => {
            let Some(stage) = step(transaction, Event::DisputeOpened)? else {
                return Ok(None);
            };
            let decision = compared(transaction, context, Decision::to(stage))?;
            let (decision, owed) =
                owing::take(transaction, context, decision, Account::Frozen(wallet), amount)?;
            let words = if owed.is_zero() {
                format!("the payer's bank disputes the payment: {amount} is held until it decides")
            } else {
                format!(
                    "the payer's bank disputes the payment of {amount}: your balance is held until it decides, and {owed} is missing"
                )
            };
            Ok(Some(decision.says(TimelineKind::Posted, words)))
        }
        Command::WinDispute { message } => {
            let Some(stage) = step(transaction, Event::DisputeWon)? else {
                return Ok(None);
            };
            let reason = FailureReason::new(FailureCode::DisputeWon, message.clone());
            let changes = Changes {
                failure_reason: Some(reason.to_string()),
                ..Changes::default()
            };
            let decision = Decision::to(stage)
                .changes(changes)
                .says(TimelineKind::Cancelled, message.clone());
            if transaction.stage == Stage::Accepted {
                return Ok(Some(decision));
            }
            Ok(Some(owing::release(transaction, context, decision)?))
        }
        Command::LoseDispute { taken } => {
            let Some(stage) = step(transaction, Event::DisputeLost)? else {
                return Ok(None);
            };
            // What Stripe gave back before the decision is not lost.
            let loss = taken
                .unwrap_or(amount)
                .at_most(amount)
                .map_err(|error| error.to_string())?;
            let words = format!("the bank has decided for the payer: {loss} went back");
            let decision = Decision::to(stage).says(TimelineKind::Completed, words);
            if transaction.stage == Stage::Accepted {
                let decision = compared(transaction, context, decision)?;
                return Ok(Some(
                    owing::take(transaction, context, decision, Account::RECEIVABLE, loss)?.0,
                ));
            }
            Ok(Some(owing::lose(transaction, context, decision, loss)?))
        }
        Command::BookDispute(entry) => Ok(if context.booked { None } else { Some(moved(entry)) }),
        other => foreign(other),
    }
}

/// Raises an alarm when more is disputed than the payer has not got back yet: the bank takes it all the same.
fn compared(transaction: &Transaction, context: Context<'_>, decision: Decision) -> Result<Decision, String> {
    let Some(deposit) = context.original else {
        return Ok(decision);
    };
    let left = context.left(deposit).map_err(|error| error.to_string())?;
    let amount = transaction.amount;
    if amount.amount() <= left.amount() {
        return Ok(decision);
    }
    let message = format!(
        "{amount} are disputed of a payment of {}, of which {left} is not given back yet",
        deposit.amount
    );
    Ok(decision.alarms("dispute_exceeds_payment", message))
}

/// Stripe took the disputed amount and its fee, or gave them back.
fn moved(entry: &BalanceEntry) -> Decision {
    let (amount, fee) = (entry.amount, entry.fee);
    let mut decision = Decision::default()
        .refers(external_ref::BALANCE_TRANSACTION, &entry.id)
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
