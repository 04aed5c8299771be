//! Money that comes back after its transaction had completed, which never changes again: a transaction of its own credits the wallet.
//!
//! A refund that failed late is on the platform's balance at once. A payout that failed late is on the connected account: the transfer
//! behind it is taken back before the wallet can spend the money.

use serde_json::json;

use super::decide::{Decided, Decision, step};
use super::withdrawal::taken_back;
use super::{Context, Event};
use crate::ids::stripe::ReversalId;
use crate::jobs::JobKind;
use crate::ledger::{Account, Leg};
use crate::money::Money;
use crate::transactions::{FailureReason, TimelineKind, Transaction};

/// Of a refund.
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

/// Of a payout: the money is on the connected account.
pub(super) fn begin(transaction: &Transaction, reason: &FailureReason) -> Decided {
    let (amount, frozen) = (transaction.amount, Account::Frozen(transaction.wallet_id));
    Ok(step(transaction, Event::PayoutFailed)?.map(|stage| {
        Decision::to(stage)
            .legs(Leg::pair(Account::IN_TRANSIT, frozen, amount))
            .says_with(
                TimelineKind::Posted,
                format!("your bank returned {amount}: {}", reason.sentence),
                json!({ "code": reason.code.as_str() }),
            )
            .then(JobKind::WithdrawalReversal)
    }))
}

/// Of a payout: of the transfer behind it nothing is left to take back.
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
            decision = taken_back(decision, reversal, taken);
        }
        decision
            .legs(Leg::pair(
                Account::Frozen(wallet),
                Account::Available(wallet),
                amount,
            ))
            .says_with(
                TimelineKind::Completed,
                format!("{amount} is yours again"),
                json!({ "reversal": reversal }),
            )
    }))
}
