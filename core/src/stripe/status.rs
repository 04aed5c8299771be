//! Stripe's statuses. A word we do not know is kept and decides nothing.

use strum::{AsRefStr, Display, EnumString};

/// How far a payment is. Only `succeeded` and `canceled` are final: a failed try goes back to `requires_payment_method`.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum PaymentIntentStatus {
    /// Nothing to pay with yet, or the last try failed.
    RequiresPaymentMethod,
    /// Ready to be confirmed.
    RequiresConfirmation,
    /// The payer must authenticate.
    RequiresAction,
    /// Under way; bank debits stay here for days.
    Processing,
    /// Authorised only.
    RequiresCapture,
    /// Given up; final.
    Canceled,
    /// Paid; final.
    Succeeded,
    /// A status of a newer API version: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

/// Why an intent was cancelled, by whoever cancelled it
/// (<https://docs.stripe.com/api/payment_intents/object#payment_intent_object-cancellation_reason>).
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum CancellationReason {
    /// Nobody paid in time; said by us.
    Abandoned,
    /// Nobody paid in time; said by Stripe.
    Expired,
    /// Somebody asked for it.
    RequestedByCustomer,
    /// A status of a newer API version: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

impl PaymentIntentStatus {
    /// Whether it never changes again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Canceled)
    }
}

/// How far a payout is. Even `paid` may become `failed` days later.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum PayoutStatus {
    /// Not yet sent.
    Pending,
    /// On its way.
    InTransit,
    /// Arrived, as far as Stripe knows.
    Paid,
    /// Came back.
    Failed,
    /// Taken back before it was sent.
    Canceled,
    /// A status of a newer API version: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

/// How far a transfer reversal is. Stripe tells it to platforms for which it holds reversals until the account has the money
/// (<https://docs.stripe.com/connect/pending-transfer-reversals>); for the others a reversal that exists has succeeded.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum ReversalStatus {
    /// It waits for money on the connected account, for up to 45 days.
    Pending,
    /// The money is on the platform's balance.
    Succeeded,
    /// The money did not come in time.
    Failed,
    /// The platform has given it up before.
    Canceled,
    /// A status of a newer API version: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

/// How far a refund is. Even `succeeded` may become `failed` days later
/// (<https://docs.stripe.com/refunds#failed-refunds>).
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum RefundStatus {
    /// Under way, or waiting for funds.
    Pending,
    /// The payer must say where the money shall go.
    RequiresAction,
    /// Sent to the payer's bank, as far as Stripe knows.
    Succeeded,
    /// Came back: the money is on the platform's balance again.
    Failed,
    /// Taken back before it was sent.
    Canceled,
    /// A status of a newer API version: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

/// How far a dispute is (<https://docs.stripe.com/api/disputes/object#dispute_object-status>). Only its balance transactions tell
/// which money has moved.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum DisputeStatus {
    /// An inquiry that asks for an answer; no money has moved.
    WarningNeedsResponse,
    /// An inquiry that was answered.
    WarningUnderReview,
    /// An inquiry that came to nothing.
    WarningClosed,
    /// The money was taken; the bank waits for evidence.
    NeedsResponse,
    /// The bank has the evidence.
    UnderReview,
    /// The money comes back.
    Won,
    /// The money is gone.
    Lost,
    /// Settled with the payer before it became a dispute.
    Prevented,
    /// A status of a newer API version: nothing may be decided by it.
    #[strum(default, transparent)]
    Unknown(String),
}

impl DisputeStatus {
    /// Whether it is over, as far as its name says; it may be turned round all the same.
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
