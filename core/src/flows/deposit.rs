//! Deposit: pending → the payment intent exists (processing) → Stripe has the money → credited, completed.
//!
//! A failed payment attempt does not end a deposit that the payer's client confirms (the payer may try again); a cancelled intent
//! does. What is credited is what Stripe received, in the currency that Stripe names, for an intent that we created. Anything else goes
//! to suspense until an operator decides, as does money that comes when the deposit has ended without it. Money that is refunded from
//! suspense leaves it when Stripe takes it from the balance, and is there again if the refund fails, however late: an operator decides again.

use serde_json::json;

use super::decide::{Decided, Decision, check_object, step};
use super::{BalanceEntry, Context, Contradiction, Event, undo};
use crate::alarms::AlarmKind;
use crate::ids::stripe::PaymentIntentId;
use crate::jobs::JobKind;
use crate::ledger::{Account, Leg};
use crate::money::Money;
use crate::transactions::{
    Canceller, ExternalRef, FailureCode, FailureReason, Stage, TimelineKind, Transaction,
};

/// A report about a deposit, or a decision about it.
#[derive(Debug, Clone)]
pub enum DepositCommand {
    /// The payment intent exists.
    RecordIntent {
        /// `pi_…`
        intent: PaymentIntentId,
        /// The sealed secret for the payer's client.
        sealed_client_secret: Option<String>,
        /// What the payer has to do, for the timeline.
        message: String,
    },
    /// Stripe received this amount.
    SettlePayment(PaymentIntentId, Money),
    /// Stripe received this amount by an intent that names the deposit, but that no call of ours created.
    SuspendPayment(PaymentIntentId, Money),
    /// The intent was cancelled at Stripe, for this reason.
    CancelIntent(PaymentIntentId, FailureReason),
    /// In review: credit what was received instead, which is this amount in suspense.
    CreditReview(Money),
    /// In review: a dispute about its payment has ended. The amount is the net of what Stripe took for it.
    EndDispute(Money),
}

/// The words to the owner about money that waits for a decision; the operator reads which commands decide.
pub(super) const DECIDES: &str = "support has been told and will decide";

/// The message to an operator about money that can only be refunded or closed.
pub(super) fn to_return(transaction: &Transaction, what: &str) -> String {
    let id = transaction.id;
    format!(
        "{what}; `wallet-worker review return {id}` gives it back to its payer, or `wallet-worker review close {id}` books it when Stripe refunds nothing any more"
    )
}

/// The message to an operator about money in review: it can be credited only if it is in the wallet's currency.
fn to_decide(transaction: &Transaction, came: Money, what: &str) -> String {
    let id = transaction.id;
    if came.currency() == transaction.amount.currency() {
        format!(
            "{what}; `wallet-worker review credit {id}` credits it to the wallet, `wallet-worker review return {id}` gives it back to its payer"
        )
    } else {
        format!("{what}; `wallet-worker review return {id}` gives it back to its payer")
    }
}

/// The message to an operator about a deposit in review whose payment is disputed: the choices depend on what is left in suspense.
fn to_decide_of_disputed(transaction: &Transaction, left: Money, has_come_back: bool, what: &str) -> String {
    let id = transaction.id;
    let what = format!("{what}, and {left} lies in suspense");
    if left.is_negative() {
        format!("{what}; once the dispute has ended, `wallet-worker review close {id}` books the loss")
    } else if left.is_zero() {
        format!("{what}; nothing is to be decided before the dispute has ended")
    } else if has_come_back {
        to_decide(transaction, left, &what)
    } else {
        let what = format!("{what}; nothing is decided before the dispute has ended");
        let decide = to_decide(transaction, left, &what);
        format!(
            "{decide}, or `wallet-worker review close {id}` books it when Stripe refunds nothing any more"
        )
    }
}

