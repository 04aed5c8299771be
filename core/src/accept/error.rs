//! The reasons why a request is not accepted; each is a code of the public contract.

use crate::crypto::CryptoError;
use crate::db::{AsDbError, DbError};
use crate::ids::stripe::AccountId;

/// The reason why a request is not accepted. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// A field of the input is wrong.
    #[error("{field} {problem}")]
    Validation {
        /// The field, as GraphQL names it.
        field: &'static str,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// The wallet does not exist, or is somebody else's.
    #[error("there is no such wallet")]
    WalletNotFound,
    /// The receiving wallet does not exist.
    #[error("toWalletId is the id of no wallet")]
    PayeeNotFound,
    /// The transaction does not exist, or is somebody else's.
    #[error("there is no such transaction")]
    TransactionNotFound,
    /// The wallet was deactivated.
    #[error("the wallet is not active; ask support to activate it")]
    WalletInactive,
    /// The receiving wallet was deactivated; only its owner can do something about that, not the sender.
    #[error("the receiving wallet takes no money at present; ask its owner for another one")]
    PayeeInactive,
    /// The spendable balance is below the requested amount.
    #[error("the wallet's balance is too low")]
    InsufficientFunds,
    /// The two wallets hold different currencies.
    #[error("the wallets hold different currencies")]
    CurrencyMismatch,
    /// The idempotency key was used for another request before.
    #[error("this idempotency key was used for another request; use a new one")]
    IdempotencyConflict,
    /// The current state does not allow the request; the sentence says why.
    #[error("{0}")]
    InvalidState(String),
    /// By Stripe's last report about the wallet's payout account, nothing can be paid out there; that may have changed since.
    #[error("{sentence}")]
    PayoutAccountNotReady {
        /// `acct_…`
        account: AccountId,
        /// The reason and the fix.
        sentence: String,
    },
    /// A limit of the person or of the wallet is reached.
    #[error("{0}")]
    LimitExceeded(String),
    /// The caller may not do this; the sentence says who may.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] DbError),
    /// Sealing failed.
    #[error("sealing failed")]
    Crypto(#[from] CryptoError),
}

impl AcceptError {
    /// Creates the error for a wrong field.
    pub fn validation(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Validation {
            field,
            problem: problem.into(),
        }
    }
}

impl AsDbError for AcceptError {
    fn as_db_error(&self) -> Option<&DbError> {
        match self {
            Self::Db(error) => Some(error),
            _ => None,
        }
    }
}
