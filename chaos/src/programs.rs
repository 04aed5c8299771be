//! The programs of the campaign: this very executable, run as another program, so that failpoints are compiled in.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wallet_core::clock::{FollowingClock, SharedClock};
use wallet_core::config::{ApiConfig, ProcessEnv, WorkerConfig};
use wallet_core::telemetry;
use wallet_dev::say::complain;

use crate::clock;

/// The environment variable that makes this executable run as one of our programs; its arguments are then that program's.
pub(crate) const AS: &str = "WALLET_CHAOS_AS";

/// One of our programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Program {
    /// wallet-api.
    Api,
    /// wallet-worker.
    Worker,
}

impl Program {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Api => "wallet-api",
            Self::Worker => "wallet-worker",
        }
    }
}

/// Returns the file to run.
pub(crate) fn file() -> Result<PathBuf> {
    Ok(std::env::current_exe()?)
}

/// If this process is to be one of our programs, runs that program and returns its exit code.
pub(crate) fn impersonate() -> Option<ExitCode> {
    let program = match std::env::var(AS).ok()?.as_str() {
        "wallet-api" => Program::Api,
        "wallet-worker" => Program::Worker,
        _ => return None,
    };
    let arguments = std::env::args_os();
    if let Some(file) = std::env::var_os(clock::FILE)
        && std::env::args().nth(1).is_none_or(|command| command == "run")
    {
        return Some(on_a_moved_clock(program, file.into()));
    }
    Some(match program {
        Program::Api => wallet_api::program(arguments),
        Program::Worker => wallet_worker::program(arguments),
    })
}

fn on_a_moved_clock(program: Program, file: PathBuf) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(program, file)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{}: {error:#}", program.name()));
            ExitCode::FAILURE
        }
    }
}

/// Runs a program as its own main function does, on a clock that a file moves.
async fn run(program: Program, file: PathBuf) -> Result<()> {
    let shared: SharedClock = match std::env::var_os(clock::FOLLOWS) {
        Some(_) => Arc::new(FollowingClock::from(&clock::Moved(file))),
        None => Arc::new(clock::Moved(file)),
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
            wallet_api::serve(config, shared, listener, shutdown).await?;
        }
        Program::Worker => {
            let config = WorkerConfig::read(&ProcessEnv)?;
            telemetry::init("wallet-worker", &config.logs)?;
            wallet_worker::run(config, shared, shutdown).await?;
        }
    }
    Ok(())
}
