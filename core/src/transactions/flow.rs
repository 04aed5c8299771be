//! The flows: each has one table of edges and belongs to one type of transaction.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

use super::TransactionType;

/// The state machine that a transaction walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[derive(AsExpression, FromSqlRow)]
#[derive(EnumMessage, EnumString, IntoStaticStr, VariantArray)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum Flow {
    /// Money from outside into a wallet.
    Deposit,
    /// Money out of a wallet to its owner's bank.
    Withdrawal,
    /// Money from wallet to wallet.
    Transfer,
    /// Money from wallet to wallet, from which the platform keeps a fee.
    Payment,
    /// All or a part of a payment back to the payer, with its part of the fee.
    PaymentRefund,
    /// All or a part of a deposit back to the payer's card or bank.
    DepositRefund,
    /// A refund of a deposit that was made at Stripe by somebody else, such as in its dashboard.
    OutsideRefund,
    /// A refund that failed after it had succeeded.
    RefundReturn,
    /// A payout that failed after it had been paid.
    PayoutReturn,
    /// The payer's bank wants a deposit back.
    Dispute,
    /// What a dispute returned after its end: the decision was reversed, or the money came late.
    DisputeReturn,
    /// What a dispute took after its end: the decision was reversed, or the money went late.
    DisputeLoss,
    /// What is collected from a wallet for its owner's debt to the platform.
    DebtPayment,
}

column_of!(Flow, Text);

impl Flow {
    /// The type that clients see.
    #[must_use]
    pub const fn transaction_type(self) -> TransactionType {
        match self {
            Self::Deposit => TransactionType::Deposit,
            Self::Withdrawal => TransactionType::Withdrawal,
            Self::Transfer => TransactionType::Transfer,
            Self::Payment => TransactionType::Payment,
            Self::PaymentRefund
            | Self::DepositRefund
            | Self::OutsideRefund
            | Self::RefundReturn
            | Self::PayoutReturn
            | Self::Dispute
            | Self::DisputeReturn
            | Self::DisputeLoss
            | Self::DebtPayment => TransactionType::Refund,
        }
    }

    /// Its meaning: the text of its documentation.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }

    /// The flow of a row that was written by a version without this column; `None` for a refund, which no such version knew.
    #[must_use]
    pub const fn of_type(kind: TransactionType) -> Option<Self> {
        match kind {
            TransactionType::Deposit => Some(Self::Deposit),
            TransactionType::Withdrawal => Some(Self::Withdrawal),
            TransactionType::Transfer => Some(Self::Transfer),
            TransactionType::Payment => Some(Self::Payment),
            TransactionType::Refund => None,
        }
    }

    /// Whether it gives back money of another transaction, and so counts against what is left of that one.
    #[must_use]
    pub const fn gives_back(self) -> bool {
        matches!(
            self,
            Self::PaymentRefund | Self::DepositRefund | Self::OutsideRefund | Self::Dispute
        )
    }

    /// Whether it is what a dispute moved after its end.
    #[must_use]
    pub const fn is_dispute_turn(self) -> bool {
        matches!(self, Self::DisputeReturn | Self::DisputeLoss)
    }
}
