//! The commands by which workers change a transaction.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{DepositCommand, DisputeCommand, Event, RefundCommand, SuspenseReturnCommand, WithdrawalCommand};
use crate::ids::stripe::{BalanceTransactionId, ReversalId};
use crate::money::Money;
use crate::transactions::{Canceller, ExternalRef, FailureReason, RefKind, Returned, Stage, TimelineKind};

/// One movement of the platform's Stripe balance, to be booked once
/// (<https://docs.stripe.com/api/balance_transactions/object>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceEntry {
    /// Its id.
    pub id: BalanceTransactionId,
    /// The gross amount, signed from the platform's point of view.
    pub amount: Money,
    /// Stripe's fee for it.
    pub fee: Money,
    /// When the money is available to the platform.
    pub available_on: DateTime<Utc>,
}

/// How a dispute ended, by its status (<https://docs.stripe.com/api/disputes/object#dispute_object-status>). What became of the money
/// follows only from its movements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeEnd {
    /// `won`: the bank has decided for the payee.
    Won,
    /// `lost`: the bank has decided for the payer.
    Lost,
    /// `warning_closed`: an inquiry ended without a dispute.
    InquiryClosed,
    /// `prevented`: it was settled before it became a dispute; rapid resolution does this by crediting the payer.
    Prevented,
}

impl DisputeEnd {
    /// Whether the status agrees with the money that was taken. A prevented dispute may have ended either way.
    #[must_use]
    pub fn fits(self, taken: Money) -> bool {
        match self {
            Self::Won | Self::InquiryClosed => !taken.is_positive(),
            Self::Lost => taken.is_positive(),
            Self::Prevented => true,
        }
    }
}

/// A worker's command to a transaction. Each is idempotent: a repeated command finds that it was carried out before.
#[derive(Debug, Clone)]
pub enum Command {
    /// Any flow: add a line to the timeline and do nothing else.
    Note {
        /// What the line is about.
        kind: TimelineKind,
        /// The message to the owner.
        message: String,
        /// Ids and codes, for support.
        detail: Option<Value>,
        /// The stage that the line describes; at any other stage it comes too late and is left out.
        at: Stage,
        /// The reference under which the line is written only once, whichever worker brings it first.
        once: Option<ExternalRef>,
    },
    /// Any requested flow: cancel it, if nothing irreversible has happened.
    Cancel(Canceller),
    /// The same flows: it can definitely not be done; what is held is released.
    Refuse(FailureReason),
    /// Transfer, payment, refund of a payment, returned refund, payment of a debt: move the money.
    Execute,
    /// Withdrawal, refund of a deposit: hold the amount.
    Hold,
    /// Deposit: book Stripe's fee for the payment, and when the rest is available to the platform. Refund of a deposit, or of money in suspense
    /// for one: book Stripe's fee for the refund.
    BookFee(BalanceEntry),
    /// Deposit, dispute, and what a dispute moves after its end: book a movement of the platform's balance that Stripe made for a dispute.
    BookDispute(BalanceEntry),
    /// Deposit, dispute: book what is left in suspense, once nothing of the payment can be refunded, as the platform's gain, or its loss if it is
    /// negative. Stripe's conversion at another rate leaves such a rest. The amount is all that lies there in this currency.
    CloseSuspense(Money),
    /// Returned payout: the money is on the connected account, for this reason, and its transfer is to be reversed.
    BeginPayoutReturn(FailureReason),
    /// Withdrawal, returned payout: this reversal took this amount of the transfer, and nothing is left to reverse; what others reversed is booked
    /// separately.
    RecordReversal(ReversalId, Money),
    /// A command for deposits only.
    Deposit(DepositCommand),
    /// A command for deposits only, about a refund of money in suspense.
    SuspenseReturn(SuspenseReturnCommand),
    /// A command for withdrawals only.
    Withdrawal(WithdrawalCommand),
    /// A command for refunds of a deposit, whether we or others made them.
    Refund(RefundCommand),
    /// A command for disputes only.
    Dispute(DisputeCommand),
}

/// Converts the command of a single flow into a `Command`, so that callers need not wrap it.
macro_rules! of_one_flow {
    ($($flow:ident: $own:ident),+) => {
        $(impl From<$own> for Command {
            fn from(own: $own) -> Self {
                Self::$flow(own)
            }
        })+
    };
}

of_one_flow!(
    Deposit: DepositCommand,
    SuspenseReturn: SuspenseReturnCommand,
    Withdrawal: WithdrawalCommand,
    Refund: RefundCommand,
    Dispute: DisputeCommand
);

