//! The labels of the specification: the same words in SQL, in Rust and, in upper case, in GraphQL.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::db::types::{self, column_of};

/// The kind of movement that a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[derive(AsExpression, FromSqlRow, Display, EnumString, IntoStaticStr, VariantArray)]
#[diesel(sql_type = types::TransactionType)]
#[strum(serialize_all = "snake_case")]
pub enum TransactionType {
    /// Money from outside into a wallet, by a payment intent.
    Deposit,
    /// Money out of a wallet to its owner's bank.
    Withdrawal,
    /// Money from wallet to wallet.
    Transfer,
    /// Money from wallet to wallet with a platform fee.
    Payment,
    /// Money that goes back, or comes back: refunds, returns, disputes and payments of debts.
    Refund,
}

column_of!(TransactionType, types::TransactionType);

/// How far a transaction has come; the last three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[derive(AsExpression, FromSqlRow, Display, EnumString, IntoStaticStr, VariantArray)]
#[diesel(sql_type = types::TransactionStatus)]
#[strum(serialize_all = "snake_case")]
pub enum TransactionStatus {
    /// Accepted, nothing has happened yet.
    Pending,
    /// Under way; what it needs is held.
    Processing,
    /// Done.
    Completed,
    /// Ended without effect; the failure reason says why.
    Failed,
    /// Cancelled before anything irreversible happened; for a dispute: it ended and took nothing.
    Cancelled,
}

column_of!(TransactionStatus, types::TransactionStatus);

impl TransactionStatus {
    /// Whether it never changes again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// How a deposit is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[derive(AsExpression, FromSqlRow, Display, EnumString, IntoStaticStr, VariantArray)]
#[diesel(sql_type = types::PaymentMethod)]
#[strum(serialize_all = "snake_case")]
pub enum PaymentMethod {
    /// Whatever Stripe offers the payer.
    Stripe,
    /// The bank debit of the currency.
    BankTransfer,
    /// A card; credit and debit cards are treated alike.
    CreditCard,
    /// A card; credit and debit cards are treated alike.
    DebitCard,
}

column_of!(PaymentMethod, types::PaymentMethod);
