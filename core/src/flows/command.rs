//! What a worker asks of a transaction.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Event, FailureReason};
use crate::ids::stripe::{
    BalanceTransactionId, PaymentIntentId, PayoutId, RefundId, ReversalId, StripeTransferId,
};
use crate::money::Money;
use crate::transactions::{Canceller, ExternalRef, RefKind, Returned, Stage, TimelineKind};

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
    /// Transfer, payment, refund of a payment, returned refund: move the money.
    Execute,
    /// Any flow: somebody wants it undone, if nothing irreversible has happened.
    Cancel(Canceller),
    /// Any flow: it can definitely not be done; what is held is given back.
    Refuse(FailureReason),
    /// Deposit: the payment intent exists.
    RecordIntent {
        /// `pi_…`
        intent: PaymentIntentId,
        /// Sealed secret for the payer's client.
        sealed_client_secret: Option<String>,
        /// What the payer has to do, for the timeline.
        message: String,
    },
    /// Deposit: Stripe received money.
    SettlePayment {
        /// `pi_…`
        intent: PaymentIntentId,
        /// What was received.
        received: Money,
    },
    /// Deposit: Stripe received money by an intent that names the deposit, and that no call of ours has made.
    SuspendPayment {
        /// `pi_…`
        intent: PaymentIntentId,
        /// What was received.
        received: Money,
    },
    /// Deposit: the intent was cancelled at Stripe.
    CancelIntent {
        /// `pi_…`
        intent: PaymentIntentId,
        /// Why.
        reason: FailureReason,
    },
    /// Deposit in review: credit what was received instead.
    CreditReview {
        /// How much of what lies in suspense.
        amount: Money,
    },
    /// Deposit: a refund of what lies in suspense has been made at Stripe, which has taken its money from the balance, and is not final.
    BeginReturn {
        /// `re_…`
        refund: RefundId,
        /// How much.
        amount: Money,
        /// What is waited for, for the timeline.
        message: String,
    },
    /// Deposit: what lies in suspense was refunded at Stripe.
    ReturnSuspense {
        /// `re_…`
        refund: RefundId,
        /// How much.
        amount: Money,
    },
    /// Deposit: a refund of what lies in suspense failed or was cancelled, perhaps after it had succeeded.
    FailReturn {
        /// `re_…`
        refund: RefundId,
        /// How much.
        amount: Money,
        /// Why, for the timeline.
        message: String,
    },
    /// Deposit: what is left in suspense when nothing of its payment can be given back any more, such as what Stripe's other rate leaves of a
    /// payment that it has converted, is the platform's; below zero, its loss.
    CloseSuspense {
        /// All that lies there in this currency.
        amount: Money,
    },
    /// Deposit: what Stripe kept of the payment, and when the rest is available to the platform. Refund of a deposit, or of what lies in
    /// suspense for one: what Stripe charged for it.
    BookFee(BalanceEntry),
    /// Withdrawal, refund of a deposit: freeze the amount.
    Hold,
    /// Withdrawal: the transfer to the connected account was made.
    RecordTransfer {
        /// `tr_…`
        transfer: StripeTransferId,
    },
    /// Withdrawal: the payout was started.
    RecordPayout {
        /// `po_…`
        payout: PayoutId,
    },
    /// Withdrawal: the bank has the money.
    SettlePayout {
        /// `po_…`, when it is one of ours.
        payout: Option<PayoutId>,
    },
    /// Withdrawal: the payout was refused, failed or was cancelled.
    FailPayout {
        /// `po_…`, when there is one.
        payout: Option<PayoutId>,
        /// Why.
        reason: FailureReason,
    },
    /// Withdrawal, returned payout: of the transfer nothing is left to take back; what others took of it is booked for itself.
    RecordReversal {
        /// `trr_…`
        reversal: ReversalId,
        /// How much this reversal took.
        amount: Money,
    },
    /// Withdrawal: somebody else took the transfer, or a part of it, back.
    RecordOutsideReversal {
        /// `trr_…`
        reversal: ReversalId,
        /// How much.
        amount: Money,
    },
    /// Refund of a deposit: it exists at Stripe and is not final.
    RecordRefund {
        /// `re_…`
        refund: RefundId,
        /// What is waited for, for the timeline.
        message: String,
    },
    /// Refund of a deposit: the payer has the money.
    SettleRefund {
        /// `re_…`
        refund: RefundId,
    },
    /// Refund of a deposit: it failed or was cancelled.
    FailRefund {
        /// `re_…`
        refund: RefundId,
        /// Why.
        reason: FailureReason,
    },
    /// Dispute: the bank has taken it up.
    OpenDispute {
        /// What Stripe has taken for it so far, all its movements together; none before it has told of any.
        taken: Option<Money>,
    },
    /// Dispute: it has ended.
    EndDispute {
        /// What is said of it.
        said: DisputeEnd,
        /// What Stripe took for it, all its movements together: this decides, whatever is said.
        taken: Money,
    },
    /// Dispute, and what a dispute moves after its end: a movement of the platform's balance that Stripe made for it.
    BookDispute(BalanceEntry),
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
}

