//! A debt payment collects money from a wallet for its owner's debt. It is a transaction of its own that the owner sees, related to the debt's cause.
//!
//! It is not requested: the settlement that makes money spendable opens and completes it ([`crate::ledger::LockedBalances::book`]), so the
//! sender of the money sees nothing of it.

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
