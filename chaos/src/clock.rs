//! A clock that the campaign moves in running processes: the system's plus the seconds that stand in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wallet_core::clock::{Clock, FollowingClock, SharedClock, SystemClock};
use wallet_core::config::{ApiConfig, ProcessEnv, WorkerConfig};
use wallet_core::telemetry;

use crate::programs::Program;

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

struct Moved(PathBuf);

impl Clock for Moved {
    fn now(&self) -> DateTime<Utc> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        SystemClock.now() + TimeDelta::seconds(text.trim().parse().unwrap_or(0))
    }
}

/// Runs a program as its own main function does, on this clock.
pub(crate) async fn run(program: Program, file: PathBuf) -> Result<()> {
    let clock: SharedClock = match std::env::var_os(FOLLOWS) {
        Some(_) => Arc::new(FollowingClock::from(&Moved(file))),
        None => Arc::new(Moved(file)),
    };
    let shutdown = CancellationToken::new();
    let mut asked = signal(SignalKind::terminate())?;
    let ending = shutdown.clone();
    tokio::spawn(async move {
        asked.recv().await;
        ending.cancel();
    });
    match program {
        Program::Api => {
            let config = ApiConfig::read(&ProcessEnv)?;
            telemetry::init("wallet-api", &config.logs)?;
            let listener = TcpListener::bind(("127.0.0.1", config.port)).await?;
            wallet_api::serve(config, clock, listener, shutdown).await?;
        }
        Program::Worker => {
            let config = WorkerConfig::read(&ProcessEnv)?;
            telemetry::init("wallet-worker", &config.logs)?;
            wallet_worker::run(config, clock, shutdown).await?;
        }
    }
    Ok(())
}