impl Command {
    /// The event of the state machine that the command is, if it is one whatever the transaction says.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        match self {
            Self::Execute => Some(Event::Executed),
            Self::Cancel(_) => Some(Event::Cancelled),
            Self::Refuse(_) => Some(Event::Refused),
            Self::RecordIntent { .. } => Some(Event::IntentCreated),
            // Which of two events a payment is depends on what was asked for; the others move no stage.
            Self::SettlePayment { .. }
            | Self::SuspendPayment { .. }
            | Self::BookFee(_)
            | Self::BookDispute(_)
            | Self::RecordOutsideReversal { .. }
            | Self::BeginReturn { .. }
            | Self::FailReturn { .. }
            | Self::Note { .. } => None,
            Self::CreditReview { .. } => Some(Event::ReviewCredited),
            Self::ReturnSuspense { .. } | Self::CloseSuspense { .. } => Some(Event::ReviewReturned),
            Self::CancelIntent { .. } => Some(Event::IntentCanceled),
            Self::Hold => Some(Event::HoldPlaced),
            Self::RecordTransfer { .. } => Some(Event::TransferCreated),
            Self::RecordPayout { .. } => Some(Event::PayoutCreated),
            Self::SettlePayout { .. } => Some(Event::PayoutPaid),
            Self::FailPayout { .. } => Some(Event::PayoutFailed),
            Self::RecordReversal { .. } => Some(Event::TransferReversed),
            Self::RecordRefund { .. } => Some(Event::RefundCreated),
            Self::SettleRefund { .. } => Some(Event::RefundSucceeded),
            Self::FailRefund { .. } => Some(Event::RefundFailed),
            Self::OpenDispute { .. } => Some(Event::DisputeOpened),
            Self::EndDispute { taken, .. } if taken.is_positive() => Some(Event::DisputeLost),
            Self::EndDispute { .. } => Some(Event::DisputeWon),
        }
    }

    /// Whether it can take more of a wallet than the wallet has, so that its owner owes the rest.
    #[must_use]
    pub const fn may_owe(&self) -> bool {
        matches!(
            self,
            Self::OpenDispute { .. }
                | Self::EndDispute { .. }
                | Self::BookDispute(_)
                | Self::RecordRefund { .. }
                | Self::SettleRefund { .. }
        )
    }

    /// Whether what lies in suspense decides about it.
    #[must_use]
    pub const fn concerns_suspense(&self) -> bool {
        matches!(
            self,
            Self::CreditReview { .. }
                | Self::BeginReturn { .. }
                | Self::ReturnSuspense { .. }
                | Self::CloseSuspense { .. }
                | Self::FailReturn { .. }
                | Self::BookDispute(_)
                | Self::EndDispute { .. }
        )
    }

    /// The Stripe object that from the command on leads to its transaction, and so may lead to no other.
    #[must_use]
    pub fn object(&self) -> Option<ExternalRef> {
        match self {
            Self::RecordIntent { intent, .. }
            | Self::SettlePayment { intent, .. }
            | Self::SuspendPayment { intent, .. }
            | Self::CancelIntent { intent, .. } => Some(ExternalRef::PaymentIntent(intent.clone())),
            Self::RecordTransfer { transfer } => Some(ExternalRef::Transfer(transfer.clone())),
            Self::RecordPayout { payout }
            | Self::SettlePayout { payout: Some(payout) }
            | Self::FailPayout {
                payout: Some(payout), ..
            } => Some(ExternalRef::Payout(payout.clone())),
            Self::RecordRefund { refund, .. }
            | Self::SettleRefund { refund }
            | Self::FailRefund { refund, .. } => Some(ExternalRef::Refund(refund.clone())),
            _ => None,
        }
    }

    /// The Stripe object that the command books once, whatever the stage.
    #[must_use]
    pub fn reference(&self) -> Option<ExternalRef> {
        match self {
            // Only money that goes to suspense is booked under this reference.
            Self::SettlePayment { intent, .. } | Self::SuspendPayment { intent, .. } => {
                Some(ExternalRef::LatePayment(intent.clone()))
            }
            Self::BeginReturn { refund, .. } => Some(ExternalRef::RefundBegun(refund.clone())),
            Self::ReturnSuspense { refund, .. } => Some(ExternalRef::Refund(refund.clone())),
            Self::FailReturn { refund, .. } => Some(ExternalRef::Return(Returned::Refund(refund.clone()))),
            Self::BookFee(entry) | Self::BookDispute(entry) => {
                Some(ExternalRef::BalanceTransaction(entry.id.clone()))
            }
            Self::RecordReversal { reversal, .. } | Self::RecordOutsideReversal { reversal, .. } => {
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
            Self::BeginReturn { .. } | Self::ReturnSuspense { .. } | Self::FailReturn { .. } => {
                &[RefKind::RefundBegun, RefKind::Refund, RefKind::Return]
            }
            _ => &[],
        }
    }
}
