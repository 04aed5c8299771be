//! Taking back and refusing: the same for every flow that somebody asks for, except that a deposit has rules of its own
//! ([`super::deposit`]).

use super::decide::{Decided, Decision, step};
use super::{Context, Event, Next, edges, next};
use crate::ledger::{Account, Leg};
use crate::transactions::{Canceller, FailureReason, Flow, Stage, TimelineKind, Transaction};

/// Taking back what has not become irreversible; too late is told in the timeline and changes nothing.
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
    // A deposit takes in: what it is cancelled before is its payment, whether there was an intent yet or not.
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

/// It can definitely not be done.
pub(super) fn refuse(transaction: &Transaction, reason: &FailureReason) -> Decided {
    Ok(step(transaction, Event::Refused)?.map(|_| release(transaction, Decision::failed(reason))))
}

/// What a withdrawal, or a refund of a deposit, holds is given back; before the hold nothing has moved.
fn release(transaction: &Transaction, decision: Decision) -> Decision {
    if transaction.stage != Stage::Held {
        return decision;
    }
    let frozen = Account::Frozen(transaction.wallet_id);
    let available = Account::Available(transaction.wallet_id);
    decision.legs(Leg::pair(frozen, available, transaction.amount))
}
