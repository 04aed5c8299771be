//! The object types and enums of the schema.

mod connection;
mod cursor;
mod debts;
mod details;
mod enums;
mod event;
mod transaction;
mod wallet;

pub(crate) use debts::DebtsOfRequest;
pub(super) use enums::{
    Direction, FailureCode, PaymentMethod, TransactionFlow, TransactionStatus, TransactionType,
};
pub(super) use transaction::WalletTransaction;
pub(super) use wallet::WalletNode;
