//! The operator's commands, a file each: what they print is for a person.

mod close_alarm;
mod fees;
mod migrate;
mod money_out;
mod parked;
mod reconcile;
mod replay_events;
mod requeue;
mod review;
mod rotate_keys;
mod verify;

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use secrecy::ExposeSecret;
use wallet_core::clock::{SharedClock, SystemClock};
use wallet_core::config::WorkerConfig;
use wallet_core::db::{Db, DbOptions};

pub(crate) use close_alarm::{CloseAlarm, close_alarm};
pub(crate) use fees::{Fees, fees};
pub(crate) use migrate::migrate;
pub(crate) use money_out::{MoneyOut, money_out};
pub(crate) use parked::parked;
pub(crate) use reconcile::{Reconcile, reconcile};
pub(crate) use replay_events::{ReplayEvents, replay_events};
pub(crate) use requeue::requeue;
pub(crate) use review::{Review, review};
pub(crate) use rotate_keys::rotate_keys;
pub(crate) use verify::{Verify, verify};

/// What a check of the books has to say by its exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Verdict {
    /// Something does not hold.
    #[error("{0}")]
    DoesNotHold(String),
    /// It could not be found out.
    #[error("it could not be found out")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Verdict {
    /// 1: it does not hold. 2: nobody knows.
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

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("standard output")
}

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

async fn connect(config: &WorkerConfig) -> anyhow::Result<Db> {
    let options = DbOptions {
        application_name: "wallet-operator",
        ..DbOptions::default()
    };
    Ok(Db::connect(config.database.url.expose_secret(), &options).await?)
}
