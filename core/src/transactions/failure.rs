//! The reasons why a transaction ended without effect.

use std::fmt;

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::Canceller;
use crate::text_limits::{MOST_REASON, shortened};

/// The stable first word of a failure reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCode {
    /// The balance was too low when the money was to move.
    InsufficientFunds,
    /// A wallet was deactivated after the request was accepted.
    WalletInactive,
    /// The two wallets hold different currencies.
    CurrencyMismatch,
    /// The payee's balance would leave its range.
    LimitExceeded,
    /// The payer's bank or card refused the payment.
    PaymentDeclined,
    /// The payment was cancelled.
    PaymentCancelled,
    /// The connected account cannot be paid, or is another person's.
    PayoutAccountRefused,
    /// The bank returned the payout, Stripe refused to make it, or its transfer was reversed.
    PayoutFailed,
    /// Stripe refused for another reason.
    StripeRefused,
    /// Its owner cancelled it.
    CancelledByOwner,
    /// An operator cancelled it.
    CancelledByOperator,
    /// It was not paid in time.
    PaymentExpired,
    /// The refund is larger than what is left of the original.
    RefundExceedsOriginal,
    /// The payer's bank disputes the payment: it decides first.
    Disputed,
    /// The refund did not reach the payer.
    RefundFailed,
    /// The dispute ended in the payee's favour.
    DisputeWon,
    /// The dispute, or the inquiry, ended without a decision for the payee, and nothing was taken.
    DisputeClosed,
    /// What was received instead of the deposit was returned to the payer.
    ReturnedToPayer,
}

impl FailureCode {
    /// All of them.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Parses the code of a stored reason; `None` if an older program wrote it in another form.
    #[must_use]
    pub fn of_reason(text: &str) -> Option<Self> {
        let (word, _) = text.split_once(": ")?;
        word.parse().ok()
    }

    /// The code's name, as it stands in `failureReason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The reason why a transaction ended without effect, as its owner reads it: `CODE: sentence`, at most [`MOST_REASON`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureReason {
    /// The code.
    pub code: FailureCode,
    /// The sentence.
    pub sentence: String,
}

impl FailureReason {
    /// Creates a reason.
    pub fn new(code: FailureCode, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
        }
    }

    /// Creates the reason of a transaction that was cancelled `before` something.
    #[must_use]
    pub fn cancelled(by: Canceller, before: &str) -> Self {
        match by {
            Canceller::Owner => Self::new(
                FailureCode::CancelledByOwner,
                format!("cancelled before {before}"),
            ),
            Canceller::Operator => Self::new(
                FailureCode::CancelledByOperator,
                format!("support cancelled it before {before}"),
            ),
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = format!("{}: {}", self.code.as_str(), self.sentence);
        f.write_str(&shortened(&whole, MOST_REASON))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banks_long_words_are_cut_and_the_code_stays() {
        let reason = FailureReason::new(FailureCode::PaymentDeclined, "no ".repeat(2_000)).to_string();
        assert!(reason.len() <= MOST_REASON && reason.ends_with('…'), "{reason}");
        assert_eq!(
            FailureCode::of_reason(&reason),
            Some(FailureCode::PaymentDeclined)
        );
    }

    #[test]
    fn the_code_of_a_reason_is_read_back() {
        for &code in FailureCode::ALL {
            let reason = FailureReason::new(code, "a sentence: with a colon").to_string();
            assert_eq!(FailureCode::of_reason(&reason), Some(code), "{reason}");
        }
        for other in [
            "",
            "PAYOUT_FAILED",
            "SOMETHING_ELSE: a sentence",
            "payout_failed: a sentence",
            ": x",
        ] {
            assert_eq!(FailureCode::of_reason(other), None, "{other}");
        }
    }
}
