//! Refund of a payment: one posting back from payee to payer, of all of it or a part. All refunds together never exceed the payment.
//!
//! The platform returns its fee in the same proportion, computed over all refunds together and rounded down to the currency's decimals,
//! so that the refund that completes the payment completes the fee. The payee never returns more than the payee received, and the
//! payer gets the whole amount.

use super::decide::{Decided, Decision, answer};
use super::transfer::obstacle;
use super::{Context, Contradiction, Event};
use crate::ledger::{Account, Leg};
use crate::money::{Money, MoneyError};
use crate::transactions::{FailureCode, FailureReason, Stage, TimelineKind, Transaction};

pub(super) fn execute(transaction: &Transaction, context: Context<'_>) -> Decided {
    let Some(stage) = answer(transaction, Event::Executed)? else {
        return Ok(None);
    };
    let (Some(payment), Some(payer)) = (context.original, transaction.counterparty_wallet_id) else {
        return Err(Contradiction::NoPayment);
    };
    if let Some(reason) = obstacle(transaction, context) {
        return Ok(Some(Decision::failed(&reason)));
    }
    let amount = transaction.amount;
    let left = context.left(payment)?;
    if let Some(reason) = exceeds(payment, amount, left) {
        return Ok(Some(Decision::failed(&reason)));
    }
    let fee = fee_part(payment, context, amount, left)?;
    let given = amount.checked_sub(fee)?;
    let payer = Account::Available(payer);
    Ok(Some(
        Decision::to(stage)
            .sets(|changes| changes.fee = Some(fee))
            .legs(Leg::pair(Account::Available(transaction.wallet_id), payer, given))
            .legs(Leg::pair(Account::PLATFORM_FEES, payer, fee))
            .says(
                TimelineKind::Completed,
                format!("{amount} given back to the payer"),
            ),
    ))
}

/// Returns why this amount of the original cannot be refunded, or `None` if it can.
pub(super) fn exceeds(original: &Transaction, amount: Money, left: Money) -> Option<FailureReason> {
    if original.stage == Stage::Completed && amount.amount() <= left.amount() {
        return None;
    }
    let sentence = original.too_much(amount, left);
    Some(FailureReason::new(FailureCode::RefundExceedsOriginal, sentence))
}

/// The part of the payment's fee that this refund returns: the share of all refunds up to this one, less what the earlier ones returned.
fn fee_part(
    payment: &Transaction,
    context: Context<'_>,
    amount: Money,
    left: Money,
) -> Result<Money, MoneyError> {
    let Some(fee) = payment.fee else {
        return Ok(Money::zero(amount.currency()));
    };
    let refunded = payment.amount.checked_sub(left)?.checked_add(amount)?;
    share(fee, refunded, payment.amount)?.checked_sub(context.fee_returned(payment)?)
}

/// `fee` × `part` ÷ `whole` in whole minor units, rounded down.
fn share(fee: Money, part: Money, whole: Money) -> Result<Money, MoneyError> {
    let [fee_minor, part, whole] = [fee.minor()?, part.minor()?, whole.minor()?].map(i128::from);
    let share = fee_minor
        .checked_mul(part)
        .and_then(|product| product.checked_div(whole))
        .and_then(|share| i64::try_from(share).ok())
        .ok_or(MoneyError::OutOfRange)?;
    Money::from_minor(share, fee.currency())
}
