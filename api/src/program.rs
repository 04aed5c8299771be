//! The program: its configuration, its port, its signals, and the exit codes of errors.

use std::ffi::OsString;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wallet_core::clock::{FollowingClock, SystemClock};
use wallet_core::config::{ApiConfig, CONFIG_EXIT_CODE, ProcessEnv};
use wallet_core::telemetry;

/// The maximum number of threads that serve requests; more gain nothing while PostgreSQL is the bottleneck.
const MOST_THREADS: usize = 4;

/// Serves the wallet's public API: GraphQL, subscriptions, Stripe's webhooks, health and metrics.
///
/// It takes no arguments: every setting is an environment variable, listed in .env.example. After SIGTERM or Ctrl-C it exits
/// once open requests are answered. If a variable is missing or unsafe, it exits with code 78.
#[derive(Parser)]
#[command(name = "wallet-api", version)]
struct Cli {}

/// Runs the program with these arguments, the first of which is its name.
pub fn program(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Cli {} = Cli::parse_from(arguments);
    let config = match ApiConfig::read(&ProcessEnv) {
        Ok(config) => config,
        Err(error) => return complain(&error.to_string(), ExitCode::from(CONFIG_EXIT_CODE)),
    };
    if let Err(error) = telemetry::init("wallet-api", &config.logs) {
        return complain(&format!("cannot write logs: {error}"), ExitCode::FAILURE);
    }
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(config)),
        Err(error) => complain(&format!("cannot start: {error}"), ExitCode::FAILURE),
    }
}

async fn run(config: ApiConfig) -> ExitCode {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, config.port));
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            return complain(
                &format!("cannot listen on port {}: {error}", config.port),
                ExitCode::FAILURE,
            );
        }
    };
    let shutdown = CancellationToken::new();
    if let Err(error) = end_on_signals(shutdown.clone()) {
        return complain(&format!("cannot watch for signals: {error}"), ExitCode::FAILURE);
    }
    match crate::serve(
        config,
        Arc::new(FollowingClock::from(&SystemClock)),
        listener,
        shutdown,
    )
    .await
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            complain(&format!("{error}{cause}"), ExitCode::from(CONFIG_EXIT_CODE))
        }
    }
}

fn end_on_signals(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}

/// Reports why the program ends, in one line.
fn complain(why: &str, code: ExitCode) -> ExitCode {
    // If standard error is closed, there is nowhere to report it.
    let _ = writeln!(std::io::stderr(), "wallet-api: {why}");
    code
}
