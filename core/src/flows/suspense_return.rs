//! Refunds of money in suspense, by an operator's decision or made at Stripe: the ledger follows the platform's balance. Stripe takes the
//! money when the refund is made (<https://docs.stripe.com/refunds>), long before it is final, and returns it when the refund fails, even
//! after it had succeeded (<https://docs.stripe.com/refunds#failed-refunds>).
//!
//! The states of a refund may be reported in any order: each is booked once, and one that comes after a newer one is left out.

use serde_json::json;

use super::decide::{Decided, Decision, step};
use super::deposit::{DECIDES, to_return};
use super::{Context, Contradiction, Event};
use crate::alarms::AlarmKind;
use crate::ids::stripe::RefundId;
use crate::ledger::{Account, Leg};
use crate::money::Money;
use crate::transactions::{
    ExternalRef, FailureCode, FailureReason, RefKind, Returned, Stage, TimelineKind, Transaction,
};

/// A report about a refund of money that lies in suspense for a deposit.
#[derive(Debug, Clone)]
pub enum SuspenseReturnCommand {
    /// It exists at Stripe, which has taken this amount from the balance, and is not final. The text says what it waits for, for the timeline.
    Begin(RefundId, Money, String),
    /// It succeeded, with this amount.
    Succeed(RefundId, Money),
    /// It failed or was cancelled, perhaps after it had succeeded, and this amount is back. The text says why, for the timeline.
    Fail(RefundId, Money, String),
}

pub(super) fn decide(
    transaction: &Transaction,
    context: Context<'_>,
    command: &SuspenseReturnCommand,
) -> Decided {
    match command {
        SuspenseReturnCommand::Begin(refund, amount, message) => Ok(begin(context, refund, *amount, message)),
        SuspenseReturnCommand::Succeed(refund, amount) => succeed(transaction, context, refund, *amount),
        SuspenseReturnCommand::Fail(refund, amount, message) => {
            Ok(fail(transaction, context, refund, *amount, message))
        }
    }
}

/// Books money that is on its way to the payer. The alarm about it stays open until the money has arrived.
fn begin(context: Context<'_>, refund: &RefundId, amount: Money, message: &str) -> Option<Decision> {
    context.known_as.is_empty().then(|| {
        Decision::default()
            .refers(ExternalRef::RefundBegun(refund.clone()))
            .legs(Leg::pair(Account::SUSPENSE, Account::CLEARING, amount))
            .says_with(
                TimelineKind::Waiting,
                format!("{amount} is being returned to the payer: {message}"),
                json!({ "refund": refund }),
            )
    })
}

/// Books a full or partial refund of money in suspense: a deposit in review ends with the last part.
fn succeed(transaction: &Transaction, context: Context<'_>, refund: &RefundId, amount: Money) -> Decided {
    if context.booked || context.is_known_as(RefKind::Return) {
        return Ok(None);
    }
    let has_left = context.is_known_as(RefKind::RefundBegun);
    let is_all = context
        .suspended
        .iter()
        .all(|suspended| suspended.is_zero() || (!has_left && *suspended == amount));
    let decision = match transaction.stage {
        // The money came too late: the transaction stays as it ended.
        Stage::Failed | Stage::Cancelled | Stage::Completed => Decision::default(),
        Stage::InReview if !is_all => Decision::default(),
        _ => match step(transaction, Event::ReviewReturned)? {
            Some(_) => Decision::failed(&FailureReason::new(
                FailureCode::ReturnedToPayer,
                format!("{amount} was returned to the payer"),
            )),
            None => return Ok(None),
        },
    };
    let decision = if has_left {
        decision
    } else {
        decision.legs(Leg::pair(Account::SUSPENSE, Account::CLEARING, amount))
    };
    Ok(Some(
        decision
            .leaves_suspense()
            .refers(ExternalRef::Refund(refund.clone()))
            .says_with(
                TimelineKind::StripeEvent,
                format!("{amount} refunded to the payer"),
                json!({ "refund": refund }),
            ),
    ))
}

/// Books what is left in suspense as the platform's cost or gain: nothing of the payment can be refunded any longer.
pub(super) fn close(transaction: &Transaction, context: Context<'_>, amount: Money) -> Decided {
    let lies = context.suspended_in(amount.currency());
    if lies.is_zero() {
        return Ok(None);
    }
    if lies != amount {
        return Err(Contradiction::AnotherAmount(lies, amount));
    }
    let is_all = context
        .suspended
        .iter()
        .all(|suspended| suspended.is_zero() || suspended.currency() == amount.currency());
    let decision = if transaction.stage == Stage::InReview && is_all {
        step(transaction, Event::ReviewReturned)?;
        Decision::failed(&FailureReason::new(
            FailureCode::ReturnedToPayer,
            "what was paid is with the payer again, or with the payer's bank",
        ))
    } else {
        Decision::default()
    };
    Ok(Some(
        decision
            .leaves_suspense()
            .legs(Leg::pair(Account::SUSPENSE, Account::PLATFORM_FEES, amount))
            .says(
                TimelineKind::StripeAnswer,
                "nothing of the payment is left to give back",
            ),
    ))
}

/// Books money that is back in suspense, or never left it: an operator must decide again.
fn fail(
    transaction: &Transaction,
    context: Context<'_>,
    refund: &RefundId,
    amount: Money,
    message: &str,
) -> Option<Decision> {
    if context.booked {
        return None;
    }
    let had_left = !context.known_as.is_empty();
    let what = format!("the refund of {amount} did not reach the payer: {message}");
    let decision = Decision::default()
        .refers(ExternalRef::Return(Returned::Refund(refund.clone())))
        .says_with(
            TimelineKind::NeedsReview,
            format!("{what}; {DECIDES}"),
            json!({ "refund": refund }),
        )
        .alarms(
            AlarmKind::ReturnFailed,
            to_return(transaction, &format!("{refund}: {what}")),
        );
    Some(if had_left {
        decision.legs(Leg::pair(Account::CLEARING, Account::SUSPENSE, amount))
    } else {
        decision
    })
}
