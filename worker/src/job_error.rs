//! Why a job did not come to its end.

use wallet_core::crypto::CryptoError;
use wallet_core::db::DbError;
use wallet_core::inbox::InboxError;
use wallet_core::locks::LockError;
use wallet_core::stripe::{CallError, Disposition};

/// What the owner of a transaction reads while its lane is paused.
pub(crate) const LANE_CLOSED: &str = "the payment provider cannot be reached; waiting until it answers again";

/// What a transfer waits for whose wallet somebody else has locked.
pub(crate) const LOCK: &str = "lock";

/// Why a job did not come to its end this time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// A person has to look: the transaction stays as it is, with the funds held.
    #[error("{0}")]
    Park(String),
    /// The way is clear again at once, for example after a look-up.
    #[error("{0}")]
    Again(&'static str),
    /// What it needs has not happened yet outside.
    #[error("{0}")]
    NotYet(&'static str),
    /// Another job of ours has to come further first; the database tells.
    #[error("{0}")]
    AfterAnother(&'static str),
    /// A call of ours to Stripe has to be decided first; its own job tells a person when that does not come.
    #[error("{0}")]
    AfterCall(&'static str),
    /// What it has made at Stripe waits for money that is not ours, for weeks perhaps.
    #[error("{0}")]
    AfterFunds(&'static str),
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] DbError),
    /// The wallets are locked by somebody else, or the lock nodes are away.
    #[error("waiting for the lock")]
    Lock(#[from] LockError),
    /// A call to Stripe brought nothing that the job can decide by.
    #[error("{}", call_sentence(.0))]
    Call(#[from] CallError),
    /// An event could not be stored.
    #[error("the event could not be stored")]
    Inbox(#[from] InboxError),
    /// Sealing or opening failed.
    #[error("personal details cannot be opened or sealed at present; support has been told")]
    Crypto(#[from] CryptoError),
}

impl JobError {
    /// What is waited for, as a word that lines of the timeline are told apart by.
    pub(crate) fn waits_for(&self) -> &'static str {
        match self {
            Self::Park(_) => "person",
            Self::Again(_)
            | Self::AfterAnother(_)
            | Self::AfterCall(_)
            | Self::Call(CallError::MadeNothing) => "job",
            Self::NotYet(_) => "event",
            Self::AfterFunds(_) => "funds",
            Self::Crypto(error)
            | Self::Inbox(InboxError::Crypto(error))
            | Self::Call(CallError::Crypto(error))
                if !matches!(error, CryptoError::Store(_)) =>
            {
                "keys"
            }
            Self::Db(_)
            | Self::Inbox(_)
            | Self::Crypto(_)
            | Self::Call(CallError::Db(_) | CallError::Crypto(_)) => "database",
            Self::Lock(_) => LOCK,
            Self::Call(CallError::LaneClosed(_)) => "provider_away",
            Self::Call(CallError::MoneyOutStopped) => "money_out",
            Self::Call(error) if error.disposition() == Disposition::WaitForFunds => "funds",
            Self::Call(_) => "provider",
        }
    }
}

fn call_sentence(error: &CallError) -> String {
    match error {
        CallError::Stripe(error) | CallError::NotFoundOut(error) => error.class.sentence().to_owned(),
        CallError::LaneClosed(_) => LANE_CLOSED.to_owned(),
        other => other.to_string(),
    }
}
