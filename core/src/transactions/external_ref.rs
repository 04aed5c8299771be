//! External references: the Stripe objects that lead to a transaction, in the table `external_refs`.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{Display, EnumDiscriminants, EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;
use crate::ids::stripe::{
    BalanceTransactionId, DisputeId, PaymentIntentId, PayoutId, RefundId, ReversalId, StripeTransferId,
};

/// A Stripe object that leads to one transaction, and the way in which it does: one object can lead there in several ways.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EnumDiscriminants)]
#[strum_discriminants(
    name(RefKind),
    doc = "In which way an object leads to its transaction.",
    derive(Hash, AsExpression, FromSqlRow, Display, EnumString, IntoStaticStr, VariantArray),
    diesel(sql_type = Text),
    strum(serialize_all = "snake_case")
)]
pub enum ExternalRef {
    /// The payment intent of a deposit.
    PaymentIntent(PaymentIntentId),
    /// A payment intent whose money went to suspense: it was not what was asked for, or came after its deposit had ended.
    LatePayment(PaymentIntentId),
    /// The transfer of a withdrawal.
    Transfer(StripeTransferId),
    /// The reversal of a transfer.
    TransferReversal(ReversalId),
    /// The payout of a withdrawal.
    Payout(PayoutId),
    /// A payout whose owner has been notified that it is on its way.
    PayoutSent(PayoutId),
    /// A refund that is final, or that a transaction of its own was opened for.
    Refund(RefundId),
    /// A refund of money in suspense that has left the balance and is not final.
    RefundBegun(RefundId),
    /// A dispute.
    Dispute(DisputeId),
    /// A movement of a Stripe balance that was booked.
    BalanceTransaction(BalanceTransactionId),
    /// What returned the money of a failed refund or payout.
    Return(Returned),
}

/// What returned money: the movement of the balance, or the object itself if Stripe names no movement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Returned {
    /// The movement.
    Movement(BalanceTransactionId),
    /// The refund that has failed.
    Refund(RefundId),
    /// The payout that has failed.
    Payout(PayoutId),
}

column_of!(RefKind, Text);

impl RefKind {
    /// The kinds that stand for an object as such, which belongs to one transaction.
    pub const OBJECTS: [Self; 6] = [
        Self::PaymentIntent,
        Self::Transfer,
        Self::Payout,
        Self::TransferReversal,
        Self::Refund,
        Self::Dispute,
    ];
}

impl ExternalRef {
    /// The way in which it leads to its transaction.
    #[must_use]
    pub fn kind(&self) -> RefKind {
        self.into()
    }

    /// Its id at Stripe.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::PaymentIntent(id) | Self::LatePayment(id) => id.as_str(),
            Self::Transfer(id) => id.as_str(),
            Self::TransferReversal(id) => id.as_str(),
            Self::Payout(id) | Self::PayoutSent(id) | Self::Return(Returned::Payout(id)) => id.as_str(),
            Self::Refund(id) | Self::RefundBegun(id) | Self::Return(Returned::Refund(id)) => id.as_str(),
            Self::Dispute(id) => id.as_str(),
            Self::BalanceTransaction(id) | Self::Return(Returned::Movement(id)) => id.as_str(),
        }
    }
}
