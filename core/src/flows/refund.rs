//! Refund of a deposit: pending → hold (processing) → refund at Stripe → the payer has the money, completed; or failed, and the money
//! is released. All refunds together never exceed the deposit.
//!
//! A refund that somebody else made at Stripe is only recorded: what the wallet has of the amount is held, the rest is owed
//! ([`super::debt`]).
//!
//! Stripe may charge a fee for a refund, which is the platform's cost and is not returned when the refund fails
//! (<https://support.stripe.com/questions/understanding-fees-for-refunded-payments>). The fee is read from Stripe as soon as the refund
//! exists, since Stripe takes it with the money, and again at the end.

use serde_json::json;

use super::debt;
use super::decide::{Decided, Decision, check_object, step, step_with};
use super::payment_refund::exceeds;
use super::transfer::obstacle;
use super::{Context, Contradiction, Event};
use crate::ids::stripe::RefundId;
use crate::jobs::JobKind;
use crate::ledger::{Account, Leg};
use crate::transactions::{ExternalRef, FailureCode, FailureReason, Flow, Stage, TimelineKind, Transaction};

/// A report about a refund of a deposit.
#[derive(Debug, Clone)]
pub enum RefundCommand {
    /// It exists at Stripe and is not final. The text says what it waits for, for the timeline.
    Record(RefundId, String),
    /// The payer has the money.
    Settle(RefundId),
    /// It failed or was cancelled, for this reason.
    Fail(RefundId, FailureReason),
}

pub(super) fn decide(transaction: &Transaction, context: Context<'_>, command: &RefundCommand) -> Decided {
    match command {
        RefundCommand::Record(refund, message) => {
            check_refund(transaction, refund)?;
            let recorded = transaction.stripe_refund_id.as_ref();
            let Some(stage) = step_with(transaction, Event::RefundCreated, recorded, refund)? else {
                return Ok(None);
            };
            let mut decision = known_refund(transaction, Decision::to(stage), refund);
            if transaction.flow == Flow::OutsideRefund {
                decision = debt::take_or_owe(
                    transaction,
                    context,
                    decision,
                    Account::Held(transaction.wallet_id),
                    transaction.amount,
                )?
                .0;
            }
            Ok(Some(
                decision
                    .says_with(
                        TimelineKind::StripeAnswer,
                        message.clone(),
                        json!({ "refund": refund }),
                    )
                    .then(JobKind::DepositFee),
            ))
        }
        RefundCommand::Settle(refund) => {
            check_refund(transaction, refund)?;
            let Some(stage) = step(transaction, Event::RefundSucceeded)? else {
                return Ok(None);
            };
            let decision = known_refund(transaction, Decision::to(stage), refund);
            let words = format!("{} refunded to the payer", transaction.amount);
            Ok(Some(
                paid(transaction, context, decision)?
                    .says_with(TimelineKind::Completed, words, json!({ "refund": refund }))
                    .then(JobKind::DepositFee),
            ))
        }
        RefundCommand::Fail(refund, reason) => {
            check_refund(transaction, refund)?;
            if step(transaction, Event::RefundFailed)?.is_none() {
                return Ok(None);
            }
            let decision = known_refund(transaction, Decision::failed(reason), refund);
            let decision = given_back(transaction, context, decision)?;
            Ok(Some(decision.then(JobKind::DepositFee)))
        }
    }
}

pub(super) fn hold(transaction: &Transaction, context: Context<'_>) -> Decided {
    let Some(stage) = step(transaction, Event::HoldPlaced)? else {
        return Ok(None);
    };
    let Some(deposit) = context.original else {
        return Err(Contradiction::NoDeposit);
    };
    let left = context.left(deposit)?;
    let reason = if context.is_disputed(deposit) {
        let sentence = "the payer's bank disputes this payment: its decision comes first";
        Some(FailureReason::new(FailureCode::Disputed, sentence))
    } else {
        exceeds(deposit, transaction.amount, left).or_else(|| obstacle(transaction, context))
    };
    if let Some(reason) = reason {
        return Ok(Some(Decision::failed(&reason)));
    }
    let (amount, wallet) = (transaction.amount, transaction.wallet_id);
    Ok(Some(
        Decision::to(stage)
            .legs(Leg::hold(wallet, amount))
            .says(TimelineKind::Posted, format!("{amount} held for the refund"))
            .then(JobKind::RefundCreate),
    ))
}

/// Books that the money has left the platform's balance at Stripe.
fn paid(
    transaction: &Transaction,
    context: Context<'_>,
    decision: Decision,
) -> Result<Decision, Contradiction> {
    let wallet = transaction.wallet_id;
    if transaction.flow == Flow::DepositRefund {
        return Ok(decision.legs(Leg::pair(
            Account::Held(wallet),
            Account::CLEARING,
            transaction.amount,
        )));
    }
    if transaction.stage == Stage::Accepted {
        let (decision, owed) = debt::take_or_owe(
            transaction,
            context,
            decision,
            Account::CLEARING,
            transaction.amount,
        )?;
        return Ok(decision.legs(Leg::pair(Account::RECEIVABLE, Account::CLEARING, owed)));
    }
    let (held, owed) = debt::parts(transaction)?;
    Ok(decision
        .legs(Leg::pair(Account::Held(wallet), Account::CLEARING, held))
        .legs(Leg::pair(Account::RECEIVABLE, Account::CLEARING, owed)))
}

/// Releases the money, which has not left or is back.
fn given_back(
    transaction: &Transaction,
    context: Context<'_>,
    decision: Decision,
) -> Result<Decision, Contradiction> {
    let (wallet, amount) = (transaction.wallet_id, transaction.amount);
    match (transaction.flow, transaction.stage) {
        (Flow::DepositRefund, _) => {
            let legs = Leg::release(wallet, amount);
            Ok(decision.legs(legs))
        }
        (_, Stage::Refunding) => debt::release(transaction, context, decision),
        _ => Ok(decision),
    }
}

fn check_refund(transaction: &Transaction, refund: &RefundId) -> Result<(), Contradiction> {
    check_object("refund", transaction.stripe_refund_id.as_ref(), refund)
}

fn known_refund(transaction: &Transaction, decision: Decision, refund: &RefundId) -> Decision {
    if transaction.stripe_refund_id.is_some() {
        return decision;
    }
    decision
        .sets(|changes| changes.refund = Some(refund.clone()))
        .refers(ExternalRef::Refund(refund.clone()))
}
