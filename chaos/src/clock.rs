//! A clock that the campaign moves in running processes: the system's plus the seconds that stand in a file.

use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use wallet_core::clock::{Clock, SystemClock};

/// The variable that names the file.
pub(crate) const FILE: &str = "WALLET_CHAOS_CLOCK";

/// The variable that has the clock follow PostgreSQL's, as in the real programs; without it the whole system moves in time.
pub(crate) const FOLLOWS: &str = "WALLET_CHAOS_CLOCK_FOLLOWS";

/// Says how many seconds the clock is to be ahead. In one step: a reader of the file sees it old or new.
pub(crate) fn set(file: &Path, seconds: i64) -> Result<()> {
    let draft = file.with_extension("new");
    std::fs::write(&draft, seconds.to_string())?;
    Ok(std::fs::rename(&draft, file)?)
}

/// The clock of a file.
#[derive(Debug)]
pub(crate) struct Moved(pub(crate) PathBuf);

impl Clock for Moved {
    fn now(&self) -> DateTime<Utc> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        SystemClock.now() + TimeDelta::seconds(text.trim().parse().unwrap_or(0))
    }
}