pub(super) fn decide(transaction: &Transaction, context: Context<'_>, command: &DepositCommand) -> Decided {
    match command {
        DepositCommand::RecordIntent {
            intent,
            sealed_client_secret,
            message,
        } => {
            check_intent(transaction, intent)?;
            let Some(stage) = step(transaction, Event::IntentCreated)? else {
                return Ok(None);
            };
            let decision = Decision::to(stage)
                .refers(ExternalRef::PaymentIntent(intent.clone()))
                .sets(|changes| changes.payment_intent = Some(intent.clone()))
                .sets(|changes| changes.sealed_client_secret.clone_from(sealed_client_secret));
            let detail = json!({ "paymentIntent": intent });
            Ok(Some(decision.says_with(
                TimelineKind::StripeAnswer,
                message.clone(),
                detail,
            )))
        }
        DepositCommand::SettlePayment(intent, received) => {
            check_intent(transaction, intent)?;
            if matches!(transaction.stage, Stage::Failed | Stage::Cancelled) {
                return Ok((!context.booked).then(|| late(transaction, intent, *received)));
            }
            if *received == transaction.amount {
                Ok(step(transaction, Event::PaymentSucceeded)?
                    .map(|stage| credit(transaction, stage, intent, *received)))
            } else {
                let what = format!("{received} received instead of {}", transaction.amount);
                Ok(step(transaction, Event::PaymentMismatched)?
                    .map(|stage| suspend(transaction, stage, intent, *received, &what)))
            }
        }
        DepositCommand::SuspendPayment(intent, received) => {
            check_intent(transaction, intent)?;
            if matches!(transaction.stage, Stage::Failed | Stage::Cancelled) {
                return Ok((!context.booked).then(|| late(transaction, intent, *received)));
            }
            let what = format!("{received} received by a payment that was not asked for here");
            Ok(step(transaction, Event::PaymentMismatched)?
                .map(|stage| suspend(transaction, stage, intent, *received, &what)))
        }
        DepositCommand::CancelIntent(intent, reason) => {
            check_intent(transaction, intent)?;
            Ok(end_unpaid(transaction, Event::IntentCanceled)?.map(|stage| {
                known_intent(transaction, Decision::to(stage), intent)
                    .because(reason)
                    .says(TimelineKind::Cancelled, reason.sentence.clone())
            }))
        }
        DepositCommand::CreditReview(amount) => credit_review(transaction, context, *amount),
        DepositCommand::EndDispute(taken) if taken.is_positive() => end_dispute(transaction, context),
        DepositCommand::EndDispute(_) => Ok(None),
    }
}

/// Cancels a deposit, but changes nothing while its intent exists or is being created: that is cancelled first.
pub(super) fn cancel(transaction: &Transaction, context: Context<'_>, by: Canceller) -> Decided {
    let is_being_made = transaction.stage == Stage::Accepted && context.money_sent;
    if transaction.stage == Stage::AwaitingPayment || is_being_made {
        return Ok(None);
    }
    undo::cancel(transaction, context, by)
}

pub(super) fn refuse(transaction: &Transaction, reason: &FailureReason) -> Decided {
    Ok(end_unpaid(transaction, Event::Refused)?.map(|_| Decision::failed(reason)))
}

/// Books a movement of a dispute. For a credited deposit only a fee is booked; money is a transaction of its own.
pub(super) fn book_dispute(transaction: &Transaction, context: Context<'_>, entry: &BalanceEntry) -> Decided {
    if context.booked {
        return Ok(None);
    }
    match transaction.stage {
        Stage::Completed if entry.amount.is_zero() => Ok(Some(fee(entry))),
        Stage::Completed => Err(Contradiction::Credited(entry.id.clone(), entry.amount)),
        _ => disputed(transaction, context, entry).map(Some),
    }
}

/// Credits what came. That becomes the deposit's amount, so that it is what can be refunded and what the history adds up to.
fn credit_review(transaction: &Transaction, context: Context<'_>, amount: Money) -> Decided {
    let Some(stage) = step(transaction, Event::ReviewCredited)? else {
        return Ok(None);
    };
    let suspended = context.suspended_in(amount.currency());
    if suspended != amount {
        return Err(Contradiction::AnotherAmount(suspended, amount));
    }
    let asked = transaction.amount;
    Ok(Some(
        Decision::to(stage)
            .sets(|changes| changes.credited = (amount != asked).then_some(amount))
            .leaves_suspense()
            .legs(Leg::pair(
                Account::SUSPENSE,
                Account::Available(transaction.wallet_id),
                amount,
            ))
            .says(
                TimelineKind::Completed,
                format!("support has decided: {amount} credited of the {asked} that were asked for"),
            ),
    ))
}

/// Books that the payer's bank takes, or returns, money in suspense, which belonged to nobody yet.
fn disputed(
    transaction: &Transaction,
    context: Context<'_>,
    entry: &BalanceEntry,
) -> Result<Decision, Contradiction> {
    let (amount, has_ended) = (entry.amount, transaction.stage != Stage::InReview);
    let message = if amount.is_negative() {
        let taken = amount.negated();
        format!("the payer's bank disputes the payment: the payment provider withdrew {taken}")
    } else {
        format!("the payment provider gave {amount} of the disputed payment back")
    };
    let mut decision = Decision::default()
        .refers(ExternalRef::BalanceTransaction(entry.id.clone()))
        .legs(Leg::pair(Account::CLEARING, Account::SUSPENSE, amount))
        .legs(Leg::pair(Account::STRIPE_FEES, Account::CLEARING, entry.fee))
        .says_with(
            TimelineKind::StripeAnswer,
            message.clone(),
            json!({ "balanceTransaction": entry.id }),
        );
    decision.leaves_suspense = has_ended;
    let suspended = context.suspended_in(amount.currency());
    let left = suspended.checked_add(amount)?;
    if left.is_negative() {
        let message = format!("{message}, more than the {suspended} in suspense");
        decision = decision.alarms(AlarmKind::DisputeExceedsPayment, message);
    }
    if has_ended && amount.is_positive() {
        decision = decision.alarms(AlarmKind::LatePayment, to_return(transaction, &message));
    } else if !has_ended && !amount.is_zero() {
        // Its alarm is open already, with the choices from before this movement.
        let message = to_decide_of_disputed(transaction, left, amount.is_positive(), &message);
        decision = decision.alarms(AlarmKind::PaymentMismatch, message);
    }
    Ok(decision)
}

