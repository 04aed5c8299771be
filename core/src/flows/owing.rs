//! What a balance cannot cover: money that Stripe takes back from the platform whether the wallet has it or not.
//!
//! What the wallet has is frozen; the rest is owed. Every later credit of any wallet of its owner in that currency pays the debt first
//! ([`crate::ledger::Books::book`]); if Stripe gives the money back, what is still owed is forgiven and what was caught returned.

use super::decide::Decision;
use super::{Context, Contradiction};
use crate::ledger::{Account, Leg};
use crate::money::{Money, MoneyError};
use crate::transactions::Transaction;

/// Takes `amount` of the transaction out of what the wallet can spend, as far as that goes, and books it `to` this account; the rest, which
/// is returned, is owed from now on.
pub(super) fn take(
    transaction: &Transaction,
    context: Context<'_>,
    decision: Decision,
    to: Account,
    amount: Money,
) -> Result<(Decision, Money), Contradiction> {
    let wallet = transaction.wallet_id;
    let balance = context
        .books
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

/// What is held of the transaction, and what was owed for it.
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

/// Gives everything back: what is held, what was caught, and the debt.
pub(super) fn release(
    transaction: &Transaction,
    context: Context<'_>,
    decision: Decision,
) -> Result<Decision, Contradiction> {
    lose(
        transaction,
        context,
        decision,
        Money::zero(transaction.amount.currency()),
    )
}

/// Keeps `loss` of what is held and owed for the receivables and gives the rest back: what is held, what was caught, and the debt. A loss
/// above both is taken from what the wallet has beside.
pub(super) fn lose(
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
        // All that was held and owed is kept, so nothing is given back.
        let legs = Leg::pair(Account::Frozen(wallet), Account::RECEIVABLE, kept);
        let decision = decision.legs(legs);
        let (mut decision, owed) = take(transaction, context, decision, Account::RECEIVABLE, above)?;
        decision.changes.held = Some(kept.checked_add(above)?.checked_sub(owed)?);
        return Ok(decision);
    }
    let debt = context
        .books
        .wallet(wallet)
        .ok_or(Contradiction::NotLocked(wallet))?
        .owed;
    let forgiven = owed.at_most(debt)?;
    let caught = owed.checked_sub(forgiven)?;
    let available = Account::Available(wallet);
    Ok(decision
        .legs(Leg::pair(Account::Frozen(wallet), Account::RECEIVABLE, kept))
        .legs(Leg::pair(Account::Frozen(wallet), available, held))
        .legs(Leg::pair(Account::RECEIVABLE, available, caught))
        .owes(wallet, forgiven.negated()))
}
