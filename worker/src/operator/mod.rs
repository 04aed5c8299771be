//! The operator's commands, a file each: what they print is for a person.

mod fees;
mod migrate;
mod money_out;
mod parked;
mod replay_events;
mod requeue;
mod rotate_keys;

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use secrecy::ExposeSecret;
use wallet_core::clock::{SharedClock, SystemClock};
use wallet_core::config::WorkerConfig;
use wallet_core::db::{Db, DbOptions};

pub(crate) use fees::{Fees, fees};
pub(crate) use migrate::migrate;
pub(crate) use money_out::{MoneyOut, money_out};
pub(crate) use parked::parked;
pub(crate) use replay_events::{ReplayEvents, replay_events};
pub(crate) use requeue::requeue;
pub(crate) use rotate_keys::rotate_keys;

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
