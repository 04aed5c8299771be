//! What is taken of a wallet for what its owner owes: a transaction of its own, which its owner sees, and which leads to what caused the debt.
//!
//! Nobody asks for it: the settlement that makes money spendable opens and completes it ([`crate::ledger::Books::book`]), so whoever
//! brought the money reads nothing of it.

use super::Event;
use super::decide::{Decided, Decision, step};
use crate::ledger::{Account, Leg};
use crate::transactions::{TimelineKind, Transaction};

pub(super) fn execute(transaction: &Transaction) -> Decided {
    let (amount, wallet) = (transaction.amount, transaction.wallet_id);
    Ok(step(transaction, Event::Executed)?.map(|stage| {
        Decision::to(stage)
            .legs(Leg::pair(Account::Available(wallet), Account::RECEIVABLE, amount))
            .says(
                TimelineKind::Completed,
                format!("{amount} kept for what was owed to the platform"),
            )
    }))
}
