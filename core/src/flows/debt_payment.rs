//! What is taken of a wallet for what its owner owes: a transaction of its own, which its owner sees, and which leads to what caused the debt.
//!
//! Nobody asks for it: the settlement that makes money spendable opens and completes it ([`crate::ledger::Books::book`]), so whoever
//! brought the money reads nothing of it.

use super::decide::{Decided, Decision, foreign, step};
use super::{Command, Event};
use crate::ledger::{Account, Leg};
use crate::transactions::{TimelineKind, Transaction};

pub(super) fn decide(transaction: &Transaction, command: &Command) -> Decided {
    match command {
        Command::Execute => {
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
        other => foreign(other),
    }
}
