//! Why a payout account was not opened, named or changed.

use crate::accept::AcceptError;
use crate::db::{AsDbError, DbError};
use crate::stripe::CallError;

/// Why a payout account was not opened, named or changed; asking again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum PayeeError {
    /// Refused, by us or by Stripe: asking again will not help before something else changes.
    #[error(transparent)]
    Refused(#[from] AcceptError),
    /// Calls to Stripe are paused.
    #[error("calls to the payment provider are paused for {seconds} s")]
    Paused {
        /// When to ask again.
        seconds: u64,
    },
    /// Stripe, or the way to it, failed.
    #[error("the payment provider is away or has not answered")]
    Away(#[source] CallError),
    /// Something is wrong with us.
    #[error("a call to the payment provider could not be made")]
    Broken(#[source] CallError),
}

impl PayeeError {
    /// The state of things does not allow it; `sentence` says what would.
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
