//! Withdrawal: pending → hold (processing) → transfer to the connected account → payout to the bank → paid, completed.
//!
//! If the payout fails before that, the transfer is reversed, then the amount is released, and the withdrawal has failed. The hold is
//! never released while an outcome is unknown, and never once the bank has the money.

use serde_json::json;

use super::decide::{Decided, Decision, check_object, step, step_with};
use super::{Context, Contradiction, Event};
use crate::alarms::AlarmKind;
use crate::ids::stripe::{PayoutId, ReversalId, StripeTransferId};
use crate::jobs::JobKind;
use crate::ledger::{Account, Leg};
use crate::money::Money;
use crate::transactions::{ExternalRef, FailureCode, FailureReason, Stage, TimelineKind, Transaction};

/// A report about a withdrawal.
#[derive(Debug, Clone)]
pub enum WithdrawalCommand {
    /// The transfer to the connected account was made.
    RecordTransfer(StripeTransferId),
    /// The payout was started.
    RecordPayout(PayoutId),
    /// The bank has the money, by this payout, if it is one that we made.
    SettlePayout(Option<PayoutId>),
    /// The payout, if there is one, was refused, failed or was cancelled, for this reason.
    FailPayout(Option<PayoutId>, FailureReason),
    /// Somebody else reversed this amount of the transfer.
    RecordOutsideReversal(ReversalId, Money),
}

pub(super) fn hold(transaction: &Transaction, context: Context<'_>) -> Decided {
    let Some(stage) = step(transaction, Event::HoldPlaced)? else {
        return Ok(None);
    };
    let (amount, wallet) = (transaction.amount, transaction.wallet_id);
    if context
        .balances
        .wallet(wallet)
        .is_some_and(|wallet| !wallet.is_active)
    {
        let reason = FailureReason::new(FailureCode::WalletInactive, "the wallet is not active");
        return Ok(Some(Decision::failed(&reason)));
    }
    Ok(Some(
        Decision::to(stage)
            .legs(Leg::hold(wallet, amount))
            .says(TimelineKind::Posted, format!("{amount} held for the withdrawal"))
            .then(JobKind::WithdrawalTransfer),
    ))
}

pub(super) fn decide(
    transaction: &Transaction,
    context: Context<'_>,
    command: &WithdrawalCommand,
) -> Decided {
    let amount = transaction.amount;
    let held = Account::Held(transaction.wallet_id);
    match command {
        WithdrawalCommand::RecordTransfer(transfer) => Ok(step_with(
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
        WithdrawalCommand::RecordPayout(payout) => {
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
        WithdrawalCommand::SettlePayout(payout) => {
            let payout = payout.as_ref();
            check_payout(transaction, payout)?;
            Ok(step(transaction, Event::PayoutPaid)?.map(|stage| {
                decided(with_payout(transaction, stage, payout))
                    .legs(Leg::pair(held, Account::IN_TRANSIT, amount))
                    .says_with(
                        TimelineKind::Completed,
                        format!("{amount} paid to your bank"),
                        json!({ "payout": payout }),
                    )
            }))
        }
        WithdrawalCommand::FailPayout(payout, reason) => {
            let payout = payout.as_ref();
            check_payout(transaction, payout)?;
            Ok(step(transaction, Event::PayoutFailed)?.map(|stage| {
                // Its alarms stay open until the money is back, which can take weeks.
                let detail = json!({ "code": reason.code.as_str(), "payout": payout });
                with_payout(transaction, stage, payout)
                    .because(reason)
                    .says_with(TimelineKind::StripeAnswer, reason.sentence.clone(), detail)
                    .then(JobKind::WithdrawalReversal)
            }))
        }
        WithdrawalCommand::RecordOutsideReversal(reversal, amount) => Ok((!context.booked).then(|| {
            let message =
                format!("{amount} of the transfer to the payout account was taken back by somebody else");
            with_reversal(Decision::default(), reversal, *amount)
                .says_with(
                    TimelineKind::NeedsReview,
                    message.clone(),
                    json!({ "reversal": reversal }),
                )
                .alarms(AlarmKind::TransferReversedOutside, message)
        })),
    }
}

/// Ends the withdrawal: nothing of the transfer is left to reverse.
pub(super) fn reversed(
    transaction: &Transaction,
    context: Context<'_>,
    reversal: &ReversalId,
    taken: Money,
) -> Decided {
    let (amount, wallet) = (transaction.amount, transaction.wallet_id);
    Ok(step(transaction, Event::TransferReversed)?.map(|stage| {
        let mut decision = decided(Decision::to(stage));
        // A reversal by somebody else that was found before is booked already.
        if !context.booked {
            decision = with_reversal(decision, reversal, taken);
        }
        decision.legs(Leg::release(wallet, amount)).says_with(
            TimelineKind::Failed,
            format!("{amount} taken back and available again"),
            json!({ "reversal": reversal }),
        )
    }))
}

/// Books money that is back from the connected account.
pub(super) fn with_reversal(decision: Decision, reversal: &ReversalId, amount: Money) -> Decision {
    decision
        .refers(ExternalRef::TransferReversal(reversal.clone()))
        .legs(Leg::pair(Account::CLEARING, Account::IN_TRANSIT, amount))
}

fn check_payout(transaction: &Transaction, payout: Option<&PayoutId>) -> Result<(), Contradiction> {
    let recorded = transaction.stripe_payout_id.as_ref();
    payout.map_or(Ok(()), |payout| check_object("payout", recorded, payout))
}

/// Closes the alarms about the payout: it is known where the money is.
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
