//! Why a call returned no object, and what to do about it.

use chrono::TimeDelta;

use crate::crypto::CryptoError;
use crate::db::DbError;
use crate::stripe::breaker::LaneClosed;
use crate::stripe::errors::{Disposition, StripeError};

/// How far the clocks of Stripe and of this system may differ.
pub const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

/// Why a call returned no object.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Stripe, or the connection to it, failed; the row of the call records how.
    #[error("the call to the payment provider failed")]
    Stripe(#[from] StripeError),
    /// The lane is paused; nothing was sent.
    #[error(transparent)]
    LaneClosed(#[from] LaneClosed),
    /// The look-up of what an earlier call has made failed: the outcome of that call stays unknown.
    #[error("it could not be found out what an earlier call has made")]
    NotFoundOut(#[source] StripeError),
    /// A look-up has shown that the call, as it was sent before, has made nothing: the caller decides again.
    #[error("an earlier call has made nothing")]
    MadeNothing,
    /// The row of the call could not be read or written. What was sent has an unknown outcome until the next run.
    #[error("the record of a call could not be kept")]
    Db(#[from] DbError),
    /// The parameters could not be sealed or opened.
    #[error("the parameters of a call could not be sealed or opened")]
    Crypto(#[from] CryptoError),
    /// Another worker has claimed the job: nothing was sent.
    #[error("the job was taken over by another worker")]
    ClaimVoid,
    /// Money-out is stopped: nothing was sent.
    #[error("{}", crate::money_out::WAITS)]
    MoneyOutStopped,
    /// The wallet was deactivated before the first try: nothing was sent, and nothing will be sent.
    #[error("the wallet is not active")]
    WalletInactive,
    /// A cancellation was requested, and this attempt has sent nothing: the caller cancels the transaction instead.
    #[error("it is being cancelled")]
    CancelAsked,
    /// The stored parameters do not belong to this operation.
    #[error("the stored parameters of a call cannot be read")]
    Params(#[source] serde_json::Error),
}

impl CallError {
    /// Returns the failure of Stripe, or of the connection to it, if that is the cause.
    #[must_use]
    pub const fn stripe(&self) -> Option<&StripeError> {
        match self {
            Self::Stripe(error) | Self::NotFoundOut(error) => Some(error),
            _ => None,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Stripe(error) => error.disposition(),
            Self::NotFoundOut(error) => match error.disposition() {
                Disposition::FailDefinite => Disposition::NeedsReview,
                disposition => disposition,
            },
            Self::LaneClosed(_)
            | Self::ClaimVoid
            | Self::MoneyOutStopped
            | Self::CancelAsked
            | Self::MadeNothing => Disposition::RetrySameKey { counts: false },
            Self::WalletInactive => Disposition::FailDefinite,
            Self::Db(_) | Self::Crypto(CryptoError::Store(_) | CryptoError::WrappingKeyMissing(_)) => {
                Disposition::RetrySameKey { counts: true }
            }
            Self::Crypto(_) | Self::Params(_) => Disposition::NeedsReview,
        }
    }
}
