//! The reasons why a payout account was not opened, named or changed.

use crate::accept::AcceptError;
use crate::db::{AsDbError, DbError};
use crate::stripe::CallError;

/// The reason why a payout account was not opened, named or changed; repeating the request is always safe.
#[derive(Debug, thiserror::Error)]
pub enum PayeeError {
    /// Refused, by us or by Stripe: repeating the request does not help until something else has changed.
    #[error(transparent)]
    Refused(#[from] AcceptError),
    /// Calls to Stripe are paused.
    #[error("calls to the payment provider are paused for {seconds} s")]
    Paused {
        /// The number of seconds after which to try again.
        seconds: u64,
    },
    /// Stripe, or the connection to it, failed.
    #[error("the payment provider is away or has not answered")]
    Away(#[source] CallError),
    /// Something is wrong on our side.
    #[error("a call to the payment provider could not be made")]
    Broken(#[source] CallError),
}

impl PayeeError {
    /// Creates the refusal of a request that the current state does not allow; `sentence` says what would help.
    pub(super) fn invalid_state(sentence: impl Into<String>) -> Self {
        Self::Refused(AcceptError::InvalidState(sentence.into()))
    }
}

impl From<DbError> for PayeeError {
    fn from(error: DbError) -> Self {
        Self::Refused(error.into())
    }
}

impl AsDbError for PayeeError {
    fn as_db_error(&self) -> Option<&DbError> {
        match self {
            Self::Refused(error) => error.as_db_error(),
            _ => None,
        }
    }
}
