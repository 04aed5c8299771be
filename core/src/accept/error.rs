//! Why a request is not accepted; each is a code of the public contract.

use crate::crypto::CryptoError;
use crate::db::{AsDbError, DbError};
use crate::ids::stripe::AccountId;

/// Why a request is not accepted. Nothing was stored.
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
    /// No such wallet, or somebody else's.
    #[error("there is no such wallet")]
    WalletNotFound,
    /// No such wallet to receive.
    #[error("toWalletId is the id of no wallet")]
    PayeeNotFound,
    /// No such transaction, or somebody else's.
    #[error("there is no such transaction")]
    TransactionNotFound,
    /// The wallet was deactivated.
    #[error("the wallet is not active; ask support to activate it")]
    WalletInactive,
    /// The wallet that was to receive was deactivated: its owner's affair, and not the sender's to mend.
    #[error("the receiving wallet takes no money at present; ask its owner for another one")]
    PayeeInactive,
    /// Less is spendable than asked for.
    #[error("the wallet's balance is too low")]
    InsufficientFunds,
    /// Two wallets of different currencies.
    #[error("the wallets hold different currencies")]
    CurrencyMismatch,
    /// The key stood for another request before.
    #[error("this idempotency key was used for another request; use a new one")]
    IdempotencyConflict,
    /// The state of things does not allow it.
    #[error("{0}")]
    InvalidState(String),
    /// By what Stripe has told of the wallet's payout account, nothing can be paid out there; it may have changed since.
    #[error("{sentence}")]
    PayoutAccountNotReady {
        /// `acct_…`
        account: AccountId,
        /// Why, and what would help.
        sentence: String,
    },
    /// The person holds as much as one may.
    #[error("{0}")]
    LimitExceeded(String),
    /// Not for this person; the sentence says who may.
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
    /// A wrong field.
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
