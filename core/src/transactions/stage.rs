//! The stages of a transaction.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

use super::TransactionStatus;

/// Where exactly a transaction is; its status is what that means to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[derive(AsExpression, FromSqlRow)]
#[derive(EnumMessage, EnumString, IntoStaticStr, VariantArray)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum Stage {
    /// Stored, nothing has happened yet.
    Accepted,
    /// Deposit: the payment intent exists, Stripe has not reported the money.
    AwaitingPayment,
    /// Deposit: what was received is not what was asked for; it lies in suspense until an operator decides.
    InReview,
    /// Withdrawal, refund of a deposit: the amount is held.
    Held,
    /// Withdrawal: the amount is on the connected account.
    Transferred,
    /// Withdrawal: the payout to the bank is under way.
    PayingOut,
    /// Withdrawal, returned payout: the payout failed, the transfer is being reversed.
    Returning,
    /// Refund of a deposit, outside refund: the refund exists at Stripe and is not final.
    Refunding,
    /// Dispute: the disputed amount is held or owed until the bank decides.
    Disputed,
    /// Done.
    Completed,
    /// Ended without effect.
    Failed,
    /// Cancelled; for a dispute: ended, and nothing was taken.
    Cancelled,
}

column_of!(Stage, Text);

impl Stage {
    /// The status that the stage has for clients.
    #[must_use]
    pub const fn status(self) -> TransactionStatus {
        match self {
            Self::Accepted => TransactionStatus::Pending,
            Self::AwaitingPayment
            | Self::InReview
            | Self::Held
            | Self::Transferred
            | Self::PayingOut
            | Self::Returning
            | Self::Refunding
            | Self::Disputed => TransactionStatus::Processing,
            Self::Completed => TransactionStatus::Completed,
            Self::Failed => TransactionStatus::Failed,
            Self::Cancelled => TransactionStatus::Cancelled,
        }
    }

    /// Its meaning: the text of its documentation.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }
}
