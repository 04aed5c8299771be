//! A debt is what a balance cannot cover of money that Stripe takes back from the platform, whether the wallet has it or not.
//!
//! What the wallet has is held; the rest is owed. Every later credit of any wallet of its owner in that currency pays the debt first
//! ([`crate::ledger::LockedBalances::book`]). If Stripe returns the money, the open debt is forgiven, and what was collected is paid back.

use super::decide::Decision;
use super::{Context, Contradiction};
use crate::ledger::{Account, Leg};
use crate::money::{Money, MoneyError};
use crate::transactions::Transaction;

/// Takes `amount` of the transaction out of the wallet's spendable balance, as far as that covers it, and books it `to` this account. The
/// rest is owed from now on; it is the second value returned.
pub(super) fn take_or_owe(
    transaction: &Transaction,
    context: Context<'_>,
    decision: Decision,
    to: Account,
    amount: Money,
) -> Result<(Decision, Money), Contradiction> {
    let wallet = transaction.wallet_id;
    let balance = context
        .balances
        .wallet(wallet)
        .ok_or(Contradiction::NotLocked(wallet))?;
    let held = balance.available.at_most(amount)?;
    let owed = amount.checked_sub(held)?;
    let decision = decision
        .sets(|changes| changes.held = Some(held))
        .legs(Leg::pair(Account::Available(wallet), to, held))
        .owes(wallet, owed);
    Ok((decision, owed))
}

/// Returns what is held for the transaction, and what became owed for it.
pub(super) fn parts(transaction: &Transaction) -> Result<(Money, Money), MoneyError> {
    let held = transaction
        .held
        .unwrap_or_else(|| Money::zero(transaction.amount.currency()));
    let owed = transaction
        .claimed
        .unwrap_or(transaction.amount)
        .checked_sub(held)?;
    Ok((held, owed))
}

/// Releases everything: what is held and what was collected is spendable again, and the open debt is forgiven.
pub(super) fn release(
    transaction: &Transaction,
    context: Context<'_>,
    decision: Decision,
) -> Result<Decision, Contradiction> {
    book_loss(
        transaction,
        context,
        decision,
        Money::zero(transaction.amount.currency()),
    )
}

/// Books `loss` of what is held and owed to the receivables, and releases the rest, like [`release`]. A loss above both is taken from the
/// wallet's other money.
pub(super) fn book_loss(
    transaction: &Transaction,
    context: Context<'_>,
    decision: Decision,
    loss: Money,
) -> Result<Decision, Contradiction> {
    let wallet = transaction.wallet_id;
    let (held, owed) = parts(transaction)?;
    let kept = held.at_most(loss)?;
    let rest = loss.checked_sub(kept)?;
    let still_owed = rest.at_most(owed)?;
    let above = rest.checked_sub(still_owed)?;
    let (held, owed) = (held.checked_sub(kept)?, owed.checked_sub(still_owed)?);
    if above.is_positive() {
        // All that was held and owed is kept, so nothing is released.
        let legs = Leg::pair(Account::Held(wallet), Account::RECEIVABLE, kept);
        let decision = decision.legs(legs);
        let (mut decision, owed) = take_or_owe(transaction, context, decision, Account::RECEIVABLE, above)?;
        decision.changes.held = Some(kept.checked_add(above)?.checked_sub(owed)?);
        return Ok(decision);
    }
    let debt = context
        .balances
        .wallet(wallet)
        .ok_or(Contradiction::NotLocked(wallet))?
        .owed;
    let forgiven = owed.at_most(debt)?;
    let collected = owed.checked_sub(forgiven)?;
    let available = Account::Available(wallet);
    Ok(decision
        .legs(Leg::pair(Account::Held(wallet), Account::RECEIVABLE, kept))
        .legs(Leg::pair(Account::Held(wallet), available, held))
        .legs(Leg::pair(Account::RECEIVABLE, available, collected))
        .owes(wallet, forgiven.negated()))
}
