//! What a dispute moved after its end, one transaction for each movement: a decision can be reversed, and money can come or go late.
//!
//! The dispute's own transaction stays as it ended. What came back is credited to the wallet at once. What was taken comes out of the
//! wallet's balance, and the rest is owed ([`super::debt`]).

use serde_json::json;

use super::decide::{Decided, Decision, step};
use super::{BalanceEntry, Context, Contradiction, Event, debt};
use crate::ledger::{Account, Leg};
use crate::transactions::{Flow, TimelineKind, Transaction};

pub(super) fn book(transaction: &Transaction, context: Context<'_>, entry: &BalanceEntry) -> Decided {
    let Some(stage) = step(transaction, Event::Executed)? else {
        return Ok(None);
    };
    check(transaction, entry)?;
    let (amount, clearing) = (transaction.amount, Account::CLEARING);
    // The reference of the movement was recorded when this transaction was opened.
    let decision = Decision::to(stage).legs(Leg::pair(Account::STRIPE_FEES, clearing, entry.fee));
    let detail = json!({ "balanceTransaction": entry.id });
    if transaction.flow == Flow::DisputeReturn {
        let available = Account::Available(transaction.wallet_id);
        return Ok(Some(
            decision.legs(Leg::pair(clearing, available, amount)).says_with(
                TimelineKind::Completed,
                format!("{amount} is yours again: the dispute gave it back"),
                detail,
            ),
        ));
    }
    let (decision, owed) = debt::take_or_owe(transaction, context, decision, clearing, amount)?;
    let words = if owed.is_zero() {
        format!("{amount} went back to the payer")
    } else {
        format!("{amount} went back to the payer, of which {owed} is missing")
    };
    Ok(Some(
        decision
            .legs(Leg::pair(Account::RECEIVABLE, clearing, owed))
            .says_with(TimelineKind::Completed, words, detail),
    ))
}

/// Refuses a movement other than the one for which the transaction was opened.
fn check(transaction: &Transaction, entry: &BalanceEntry) -> Result<(), Contradiction> {
    let moved = match transaction.flow {
        Flow::DisputeReturn => entry.amount,
        _ => entry.amount.negated(),
    };
    if moved == transaction.amount {
        return Ok(());
    }
    let (movement, moved) = (entry.id.clone(), entry.amount);
    Err(Contradiction::AnotherMovement(
        movement,
        moved,
        transaction.amount,
    ))
}
