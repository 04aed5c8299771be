//! The events of the state machines.

use strum::{EnumMessage, VariantArray};

/// An event that can happen to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumMessage, VariantArray)]
pub enum Event {
    /// The posting of a transfer, a payment, a return or a late movement of a dispute was made.
    Executed,
    /// It was cancelled, on request of its owner or an operator, before anything irreversible had happened.
    Cancelled,
    /// It can definitely not be done: too little money, a refusal by Stripe, a declined payment.
    Refused,
    /// The payment intent exists at Stripe.
    IntentCreated,
    /// Stripe received the money that was asked for.
    PaymentSucceeded,
    /// Stripe received something other than what was asked for.
    PaymentMismatched,
    /// An operator credited what was received instead.
    ReviewCredited,
    /// What was received instead went back to the payer: refunded at Stripe, or taken back by the payer's bank.
    ReviewReturned,
    /// The payment intent was cancelled at Stripe.
    IntentCanceled,
    /// The amount was held.
    HoldPlaced,
    /// The transfer to the connected account was made.
    TransferCreated,
    /// The payout to the bank was started.
    PayoutCreated,
    /// The bank has the money.
    PayoutPaid,
    /// The payout was refused, failed or was cancelled.
    PayoutFailed,
    /// The transfer was reversed.
    TransferReversed,
    /// The refund exists at Stripe.
    RefundCreated,
    /// The payer has the money.
    RefundSucceeded,
    /// The refund failed or was cancelled.
    RefundFailed,
    /// The payer's bank disputes the payment.
    DisputeOpened,
    /// The dispute, or the inquiry, ended, and nothing was taken for it.
    DisputeWon,
    /// The dispute ended, and money was taken for it.
    DisputeLost,
}

impl Event {
    /// Every event.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Its meaning: the text of its documentation.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }
}
