//! What a worker asks of a transaction.

use std::fmt;

use serde_json::Value;

use super::Event;
use crate::money::Money;
use crate::transactions::TimelineKind;

/// The stable first word of a failure reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCode {
    /// Too little money when it counted.
    InsufficientFunds,
    /// A wallet was deactivated meanwhile.
    WalletInactive,
    /// Two wallets of different currencies.
    CurrencyMismatch,
    /// The payee's balance would leave its range.
    LimitExceeded,
    /// The payer's bank or card refused.
    PaymentDeclined,
    /// The payment was cancelled or ran out.
    PaymentCancelled,
    /// The connected account cannot be paid, or is another person's.
    PayoutAccountRefused,
    /// The bank sent the payout back.
    PayoutFailed,
    /// Stripe refused for another reason.
    StripeRefused,
}

impl FailureCode {
    /// The word in `failureReason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "INSUFFICIENT_FUNDS",
            Self::WalletInactive => "WALLET_INACTIVE",
            Self::CurrencyMismatch => "CURRENCY_MISMATCH",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::PaymentDeclined => "PAYMENT_DECLINED",
            Self::PaymentCancelled => "PAYMENT_CANCELLED",
            Self::PayoutAccountRefused => "PAYOUT_ACCOUNT_REFUSED",
            Self::PayoutFailed => "PAYOUT_FAILED",
            Self::StripeRefused => "STRIPE_REFUSED",
        }
    }
}

/// Why a transaction ended without effect, as its owner reads it: `CODE: sentence`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureReason {
    /// The code.
    pub code: FailureCode,
    /// The sentence.
    pub sentence: String,
}

impl FailureReason {
    /// A reason.
    pub fn new(code: FailureCode, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.sentence)
    }
}

/// What a worker asks of a transaction. Each is idempotent: asked again, it finds that it has happened.
#[derive(Debug, Clone)]
pub enum Command {
    /// Transfer: move the money.
    Execute,
    /// Any flow: it can definitely not be done; what is held is given back.
    Refuse(FailureReason),
    /// Deposit: the payment intent exists.
    RecordIntent {
        /// `pi_…`
        intent: String,
        /// Sealed secret for the payer's client.
        sealed_client_secret: Option<String>,
        /// What the payer has to do, for the timeline.
        message: String,
    },
    /// Deposit: Stripe received money.
    SettlePayment {
        /// `pi_…`
        intent: String,
        /// What was received.
        received: Money,
    },
    /// Deposit: the intent was cancelled at Stripe.
    CancelIntent {
        /// `pi_…`
        intent: String,
        /// Why.
        reason: FailureReason,
    },
    /// Withdrawal: freeze the amount.
    Hold,
    /// Withdrawal: the transfer to the connected account was made.
    RecordTransfer {
        /// `tr_…`
        transfer: String,
    },
    /// Withdrawal: the payout was started.
    RecordPayout {
        /// `po_…`
        payout: String,
    },
    /// Withdrawal: the bank has the money.
    SettlePayout {
        /// `po_…`
        payout: String,
    },
    /// Withdrawal: the payout was refused, failed or was cancelled.
    FailPayout {
        /// `po_…`, when there is one.
        payout: Option<String>,
        /// Why.
        reason: FailureReason,
    },
    /// Withdrawal: the transfer was taken back.
    RecordReversal {
        /// `trr_…`
        reversal: String,
    },
    /// Any flow: only a line of the timeline.
    Note {
        /// What it is about.
        kind: TimelineKind,
        /// For the owner.
        message: String,
        /// For support.
        detail: Option<Value>,
    },
}

impl Command {
    /// The event of the state machine that the command is, if it is one whatever the transaction says.
    #[must_use]
    pub const fn event(&self) -> Option<Event> {
        match self {
            Self::Execute => Some(Event::Executed),
            Self::Refuse(_) => Some(Event::Refused),
            Self::RecordIntent { .. } => Some(Event::IntentCreated),
            // Which of two events a payment is depends on what was asked for.
            Self::SettlePayment { .. } | Self::Note { .. } => None,
            Self::CancelIntent { .. } => Some(Event::IntentCanceled),
            Self::Hold => Some(Event::HoldPlaced),
            Self::RecordTransfer { .. } => Some(Event::TransferCreated),
            Self::RecordPayout { .. } => Some(Event::PayoutCreated),
            Self::SettlePayout { .. } => Some(Event::PayoutPaid),
            Self::FailPayout { .. } => Some(Event::PayoutFailed),
            Self::RecordReversal { .. } => Some(Event::TransferReversed),
        }
    }
}
