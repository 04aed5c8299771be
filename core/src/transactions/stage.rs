//! Where a transaction can be.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

use super::TransactionStatus;

/// Where exactly a transaction is; the status is what this means to a client.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
    AsExpression,
    FromSqlRow,
)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum Stage {
    /// Stored, nothing has happened yet.
    Accepted,
    /// Deposit: the payment intent exists, Stripe has not told of the money.
    AwaitingPayment,
    /// Deposit: what was received is not what was asked for; it lies in suspense and a person decides.
    InReview,
    /// Withdrawal, refund of a deposit: the amount is frozen.
    Held,
    /// Withdrawal: the amount is on the connected account.
    Transferred,
    /// Withdrawal: the payout to the bank is under way.
    PayingOut,
    /// Withdrawal, returned payout: the payout failed, the transfer is being taken back.
    Returning,
    /// Refund of a deposit, outside refund: the refund exists at Stripe and is not final.
    Refunding,
    /// Dispute: what is in dispute is frozen or owed until the bank decides.
    Disputed,
    /// Done.
    Completed,
    /// Ended without effect.
    Failed,
    /// Taken back.
    Cancelled,
}

column_of!(Stage, Text);

impl Stage {
    /// The status it means.
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

    /// What it is: the words of its documentation.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }
}
