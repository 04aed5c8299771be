//! Transfer and payment: pending → one posting → completed, or failed with the reason. Stripe is not involved.
//!
//! `amount` is what leaves the payer. The payee of a payment receives `amount` − `fee`, and the platform receives the fee.

use super::decide::{Decided, Decision, answer};
use super::{Context, Contradiction, Event};
use crate::ledger::{Account, Leg};
use crate::money::Money;
use crate::transactions::{FailureCode, FailureReason, TimelineKind, Transaction};

pub(super) fn execute(transaction: &Transaction, context: Context<'_>) -> Decided {
    let Some(stage) = answer(transaction, Event::Executed)? else {
        return Ok(None);
    };
    let Some(to) = transaction.counterparty_wallet_id else {
        return Err(Contradiction::NoCounterparty);
    };
    if let Some(reason) = obstacle(transaction, context) {
        return Ok(Some(Decision::failed(&reason)));
    }
    let (amount, payer) = (transaction.amount, Account::Available(transaction.wallet_id));
    let fee = transaction.fee.unwrap_or_else(|| Money::zero(amount.currency()));
    let received = amount.checked_sub(fee)?;
    let words = if fee.is_zero() {
        format!("{amount} moved")
    } else {
        format!("{amount} paid: {received} to the payee, {fee} fee")
    };
    Ok(Some(
        Decision::to(stage)
            .legs(Leg::pair(payer, Account::Available(to), received))
            .legs(Leg::pair(payer, Account::PLATFORM_FEES, fee))
            .says(TimelineKind::Completed, words),
    ))
}

/// Returns why the transfer is no longer possible, if a wallet has changed since it was accepted.
pub(super) fn obstacle(transaction: &Transaction, context: Context<'_>) -> Option<FailureReason> {
    let wallets: Vec<_> = transaction
        .wallets()
        .into_iter()
        .filter_map(|id| context.balances.wallet(id))
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
