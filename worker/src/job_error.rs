//! Why a job did not finish.

use wallet_core::crypto::CryptoError;
use wallet_core::db::DbError;
use wallet_core::inbox::InboxError;
use wallet_core::jobs::WaitsFor;
use wallet_core::locks::LockError;
use wallet_core::stripe::{CallError, Disposition};

/// What the owner of a transaction reads while its lane is paused.
const LANE_CLOSED: &str = "the payment provider cannot be reached; waiting until it answers again";

/// Why a job did not finish this time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// An operator must decide: the transaction stays as it is, with the funds held.
    #[error("{0}")]
    Park(String),
    /// The job can run again at once, for example after a look-up.
    #[error("{0}")]
    Again(&'static str),
    /// Something outside this system that the job needs has not happened yet.
    #[error("{0}")]
    NotYet(&'static str),
    /// Another job of this system has to progress first; the database shows when.
    #[error("{0}")]
    AfterAnother(&'static str),
    /// One of our own calls to Stripe has to be decided first; if that never happens, the call's own job raises the alarm.
    #[error("{0}")]
    AfterCall(&'static str),
    /// What the job has made at Stripe waits for money that is not ours, perhaps for weeks.
    #[error("{0}")]
    AfterFunds(&'static str),
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] DbError),
    /// The wallets are locked by another holder, or the lock nodes are unreachable.
    #[error("waiting for the lock")]
    Lock(#[from] LockError),
    /// A call to Stripe returned nothing that the job can decide by.
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
