//! Why a job did not come to its end.

use wallet_core::crypto::CryptoError;
use wallet_core::db::DbError;
use wallet_core::inbox::InboxError;
use wallet_core::jobs::WaitsFor;
use wallet_core::locks::LockError;
use wallet_core::stripe::{CallError, Disposition};

/// What the owner of a transaction reads while its lane is paused.
const LANE_CLOSED: &str = "the payment provider cannot be reached; waiting until it answers again";

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
    /// What the job waits for.
    pub(crate) fn waits_for(&self) -> WaitsFor {
        match self {
            Self::Park(_) => WaitsFor::Person,
            Self::Again(_)
            | Self::AfterAnother(_)
            | Self::AfterCall(_)
            | Self::Call(CallError::MadeNothing) => WaitsFor::Job,
            Self::NotYet(_) => WaitsFor::Event,
            Self::AfterFunds(_) => WaitsFor::Funds,
            Self::Crypto(error)
            | Self::Inbox(InboxError::Crypto(error))
            | Self::Call(CallError::Crypto(error))
                if !matches!(error, CryptoError::Store(_)) =>
            {
                WaitsFor::Keys
            }
            Self::Db(_)
            | Self::Inbox(_)
            | Self::Crypto(_)
            | Self::Call(CallError::Db(_) | CallError::Crypto(_)) => WaitsFor::Database,
            Self::Lock(_) => WaitsFor::Lock,
            Self::Call(CallError::LaneClosed(_)) => WaitsFor::ProviderAway,
            Self::Call(CallError::MoneyOutStopped) => WaitsFor::MoneyOut,
            Self::Call(error) if error.disposition() == Disposition::WaitForFunds => WaitsFor::Funds,
            Self::Call(error) => match error.stripe() {
                Some(error) if !error.class.waits_for_stripe() => WaitsFor::Permission,
                _ => WaitsFor::Provider,
            },
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
