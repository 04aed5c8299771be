//! The program: its arguments, its signals, and its exit codes.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use wallet_core::clock::{Clock, FollowingClock, SystemClock};
use wallet_core::config::{
    CONFIG_EXIT_CODE, ChecksConfig, ConfigError, KeysConfig, OperatorConfig, ProcessEnv, ReconcileConfig,
    RedisConfig, WorkerConfig,
};

use crate::operator::{self, Manner, Session};
use crate::run::RunError;

/// The exit code for arguments that cannot be parsed.
const USAGE_EXIT_CODE: u8 = 2;

/// How long the runtime may take to drop its remaining tasks at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Takes jobs, locks wallets, calls Stripe and settles. It is configured by the environment; `.env.example` lists every variable.
#[derive(Debug, Parser)]
#[command(name = "wallet-worker", version)]
struct Arguments {
    #[command(flatten)]
    manner: Manner,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Work until SIGTERM or Ctrl-C, then let running jobs finish (the default).
    Run,
    /// Bring the database to this version's schema and make the partitions of the months ahead.
    Migrate,
    /// List parked jobs and open alarms, each with its times.
    Parked,
    /// Put parked jobs back into their queues and close their alarms, on record.
    Requeue(operator::Requeue),
    /// Close an alarm whose cause has been examined; if the cause persists, the alarm is raised again.
    CloseAlarm(operator::CloseAlarm),
    /// Money that was received without being requested: list it, credit it to the wallet it was meant for,
    /// return it to its payer, or close what is left of it.
    #[command(subcommand)]
    Review(operator::Review),
    /// Withdrawals whose payout does not finish by itself, because Stripe no longer shows it to us, the account has
    /// paid itself out, or the account has a negative balance: list them, and end one as paid or as taken back.
    #[command(subcommand)]
    Withdrawals(operator::Withdrawals),
    /// List what people owe the platform, from which wallets, and because of which disputes and refunds.
    Debts,
    /// Re-wrap every data key that is not under the current ENCRYPTION_SECRET_KEY; safe while serving, to interrupt, and to repeat. Exit code 0:
    /// all keys are, and the retired ones may be removed; 1: some are not, or it could not begin, and none may be removed (docs/key-rotation.md).
    RotateKeys(operator::RotateKeys),
    /// Locks of wallets that no worker can lawfully hold: list them, and free one.
    #[command(subcommand)]
    Locks(operator::Locks),
    /// The fees that the platform keeps of payments: list, set and remove the rules.
    #[command(subcommand)]
    Fees(operator::Fees),
    /// Process stored Stripe events again, for example parked ones or those that a newer version understands; safe to repeat.
    ReplayEvents(operator::ReplayEvents),
    /// Stop money from leaving, let it leave again, or show the current state.
    #[command(subcommand)]
    MoneyOut(operator::MoneyOut),
    /// Deactivate a wallet, or activate it again.
    #[command(subcommand)]
    Wallets(operator::Wallets),
    /// Check the database against its own invariants. Exit code 0: every invariant holds; 1: one is violated; 2: this could not be determined.
    Verify(operator::Verify),
    /// Check the ledger against Stripe's balance and its movements. Exit code 0: everything is explained; 1:
    /// something is not; 2: this could not be determined.
    Reconcile(operator::Reconcile),
}

/// Runs the program with these arguments, the first of which is its name.
pub fn program(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    let arguments = match Arguments::try_parse_from(&arguments) {
        Ok(arguments) => arguments,
        Err(told) => {
            if wants_json && told.use_stderr() {
                operator::print_failure(&told.to_string(), USAGE_EXIT_CODE);
            }
            // `exit` also prints the help and version texts.
            told.exit()
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = anyhow::Error::from(error).context("the runtime could not be started");
            return fail(&error, wants_json);
        }
    };
    let done = runtime.block_on(async {
        match arguments.command.unwrap_or(Command::Run) {
            Command::Run => run().await,
            Command::Migrate => {
                operator::migrate(&operator_config()?, &arguments.manner, SystemClock.now()).await
            }
            command => operate(command, &arguments.manner).await,
        }
    });
    // A task that never yields does not delay the exit.
    runtime.shutdown_timeout(LAST_WORDS);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, wants_json),
    }
}

/// Prints one line on standard error and, with `--json`, the JSON object; the code is 78 if the environment is at fault.
#[expect(clippy::print_stderr, reason = "a start that fails may have no log yet")]
fn fail(error: &anyhow::Error, wants_json: bool) -> ExitCode {
    let told = format!("{error:#}");
    eprintln!("wallet-worker: {told}");
    let code = exit_code(error);
    if wants_json {
        operator::print_failure(&told, code);
    }
    ExitCode::from(code)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let is_config = error.is::<ConfigError>() || matches!(error.downcast_ref(), Some(RunError::Keys(_)));
    match error.downcast_ref::<operator::Verdict>() {
        _ if is_config => CONFIG_EXIT_CODE,
        Some(verdict) => verdict.exit_code(),
        None => 1,
    }
}

/// Runs an operator's command, which answers and ends.
async fn operate(command: Command, manner: &Manner) -> anyhow::Result<()> {
    let config = operator_config()?;
    let session = &Session::open(&config.database, manner).await?;
    if let Err(why) = session.check_schema().await {
        return Err(match command {
            // For these commands, exit code 1 would mean that an invariant is violated or a movement unexplained.
            Command::Verify(_) | Command::Reconcile(_) => operator::Verdict::unknown(why).into(),
            _ => why,
        });
    }
    match command {
        Command::Run | Command::Migrate => Ok(()),
        Command::Parked => operator::parked(session).await,
        Command::Requeue(which) => operator::requeue(session, &which).await,
        Command::CloseAlarm(which) => {
            operator::close_alarm(session, &ChecksConfig::read(&ProcessEnv)?, &which).await
        }
        Command::Review(command) => operator::review(session, command).await,
        Command::Withdrawals(command) => operator::withdrawals(session, command).await,
        Command::Debts => operator::debts(session).await,
        Command::RotateKeys(how) => {
            operator::rotate_keys(session, &KeysConfig::read(&ProcessEnv)?, &how).await
        }
        Command::Locks(command) => operator::locks(session, &RedisConfig::read(&ProcessEnv)?, command).await,
        Command::Fees(command) => operator::fees(session, command).await,
        Command::ReplayEvents(which) => operator::replay_events(session, which).await,
        Command::MoneyOut(command) => operator::money_out(session, command).await,
        Command::Wallets(command) => operator::wallets(session, command).await,
        Command::Reconcile(how) => {
            operator::reconcile(session, &ReconcileConfig::read(&ProcessEnv)?, how).await
        }
        Command::Verify(how) => operator::verify(session, how).await,
    }
}

fn operator_config() -> anyhow::Result<OperatorConfig> {
    let config = OperatorConfig::read(&ProcessEnv)?;
    wallet_core::telemetry::init("wallet-worker", &config.logs)?;
    Ok(config)
}

fn config() -> anyhow::Result<WorkerConfig> {
    let config = WorkerConfig::read(&ProcessEnv)?;
    wallet_core::telemetry::init("wallet-worker", &config.logs)?;
    Ok(config)
}

async fn run() -> anyhow::Result<()> {
    let config = config()?;
    let shutdown = CancellationToken::new();
    tokio::spawn(cancel_on_signal(shutdown.clone()));
    crate::run(config, Arc::new(FollowingClock::from(&SystemClock)), shutdown).await?;
    Ok(())
}

async fn cancel_on_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be heard");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
    tracing::info!("asked to end: finishing what runs");
    shutdown.cancel();
}
