//! A clock that the campaign moves in running processes: the system's clock plus a number of seconds in a file.

use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use wallet_core::clock::{Clock, SystemClock};

/// The environment variable that names the file.
pub(crate) const FILE: &str = "WALLET_CHAOS_CLOCK";

/// The environment variable that makes the clock follow PostgreSQL's, as in the real programs; without it the whole system moves in time.
pub(crate) const FOLLOWS: &str = "WALLET_CHAOS_CLOCK_FOLLOWS";

/// Sets how many seconds the clock is ahead. The write is atomic: a reader of the file sees the old or the new value.
pub(crate) fn set(file: &Path, seconds: i64) -> Result<()> {
    let draft = file.with_extension("new");
    std::fs::write(&draft, seconds.to_string())?;
    Ok(std::fs::rename(&draft, file)?)
}

/// The clock that reads its offset from a file.
#[derive(Debug)]
pub(crate) struct Moved(pub(crate) PathBuf);

impl Clock for Moved {
    fn now(&self) -> DateTime<Utc> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        SystemClock.now() + TimeDelta::seconds(text.trim().parse().unwrap_or(0))
    }
}
