//! The operator's commands, a module each. Each answers with lines for a person, or with one JSON object for
//! a program (`--json`), and records what it changes in the audit trail, with who did it and why.

mod close_alarm;
mod debts;
mod decision;
mod fees;
mod locks;
mod migrate;
mod moment;
mod money_out;
mod parked;
mod reconcile;
mod replay_events;
mod requeue;
mod review;
mod rotate_keys;
mod session;
mod verify;
mod wallets;
mod withdrawals;

pub(crate) use close_alarm::{CloseAlarm, close_alarm};
pub(crate) use debts::debts;
pub(crate) use fees::{Fees, fees};
pub(crate) use locks::{Locks, locks};
pub(crate) use migrate::migrate;
pub(crate) use money_out::{MoneyOut, money_out};
pub(crate) use parked::parked;
pub(crate) use reconcile::{Reconcile, reconcile};
pub(crate) use replay_events::{ReplayEvents, replay_events};
pub(crate) use requeue::{Requeue, requeue};
pub(crate) use review::{Review, review};
pub(crate) use rotate_keys::{RotateKeys, rotate_keys};
pub(crate) use session::{Manner, Session, print_failure};
pub(crate) use verify::{Verify, verify};
pub(crate) use wallets::{Wallets, wallets};
pub(crate) use withdrawals::{Withdrawals, withdrawals};

/// A result of a check that sets the exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Verdict {
    /// Something does not hold.
    #[error("{0}")]
    DoesNotHold(String),
    /// Whether it holds could not be determined.
    #[error("it could not be found out")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Verdict {
    /// Returns the exit code. 1: it does not hold. 2: unknown.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::DoesNotHold(_) => 1,
            Self::Unknown(_) => 2,
        }
    }

    pub(crate) fn unknown(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unknown(error.into())
    }
}