impl Command {
    /// The event that the command is for the state machine; `None` if the transaction decides, or no stage changes.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        match self {
            // Which of two events a payment is depends on the requested amount; the others move no stage.
            Self::Deposit(DepositCommand::SettlePayment(..) | DepositCommand::SuspendPayment(..))
            | Self::BookFee(_)
            | Self::BookDispute(_)
            | Self::Withdrawal(WithdrawalCommand::RecordOutsideReversal(..))
            | Self::SuspenseReturn(SuspenseReturnCommand::Begin(..) | SuspenseReturnCommand::Fail(..))
            | Self::Note { .. } => None,
            Self::Cancel(_) => Some(Event::Cancelled),
            Self::Refuse(_) => Some(Event::Refused),
            Self::Execute => Some(Event::Executed),
            Self::Hold => Some(Event::HoldPlaced),
            Self::Deposit(DepositCommand::RecordIntent { .. }) => Some(Event::IntentCreated),
            Self::Deposit(DepositCommand::CancelIntent(..)) => Some(Event::IntentCanceled),
            Self::Deposit(DepositCommand::CreditReview(..)) => Some(Event::ReviewCredited),
            Self::Deposit(DepositCommand::EndDispute(..))
            | Self::SuspenseReturn(SuspenseReturnCommand::Succeed(..))
            | Self::CloseSuspense(_) => Some(Event::ReviewReturned),
            Self::Withdrawal(WithdrawalCommand::RecordTransfer(..)) => Some(Event::TransferCreated),
            Self::Withdrawal(WithdrawalCommand::RecordPayout(..)) => Some(Event::PayoutCreated),
            Self::Withdrawal(WithdrawalCommand::SettlePayout(..)) => Some(Event::PayoutPaid),
            Self::Withdrawal(WithdrawalCommand::FailPayout(..)) | Self::BeginPayoutReturn(_) => {
                Some(Event::PayoutFailed)
            }
            Self::RecordReversal(..) => Some(Event::TransferReversed),
            Self::Refund(RefundCommand::Record(..)) => Some(Event::RefundCreated),
            Self::Refund(RefundCommand::Settle(..)) => Some(Event::RefundSucceeded),
            Self::Refund(RefundCommand::Fail(..)) => Some(Event::RefundFailed),
            Self::Dispute(DisputeCommand::Open(..)) => Some(Event::DisputeOpened),
            Self::Dispute(DisputeCommand::End(_, taken)) if taken.is_positive() => Some(Event::DisputeLost),
            Self::Dispute(DisputeCommand::End(..)) => Some(Event::DisputeWon),
        }
    }

    /// Whether it can take more from a wallet than the wallet has, so that the owner owes the rest.
    #[must_use]
    pub const fn may_owe(&self) -> bool {
        matches!(
            self,
            Self::Dispute(_)
                | Self::BookDispute(_)
                | Self::Refund(RefundCommand::Record(..) | RefundCommand::Settle(..))
        )
    }

    /// Whether its decision depends on what lies in suspense.
    #[must_use]
    pub const fn concerns_suspense(&self) -> bool {
        matches!(
            self,
            Self::Deposit(DepositCommand::CreditReview(..) | DepositCommand::EndDispute(..))
                | Self::SuspenseReturn(_)
                | Self::CloseSuspense(_)
                | Self::BookDispute(_)
        )
    }

    /// The Stripe object that leads to the transaction from this command on, and so may lead to no other.
    #[must_use]
    pub fn object(&self) -> Option<ExternalRef> {
        match self {
            Self::Deposit(
                DepositCommand::RecordIntent { intent, .. }
                | DepositCommand::SettlePayment(intent, _)
                | DepositCommand::SuspendPayment(intent, _)
                | DepositCommand::CancelIntent(intent, _),
            ) => Some(ExternalRef::PaymentIntent(intent.clone())),
            Self::Withdrawal(WithdrawalCommand::RecordTransfer(transfer)) => {
                Some(ExternalRef::Transfer(transfer.clone()))
            }
            Self::Withdrawal(
                WithdrawalCommand::RecordPayout(payout)
                | WithdrawalCommand::SettlePayout(Some(payout))
                | WithdrawalCommand::FailPayout(Some(payout), _),
            ) => Some(ExternalRef::Payout(payout.clone())),
            Self::Refund(
                RefundCommand::Record(refund, _)
                | RefundCommand::Settle(refund)
                | RefundCommand::Fail(refund, _),
            ) => Some(ExternalRef::Refund(refund.clone())),
            _ => None,
        }
    }

    /// The Stripe object that the command books once, at whatever stage.
    #[must_use]
    pub fn reference(&self) -> Option<ExternalRef> {
        match self {
            // Only money that goes to suspense is booked under this reference.
            Self::Deposit(
                DepositCommand::SettlePayment(intent, _) | DepositCommand::SuspendPayment(intent, _),
            ) => Some(ExternalRef::LatePayment(intent.clone())),
            Self::SuspenseReturn(SuspenseReturnCommand::Begin(refund, ..)) => {
                Some(ExternalRef::RefundBegun(refund.clone()))
            }
            Self::SuspenseReturn(SuspenseReturnCommand::Succeed(refund, _)) => {
                Some(ExternalRef::Refund(refund.clone()))
            }
            Self::SuspenseReturn(SuspenseReturnCommand::Fail(refund, ..)) => {
                Some(ExternalRef::Return(Returned::Refund(refund.clone())))
            }
            Self::BookFee(entry) | Self::BookDispute(entry) => {
                Some(ExternalRef::BalanceTransaction(entry.id.clone()))
            }
            Self::RecordReversal(reversal, _)
            | Self::Withdrawal(WithdrawalCommand::RecordOutsideReversal(reversal, _)) => {
                Some(ExternalRef::TransferReversal(reversal.clone()))
            }
            Self::Note { once, .. } => once.clone(),
            _ => None,
        }
    }

    /// The kinds of references that decide about the command if its object already has one: Stripe reports a refund's states in any order, and
    /// a worker that brings an older state has to find the newer one.
    #[must_use]
    pub const fn depends_on(&self) -> &'static [RefKind] {
        match self {
            Self::SuspenseReturn(_) => &[RefKind::RefundBegun, RefKind::Refund, RefKind::Return],
            _ => &[],
        }
    }
}
