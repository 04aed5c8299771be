//! Transfer: pending → one posting → completed, or failed with the reason. No Stripe.

use super::decide::{Decided, Decision, foreign, step};
use super::{Command, Event, FailureCode, FailureReason};
use crate::ledger::{Account, Books, Leg};
use crate::transactions::{TimelineKind, Transaction};

pub(super) fn decide(transaction: &Transaction, books: &Books, command: &Command) -> Decided {
    match command {
        Command::Execute => {
            let Some(stage) = step(transaction, Event::Executed)? else {
                return Ok(None);
            };
            let Some(to) = transaction.counterparty_wallet_id else {
                return Err("a transfer without a counterparty".to_owned());
            };
            if let Some(reason) = obstacle(transaction, books) {
                return Ok(Some(Decision::failed(&reason)));
            }
            let amount = transaction.amount;
            let legs = Leg::pair(
                Account::Available(transaction.wallet_id),
                Account::Available(to),
                amount,
            );
            Ok(Some(
                Decision::to(stage)
                    .legs(legs)
                    .says(TimelineKind::Completed, format!("{amount} moved")),
            ))
        }
        Command::Refuse(reason) => Ok(step(transaction, Event::Refused)?.map(|_| Decision::failed(reason))),
        other => foreign(other),
    }
}

/// What became of the wallets since the transfer was accepted.
fn obstacle(transaction: &Transaction, books: &Books) -> Option<FailureReason> {
    let wallets: Vec<_> = transaction
        .wallets()
        .into_iter()
        .filter_map(|id| books.wallet(id))
        .collect();
    if wallets.iter().any(|wallet| !wallet.is_active) {
        return Some(FailureReason::new(
            FailureCode::WalletInactive,
            "a wallet of this transfer is not active",
        ));
    }
    if wallets
        .iter()
        .any(|wallet| wallet.currency() != transaction.amount.currency())
    {
        return Some(FailureReason::new(
            FailureCode::CurrencyMismatch,
            "the wallets hold different currencies",
        ));
    }
    None
}
