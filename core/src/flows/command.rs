//! What a worker asks of a transaction.

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
    /// Gross, signed as the platform sees it.
    pub amount: Money,
    /// What Stripe charged for it.
    pub fee: Money,
    /// When the money is available to the platform.
    pub available_on: DateTime<Utc>,
}

/// What is said of a dispute that has ended (<https://docs.stripe.com/api/disputes/object#dispute_object-status>). Only its movements say
/// what became of the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeEnd {
    /// `won`: the bank has decided for the payee.
    Won,
    /// `lost`: the bank has decided for the payer.
    Lost,
    /// `warning_closed`: an inquiry came to nothing.
    InquiryClosed,
    /// `prevented`: it was settled before it became a dispute; rapid resolution does so by crediting the payer.
    Prevented,
}

impl DisputeEnd {
    /// Whether the words and the money agree. Settled beforehand, either may have come of it.
    #[must_use]
    pub fn fits(self, taken: Money) -> bool {
        match self {
            Self::Won | Self::InquiryClosed => !taken.is_positive(),
            Self::Lost => taken.is_positive(),
            Self::Prevented => true,
        }
    }
}

/// What a worker asks of a transaction. Each is idempotent: asked again, it finds that it has happened.
#[derive(Debug, Clone)]
pub enum Command {
    /// Any flow: only a line of the timeline.
    Note {
        /// What it is about.
        kind: TimelineKind,
        /// For the owner.
        message: String,
        /// For support.
        detail: Option<Value>,
        /// The stage of which it tells; at any other it comes too late and is left out.
        at: Stage,
        /// The reference under which it is told once, whoever else comes to tell it.
        once: Option<ExternalRef>,
    },
    /// Any flow that somebody has asked for: somebody wants it undone, if nothing irreversible has happened.
    Cancel(Canceller),
    /// The same flows: it can definitely not be done; what is held is given back.
    Refuse(FailureReason),
    /// Transfer, payment, refund of a payment, returned refund, payment of a debt: move the money.
    Execute,
    /// Withdrawal, refund of a deposit: freeze the amount.
    Hold,
    /// Deposit: what Stripe kept of the payment, and when the rest is available to the platform. Refund of a deposit, or of what lies in
    /// suspense for one: what Stripe charged for it.
    BookFee(BalanceEntry),
    /// Deposit, dispute, and what a dispute moves after its end: a movement of the platform's balance that Stripe made for a dispute.
    BookDispute(BalanceEntry),
    /// Deposit, dispute: what is left in suspense when nothing of its payment can be given back any more, such as what Stripe's other rate
    /// leaves of a payment that it has converted, is the platform's; below zero, its loss. It is all that lies there in this currency.
    CloseSuspense(Money),
    /// Returned payout: the money is on the connected account, for this reason, and is taken back from there.
    BeginPayoutReturn(FailureReason),
    /// Withdrawal, returned payout: this reversal took so much of the transfer, and nothing is left to take back; what others took of it is
    /// booked for itself.
    RecordReversal(ReversalId, Money),
    /// A deposit's own.
    Deposit(DepositCommand),
    /// A deposit's: a refund of what lies in suspense for it.
    SuspenseReturn(SuspenseReturnCommand),
    /// A withdrawal's own.
    Withdrawal(WithdrawalCommand),
    /// A refund's of a deposit, by us or by others.
    Refund(RefundCommand),
    /// A dispute's own.
    Dispute(DisputeCommand),
}

/// Whoever tells something to one flow names only what that is told.
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
    /// The event of the state machine that the command is, if it is one whatever the transaction says.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        match self {
            // Which of two events a payment is depends on what was asked for; the others move no stage.
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

    /// Whether it can take more of a wallet than the wallet has, so that its owner owes the rest.
    #[must_use]
    pub const fn may_owe(&self) -> bool {
        matches!(
            self,
            Self::Dispute(_)
                | Self::BookDispute(_)
                | Self::Refund(RefundCommand::Record(..) | RefundCommand::Settle(..))
        )
    }

    /// Whether what lies in suspense decides about it.
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

    /// The Stripe object that from the command on leads to its transaction, and so may lead to no other.
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

    /// The Stripe object that the command books once, whatever the stage.
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

    /// Ways in which its object may lead to the transaction already that also decide about it: Stripe tells of a refund's states in any
    /// order, and whoever comes with an older one has to find that.
    #[must_use]
    pub const fn depends_on(&self) -> &'static [RefKind] {
        match self {
            Self::SuspenseReturn(_) => &[RefKind::RefundBegun, RefKind::Refund, RefKind::Return],
            _ => &[],
        }
    }
}
