//! Withdrawal: pending → hold (processing) → transfer to the connected account → payout to the bank → paid, completed.
//!
//! A payout that fails before that: the transfer is reversed, then the amount is available again, failed. The hold is never
//! released while an outcome is unknown, and never once the bank has the money.

use serde_json::json;

use super::decide::{Decided, Decision, cancel, check_object, foreign, step, step_with};
use super::{Command, Context, Contradiction, Event, FailureCode, FailureReason};
use crate::alarms::AlarmKind;
use crate::ids::stripe::{PayoutId, ReversalId};
use crate::jobs::JobKind;
use crate::ledger::{Account, Leg};
use crate::money::Money;
use crate::transactions::{ExternalRef, Stage, TimelineKind, Transaction};

pub(super) fn decide(transaction: &Transaction, context: Context<'_>, command: &Command) -> Decided {
    let amount = transaction.amount;
    let available = Account::Available(transaction.wallet_id);
    let frozen = Account::Frozen(transaction.wallet_id);
    match command {
        Command::Hold => {
            let Some(stage) = step(transaction, Event::HoldPlaced)? else {
                return Ok(None);
            };
            if context
                .books
                .wallet(transaction.wallet_id)
                .is_some_and(|wallet| !wallet.is_active)
            {
                let reason = FailureReason::new(FailureCode::WalletInactive, "the wallet is not active");
                return Ok(Some(Decision::failed(&reason)));
            }
            Ok(Some(
                Decision::to(stage)
                    .legs(Leg::pair(available, frozen, amount))
                    .says(TimelineKind::Posted, format!("{amount} held for the withdrawal"))
                    .then(JobKind::WithdrawalTransfer),
            ))
        }
        Command::RecordTransfer { transfer } => Ok(step_with(
            transaction,
            Event::TransferCreated,
            transaction.stripe_transfer_id.as_ref(),
            transfer,
        )?
        .map(|stage| {
            Decision::to(stage)
                .sets(|changes| changes.transfer = Some(transfer.clone()))
                .refers(ExternalRef::Transfer(transfer.clone()))
                .legs(Leg::pair(Account::IN_TRANSIT, Account::CLEARING, amount))
                .says_with(
                    TimelineKind::StripeAnswer,
                    "sent to your payout account",
                    json!({ "transfer": transfer }),
                )
                .then(JobKind::WithdrawalPayout)
        })),
        Command::RecordPayout { payout } => {
            check_payout(transaction, Some(payout))?;
            let recorded = transaction.stripe_payout_id.as_ref();
            Ok(
                step_with(transaction, Event::PayoutCreated, recorded, payout)?.map(|stage| {
                    known_payout(transaction, Decision::to(stage), payout).says_with(
                        TimelineKind::StripeAnswer,
                        "payout to your bank started",
                        json!({ "payout": payout }),
                    )
                }),
            )
        }
        Command::SettlePayout { payout } => {
            let payout = payout.as_ref();
            check_payout(transaction, payout)?;
            Ok(step(transaction, Event::PayoutPaid)?.map(|stage| {
                decided(with_payout(transaction, stage, payout))
                    .legs(Leg::pair(frozen, Account::IN_TRANSIT, amount))
                    .says_with(
                        TimelineKind::Completed,
                        format!("{amount} paid to your bank"),
                        json!({ "payout": payout }),
                    )
            }))
        }
        Command::FailPayout { payout, reason } => {
            let payout = payout.as_ref();
            check_payout(transaction, payout)?;
            Ok(step(transaction, Event::PayoutFailed)?.map(|stage| {
                // Somebody looks after it until the money is back, which can take weeks.
                let detail = json!({ "code": reason.code.as_str(), "payout": payout });
                with_payout(transaction, stage, payout)
                    .because(reason)
                    .says_with(TimelineKind::StripeAnswer, reason.sentence.clone(), detail)
                    .then(JobKind::WithdrawalReversal)
            }))
        }
        Command::RecordReversal {
            reversal,
            amount: taken,
        } => {
            Ok(step(transaction, Event::TransferReversed)?.map(|stage| {
                let mut decision = decided(Decision::to(stage));
                // Somebody else's reversal, found before, is on the books already.
                if !context.booked {
                    decision = taken_back(decision, reversal, *taken);
                }
                decision.legs(Leg::pair(frozen, available, amount)).says_with(
                    TimelineKind::Failed,
                    format!("{amount} taken back and available again"),
                    json!({ "reversal": reversal }),
                )
            }))
        }
        Command::RecordOutsideReversal { reversal, amount } => Ok((!context.booked).then(|| {
            let message =
                format!("{amount} of the transfer to the payout account was taken back by somebody else");
            taken_back(Decision::default(), reversal, *amount)
                .says_with(
                    TimelineKind::NeedsReview,
                    message.clone(),
                    json!({ "reversal": reversal }),
                )
                .alarms(AlarmKind::TransferReversedOutside, message)
        })),
        Command::Refuse(reason) => {
            Ok(step(transaction, Event::Refused)?.map(|_| release(transaction, Decision::failed(reason))))
        }
        Command::Cancel(by) => Ok(cancel(transaction, context, *by)?.map(|decision| {
            if decision.to.is_some() {
                release(transaction, decision)
            } else {
                decision
            }
        })),
        other => foreign(other),
    }
}

/// What a withdrawal, or a refund of a deposit, holds is given back; before the hold nothing has moved.
pub(super) fn release(transaction: &Transaction, decision: Decision) -> Decision {
    if transaction.stage != Stage::Held {
        return decision;
    }
    let frozen = Account::Frozen(transaction.wallet_id);
    let available = Account::Available(transaction.wallet_id);
    decision.legs(Leg::pair(frozen, available, transaction.amount))
}

/// Money is back from the connected account.
pub(super) fn taken_back(decision: Decision, reversal: &ReversalId, amount: Money) -> Decision {
    decision
        .refers(ExternalRef::TransferReversal(reversal.clone()))
        .legs(Leg::pair(Account::CLEARING, Account::IN_TRANSIT, amount))
}

fn check_payout(transaction: &Transaction, payout: Option<&PayoutId>) -> Result<(), Contradiction> {
    let recorded = transaction.stripe_payout_id.as_ref();
    payout.map_or(Ok(()), |payout| check_object("payout", recorded, payout))
}

/// It is known where the money is: nobody has to find out any more.
fn decided(decision: Decision) -> Decision {
    AlarmKind::ABOUT_PAYOUTS
        .into_iter()
        .fold(decision, Decision::closes)
}

fn with_payout(transaction: &Transaction, stage: Stage, payout: Option<&PayoutId>) -> Decision {
    let decision = Decision::to(stage);
    match payout {
        Some(payout) => known_payout(transaction, decision, payout),
        None => decision,
    }
}

fn known_payout(transaction: &Transaction, mut decision: Decision, payout: &PayoutId) -> Decision {
    if transaction.stripe_payout_id.is_none() {
        decision.changes.payout = Some(payout.clone());
        decision.refers(ExternalRef::Payout(payout.clone()))
    } else {
        decision
    }
}
