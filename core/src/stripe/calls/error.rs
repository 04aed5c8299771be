//! Why a call brought no object, and what to do about it.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::crypto::CryptoError;
use crate::db::DbError;
use crate::stripe::breaker::LaneClosed;
use crate::stripe::errors::{Disposition, StripeError};
use crate::stripe::ids::IdempotencyKey;

/// How far the clocks of Stripe and of this system may lie apart.
pub const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

/// A key that can no longer tell whether its call had an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookUp {
    /// The key, for [`resolve_found`](crate::stripe::StripeCalls::resolve_found) and [`resolve_absent`](crate::stripe::StripeCalls::resolve_absent).
    pub key: IdempotencyKey,
    /// When it was first sent: the object, if there is one, was created then or later.
    pub first_tried_at: DateTime<Utc>,
}

impl LookUp {
    /// Whether an object of this age may have been made by the call: Stripe tells whole seconds, by a clock of its own.
    #[must_use]
    pub fn may_have_made(&self, created: DateTime<Utc>) -> bool {
        created.signed_duration_since(self.first_tried_at) > -CLOCKS_DIFFER
    }
}

impl fmt::Display for LookUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, first sent at {}", self.key, self.first_tried_at)
    }
}

/// Why a call brought no object.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Stripe, or the way to it, failed; the row of the call says how.
    #[error("the call to the payment provider failed")]
    Stripe(#[from] StripeError),
    /// The lane is paused; nothing was sent.
    #[error(transparent)]
    LaneClosed(#[from] LaneClosed),
    /// Nothing was sent: look for the object at Stripe by its metadata, then say what was found.
    #[error("the outcome of a call must be looked up ({0})")]
    LookUpFirst(LookUp),
    /// The row of the call could not be read or written. What was sent stays unknown until the next run.
    #[error("the record of a call could not be kept")]
    Db(#[from] DbError),
    /// The parameters could not be sealed or opened.
    #[error("the parameters of a call could not be sealed or opened")]
    Crypto(#[from] CryptoError),
    /// Somebody else has claimed the job: nothing was sent.
    #[error("the job was taken over by another worker")]
    ClaimVoid,
    /// Money-out is stopped: nothing was sent.
    #[error("{}", crate::money_out::WAITS)]
    MoneyOutStopped,
    /// The wallet was deactivated before the first try: nothing was sent, and nothing will be.
    #[error("the wallet is not active")]
    WalletInactive,
    /// Somebody has asked to cancel, and nothing was sent by this attempt: whoever asks for the call cancels instead.
    #[error("it is being cancelled")]
    CancelAsked,
    /// The stored parameters are not those of this operation.
    #[error("the stored parameters of a call cannot be read")]
    Params(#[source] serde_json::Error),
}

impl CallError {
    /// What to do about it.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Stripe(error) => error.disposition(),
            Self::LaneClosed(_) | Self::ClaimVoid | Self::MoneyOutStopped | Self::CancelAsked => {
                Disposition::RetrySameKey { counts: false }
            }
            Self::LookUpFirst(_) => Disposition::LookUp,
            Self::WalletInactive => Disposition::FailDefinite,
            Self::Db(_) | Self::Crypto(CryptoError::Store(_) | CryptoError::WrappingKeyMissing(_)) => {
                Disposition::RetrySameKey { counts: true }
            }
            Self::Crypto(_) | Self::Params(_) => Disposition::NeedsReview,
        }
    }
}
