//! Cancelling and refusing: the same for every flow that is requested, except that a deposit has rules of its own
//! ([`super::deposit`]).

use super::decide::{Decided, Decision, step};
use super::{Context, Event, Next, edges, next};
use crate::ledger::{Account, Leg};
use crate::transactions::{Canceller, FailureReason, Flow, Stage, TimelineKind, Transaction};

/// Cancels a transaction that has not become irreversible; if it is too late, only adds a line to the timeline.
pub(super) fn cancel(transaction: &Transaction, context: Context<'_>, by: Canceller) -> Decided {
    let line = |words: &str| Ok(Some(Decision::default().says(TimelineKind::Waiting, words)));
    let stage = match next(edges(transaction.flow), transaction.stage, Event::Cancelled) {
        Next::Already => return Ok(None),
        Next::Contradiction => return line("it was too late to cancel it"),
        Next::To(_) if context.money_sent => {
            return line(
                "the money may have been sent already: it is cancelled only if that comes to nothing",
            );
        }
        Next::To(stage) => stage,
    };
    // A deposit brings money in, so it is cancelled before its payment, whether or not there was an intent.
    let before = if transaction.flow == Flow::Deposit {
        "it was paid"
    } else {
        "any money had left"
    };
    let reason = FailureReason::cancelled(by, before);
    let decision = Decision::to(stage)
        .because(&reason)
        .says(TimelineKind::Cancelled, reason.sentence.clone());
    Ok(Some(release(transaction, decision)))
}

/// Ends a transaction that can definitely not be done.
pub(super) fn refuse(transaction: &Transaction, reason: &FailureReason) -> Decided {
    Ok(step(transaction, Event::Refused)?.map(|_| release(transaction, Decision::failed(reason))))
}

/// Releases what a withdrawal or a refund of a deposit holds; before the hold nothing has moved.
fn release(transaction: &Transaction, decision: Decision) -> Decision {
    if transaction.stage != Stage::Held {
        return decision;
    }
    let held = Account::Held(transaction.wallet_id);
    let available = Account::Available(transaction.wallet_id);
    decision.legs(Leg::pair(held, available, transaction.amount))
}