/// Ends a deposit in review if a dispute left nothing of it.
fn end_dispute(transaction: &Transaction, context: Context<'_>) -> Decided {
    let is_left = context.suspended.iter().any(|amount| amount.is_positive());
    if transaction.stage != Stage::InReview || is_left {
        return Ok(None);
    }
    let reason = FailureReason::new(FailureCode::Disputed, "the payer's bank took the payment back");
    Ok(step(transaction, Event::ReviewReturned)?.map(|_| Decision::failed(&reason).leaves_suspense()))
}

/// [`step`] for an end without money. The owner may cancel a deposit while the bank declines it: both end it, and the first gives the reason.
fn end_unpaid(transaction: &Transaction, event: Event) -> Result<Option<Stage>, Contradiction> {
    if matches!(transaction.stage, Stage::Failed | Stage::Cancelled) {
        return Ok(None);
    }
    step(transaction, event)
}

/// Books money for a deposit that has ended without it: it is never dropped, and never credited without a decision. Its intent leads here from
/// now on, so that refunds of it are found.
fn late(transaction: &Transaction, intent: &PaymentIntentId, received: Money) -> Decision {
    let what = format!("{received} was paid after the deposit had ended");
    known_intent(transaction, Decision::default(), intent)
        .refers(ExternalRef::LatePayment(intent.clone()))
        .legs(Leg::pair(Account::CLEARING, Account::SUSPENSE, received))
        .says_with(
            TimelineKind::NeedsReview,
            format!("{what}; {DECIDES}"),
            json!({ "paymentIntent": intent }),
        )
        .alarms(AlarmKind::LatePayment, to_return(transaction, &what))
        .then(JobKind::DepositFee)
}

/// Books Stripe's fee as the platform's cost: the wallet was credited the gross amount, and a refund takes no more than that from it.
pub(super) fn fee(entry: &BalanceEntry) -> Decision {
    // The movement of a refund says nothing about when the payment is available.
    let available_on = entry.amount.is_positive().then_some(entry.available_on);
    Decision::default()
        .sets(|changes| changes.available_on = available_on)
        .refers(ExternalRef::BalanceTransaction(entry.id.clone()))
        .legs(Leg::pair(Account::STRIPE_FEES, Account::CLEARING, entry.fee))
}

fn credit(transaction: &Transaction, stage: Stage, intent: &PaymentIntentId, received: Money) -> Decision {
    known_intent(transaction, Decision::to(stage), intent)
        .legs(Leg::pair(
            Account::CLEARING,
            Account::Available(transaction.wallet_id),
            received,
        ))
        .says_with(
            TimelineKind::Completed,
            format!("{received} received and credited"),
            json!({ "paymentIntent": intent }),
        )
        .then(JobKind::DepositFee)
}

fn suspend(
    transaction: &Transaction,
    stage: Stage,
    intent: &PaymentIntentId,
    received: Money,
    what: &str,
) -> Decision {
    known_intent(transaction, Decision::to(stage), intent)
        // Without this, a report repeated after the money's return would look like money that came too late.
        .refers(ExternalRef::LatePayment(intent.clone()))
        .legs(Leg::pair(Account::CLEARING, Account::SUSPENSE, received))
        .says_with(
            TimelineKind::NeedsReview,
            format!("{what}; {DECIDES}"),
            json!({ "paymentIntent": intent }),
        )
        .alarms(AlarmKind::PaymentMismatch, to_decide(transaction, received, what))
        .then(JobKind::DepositFee)
}

fn check_intent(transaction: &Transaction, intent: &PaymentIntentId) -> Result<(), Contradiction> {
    check_object("intent", transaction.stripe_payment_intent_id.as_ref(), intent)
}

/// Makes the intent lead to the deposit from now on, and records it on the deposit unless that has ended without it.
fn known_intent(transaction: &Transaction, mut decision: Decision, intent: &PaymentIntentId) -> Decision {
    if transaction.stripe_payment_intent_id.is_some() {
        return decision;
    }
    decision.changes.payment_intent = decision.to.map(|_| intent.clone());
    decision.refers(ExternalRef::PaymentIntent(intent.clone()))
}
