//! Stripe's statuses. A word we do not know is kept and decides nothing.

use std::fmt;

macro_rules! status {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A status of a newer API version: nothing may be decided by it.
            Unknown(String),
        }

        impl $name {
            /// The status of Stripe's word.
            #[must_use]
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($text => Self::$variant,)+
                    other => Self::Unknown(other.to_owned()),
                }
            }

            /// Stripe's word.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown(name) => name,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

status! {
    /// How far a payment is. Only `succeeded` and `canceled` are final: a failed try goes back to `requires_payment_method`.
    PaymentIntentStatus {
        /// Nothing to pay with yet, or the last try failed.
        RequiresPaymentMethod = "requires_payment_method",
        /// Ready to be confirmed.
        RequiresConfirmation = "requires_confirmation",
        /// The payer must authenticate.
        RequiresAction = "requires_action",
        /// Under way; bank debits stay here for days.
        Processing = "processing",
        /// Authorised only.
        RequiresCapture = "requires_capture",
        /// Given up; final.
        Canceled = "canceled",
        /// Paid; final.
        Succeeded = "succeeded",
    }
}

status! {
    /// Why an intent was cancelled, by whoever cancelled it
    /// (<https://docs.stripe.com/api/payment_intents/object#payment_intent_object-cancellation_reason>).
    CancellationReason {
        /// Nobody paid in time; said by us.
        Abandoned = "abandoned",
        /// Nobody paid in time; said by Stripe.
        Expired = "expired",
        /// Somebody asked for it.
        RequestedByCustomer = "requested_by_customer",
    }
}

impl PaymentIntentStatus {
    /// Whether it never changes again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Canceled)
    }
}

status! {
    /// How far a payout is. Even `paid` may become `failed` days later.
    PayoutStatus {
        /// Not yet sent.
        Pending = "pending",
        /// On its way.
        InTransit = "in_transit",
        /// Arrived, as far as Stripe knows.
        Paid = "paid",
        /// Came back.
        Failed = "failed",
        /// Taken back before it was sent.
        Canceled = "canceled",
    }
}

status! {
    /// How far a transfer reversal is. Stripe tells it to platforms for which it holds reversals until the account has the money
    /// (<https://docs.stripe.com/connect/pending-transfer-reversals>); for the others a reversal that exists has succeeded.
    ReversalStatus {
        /// It waits for money on the connected account, for up to 45 days.
        Pending = "pending",
        /// The money is on the platform's balance.
        Succeeded = "succeeded",
        /// The money did not come in time.
        Failed = "failed",
        /// The platform has given it up before.
        Canceled = "canceled",
    }
}

status! {
    /// How far a refund is. Even `succeeded` may become `failed` days later
    /// (<https://docs.stripe.com/refunds#failed-refunds>).
    RefundStatus {
        /// Under way, or waiting for funds.
        Pending = "pending",
        /// The payer must say where the money shall go.
        RequiresAction = "requires_action",
        /// Sent to the payer's bank, as far as Stripe knows.
        Succeeded = "succeeded",
        /// Came back: the money is on the platform's balance again.
        Failed = "failed",
        /// Taken back before it was sent.
        Canceled = "canceled",
    }
}

status! {
    /// How far a dispute is (<https://docs.stripe.com/api/disputes/object#dispute_object-status>). Only its balance transactions tell
    /// which money has moved.
    DisputeStatus {
        /// An inquiry that asks for an answer; no money has moved.
        WarningNeedsResponse = "warning_needs_response",
        /// An inquiry that was answered.
        WarningUnderReview = "warning_under_review",
        /// An inquiry that came to nothing.
        WarningClosed = "warning_closed",
        /// The money was taken; the bank waits for evidence.
        NeedsResponse = "needs_response",
        /// The bank has the evidence.
        UnderReview = "under_review",
        /// The money comes back.
        Won = "won",
        /// The money is gone.
        Lost = "lost",
        /// Settled with the payer before it became a dispute.
        Prevented = "prevented",
    }
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
        let status = PaymentIntentStatus::from_name("requires_luck");
        assert_eq!(status, PaymentIntentStatus::Unknown("requires_luck".to_owned()));
        assert_eq!(status.to_string(), "requires_luck");
        assert!(!status.is_final());
        assert_eq!(PayoutStatus::from_name("in_transit"), PayoutStatus::InTransit);
        assert_eq!(
            DisputeStatus::from_name("charge_refunded"),
            DisputeStatus::Unknown("charge_refunded".to_owned())
        );
        assert_eq!(RefundStatus::from_name("canceled"), RefundStatus::Canceled);
    }
}
