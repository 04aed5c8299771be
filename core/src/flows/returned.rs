//! Money that comes back after its transaction has completed. A completed transaction never changes, so a new one credits the wallet.
//!
//! The money of a refund that failed late is on the platform's balance at once. The money of a payout that failed late is on the connected
//! account: the transfer behind it is reversed before the wallet can spend the money.

use serde_json::json;

use super::decide::{Decided, Decision, step};
use super::withdrawal::with_reversal;
use super::{Context, Event};
use crate::ids::stripe::ReversalId;
use crate::jobs::JobKind;
use crate::ledger::{Account, Leg};
use crate::money::Money;
use crate::transactions::{FailureReason, TimelineKind, Transaction};

/// Credits the money of a refund that failed late.
pub(super) fn execute(transaction: &Transaction) -> Decided {
    let (amount, available) = (transaction.amount, Account::Available(transaction.wallet_id));
    Ok(step(transaction, Event::Executed)?.map(|stage| {
        Decision::to(stage)
            .legs(Leg::pair(Account::CLEARING, available, amount))
            .says(
                TimelineKind::Completed,
                format!("{amount} is yours again: the refund did not reach the payer"),
            )
    }))
}

/// Begins the return of a payout whose money is on the connected account.
pub(super) fn begin(transaction: &Transaction, reason: &FailureReason) -> Decided {
    let (amount, held) = (transaction.amount, Account::Held(transaction.wallet_id));
    Ok(step(transaction, Event::PayoutFailed)?.map(|stage| {
        Decision::to(stage)
            .legs(Leg::pair(Account::IN_TRANSIT, held, amount))
            .says_with(
                TimelineKind::Posted,
                format!("your bank returned {amount}: {}", reason.sentence),
                json!({ "code": reason.code.as_str() }),
            )
            .then(JobKind::WithdrawalReversal)
    }))
}

/// Ends the return of a payout: nothing of the transfer behind it is left to reverse.
pub(super) fn reversed(
    transaction: &Transaction,
    context: Context<'_>,
    reversal: &ReversalId,
    taken: Money,
) -> Decided {
    let (amount, wallet) = (transaction.amount, transaction.wallet_id);
    Ok(step(transaction, Event::TransferReversed)?.map(|stage| {
        let mut decision = Decision::to(stage);
        if !context.booked {
            decision = with_reversal(decision, reversal, taken);
        }
        decision.legs(Leg::release(wallet, amount)).says_with(
            TimelineKind::Completed,
            format!("{amount} is yours again"),
            json!({ "reversal": reversal }),
        )
    }))
}
