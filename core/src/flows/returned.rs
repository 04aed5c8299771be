//! Money that comes back after its transaction had completed, which never changes again: a transaction of its own credits the wallet.
//!
//! A refund that failed late is on the platform's balance at once. A payout that failed late is on the connected account: the transfer
//! behind it is taken back before the wallet can spend the money.

use serde_json::json;

use super::decide::{Decided, Decision, foreign, step};
use super::withdrawal::taken_back;
use super::{Command, Context, Event};
use crate::jobs::JobKind;
use crate::ledger::{Account, Leg};
use crate::transactions::{Flow, TimelineKind, Transaction};

pub(super) fn decide(transaction: &Transaction, context: Context<'_>, command: &Command) -> Decided {
    let (amount, wallet) = (transaction.amount, transaction.wallet_id);
    let (available, frozen) = (Account::Available(wallet), Account::Frozen(wallet));
    match (transaction.flow, command) {
        (Flow::RefundReturn, Command::Execute) => Ok(step(transaction, Event::Executed)?.map(|stage| {
            Decision::to(stage)
                .legs(Leg::pair(Account::CLEARING, available, amount))
                .says(
                    TimelineKind::Completed,
                    format!("{amount} is yours again: the refund did not reach the payer"),
                )
        })),
        (Flow::PayoutReturn, Command::FailPayout { reason, .. }) => {
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
        (
            Flow::PayoutReturn,
            Command::RecordReversal {
                reversal,
                amount: taken,
            },
        ) => Ok(step(transaction, Event::TransferReversed)?.map(|stage| {
            let mut decision = Decision::to(stage);
            if !context.booked {
                decision = taken_back(decision, reversal, *taken);
            }
            decision.legs(Leg::pair(frozen, available, amount)).says_with(
                TimelineKind::Completed,
                format!("{amount} is yours again"),
                json!({ "reversal": reversal }),
            )
        })),
        (_, other) => foreign(other),
    }
}
