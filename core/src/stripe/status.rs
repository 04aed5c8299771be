//! Stripe's statuses. A word that we do not know is kept, and nothing is decided by it.

use strum::{AsRefStr, Display, EnumString};

/// The status of a payment. Only `succeeded` and `canceled` are final: a failed try returns to `requires_payment_method`.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum PaymentIntentStatus {
    /// No payment method was given yet, or the last try failed.
    RequiresPaymentMethod,
    /// It is ready to be confirmed.
    RequiresConfirmation,
    /// The payer must authenticate.
    RequiresAction,
    /// The payment is being processed; bank debits stay here for days.
    Processing,
    /// It is authorised only.
    RequiresCapture,
    /// It was cancelled; final.
    Canceled,
    /// It is paid; final.
    Succeeded,
    /// A status that we do not know, such as one of a newer API version: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

/// Why an intent was cancelled, whether by us or by others
/// (<https://docs.stripe.com/api/payment_intents/object#payment_intent_object-cancellation_reason>).
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum CancellationReason {
    /// It was not paid in time, and we cancelled it.
    Abandoned,
    /// It was not paid in time, and Stripe cancelled it.
    Expired,
    /// The cancellation was requested.
    RequestedByCustomer,
    /// Any other reason: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

impl PaymentIntentStatus {
    /// Returns whether the status can never change again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Canceled)
    }
}

/// The status of a payout. Even `paid` may become `failed` days later.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum PayoutStatus {
    /// It has not been sent yet.
    Pending,
    /// It is on its way to the bank.
    InTransit,
    /// It has arrived, as far as Stripe knows.
    Paid,
    /// The bank returned the money.
    Failed,
    /// It was cancelled before it was sent.
    Canceled,
    /// A status that we do not know, such as one of a newer API version: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

/// The status of a transfer reversal. Stripe returns it only to platforms for which it holds reversals until the account has the money
/// (<https://docs.stripe.com/connect/pending-transfer-reversals>); for all others a reversal that exists has succeeded.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum ReversalStatus {
    /// It waits for money on the connected account, for up to 45 days.
    Pending,
    /// The money is on the platform's balance.
    Succeeded,
    /// The money did not arrive in time.
    Failed,
    /// The platform cancelled it while it was pending.
    Canceled,
    /// A status that we do not know, such as one of a newer API version: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

/// The status of a refund. Even `succeeded` may become `failed` days later
/// (<https://docs.stripe.com/refunds#failed-refunds>).
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum RefundStatus {
    /// It is under way, or waits for funds.
    Pending,
    /// The payer must say where the money should go.
    RequiresAction,
    /// It was sent to the payer's bank, as far as Stripe knows.
    Succeeded,
    /// It was returned: the money is on the platform's balance again.
    Failed,
    /// It was cancelled before it was sent.
    Canceled,
    /// A status that we do not know, such as one of a newer API version: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

/// The status of a dispute (<https://docs.stripe.com/api/disputes/object#dispute_object-status>). Only its balance transactions
/// show which money has moved.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum DisputeStatus {
    /// An inquiry that needs an answer; no money has moved.
    WarningNeedsResponse,
    /// An inquiry that was answered.
    WarningUnderReview,
    /// An inquiry that was closed without becoming a dispute.
    WarningClosed,
    /// The money was taken; the bank waits for our evidence.
    NeedsResponse,
    /// The bank has the evidence.
    UnderReview,
    /// The dispute was won: the money is returned.
    Won,
    /// The dispute was lost: the money is gone.
    Lost,
    /// It was settled with the payer before it became a dispute.
    Prevented,
    /// A status that we do not know, such as one of a newer API version: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

impl DisputeStatus {
    /// Returns whether its name says that it is over; the outcome may still be reversed.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::WarningClosed | Self::Won | Self::Lost | Self::Prevented
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_tomorrow_keeps_its_word_and_is_not_final() {
        let status: PaymentIntentStatus = "requires_luck".parse().unwrap();
        assert_eq!(status, PaymentIntentStatus::Unknown("requires_luck".to_owned()));
        assert_eq!(status.to_string(), "requires_luck");
        assert!(!status.is_final());
        assert_eq!("in_transit".parse(), Ok(PayoutStatus::InTransit));
        assert_eq!(
            "charge_refunded".parse(),
            Ok(DisputeStatus::Unknown("charge_refunded".to_owned()))
        );
        assert_eq!("canceled".parse(), Ok(RefundStatus::Canceled));
    }
}
