//! wallet-dev: runs the local stack, the Stripe simulator and the demonstration; issues tokens. See `wallet-dev --help`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use uuid::Uuid;
use wallet_dev::demo;
use wallet_dev::say::{complain, say};
use wallet_dev::stack::record::{self, Locking, Record};
use wallet_dev::stack::{Cluster, Home, Postgres, PostgresOptions, Secrets, UnusableEnvironment};
use wallet_dev::token::{self, Role};
use wallet_dev::up::{self, Signals, UpOptions};
use wallet_stripe_simulator::SimulatorConfig;
use wallet_stripe_simulator::program::{self, Arguments};

/// The local stack of the wallet: private PostgreSQL and Redis, the Stripe simulator, the API and the worker.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything and print how to use it; Ctrl-C stops it. The real Stripe is used when STRIPE_SECRET_KEY is set.
    Up(Box<StackArgs>),
    /// The same, then play one whole story through the public API, check every balance, and stop.
    Demo(Box<StackArgs>),
    /// Run the Stripe simulator alone.
    #[command(about = "Run the Stripe simulator alone")]
    Stripe(Box<Arguments>),
    /// Forget what the Stripe simulator of a stopped stack has kept: its customers, cards, accounts, balances and events.
    Forget(HomeArgs),
    /// Print an access token.
    Token(TokenArgs),
    /// Print the environment of the running stack: eval "$(bin/dev env)"
    Env(HomeArgs),
    /// Run a command with a scratch PostgreSQL, whose URL it finds in WALLET_TEST_POSTGRES_URL: this is how the tests share one.
    WithPostgres {
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

#[derive(Args)]
struct HomeArgs {
    /// The folder of data, logs and secrets.
    #[arg(long, value_name = "FOLDER", default_value = ".dev", env = "WALLET_DEV_DIR")]
    dir: PathBuf,
}

#[derive(Args)]
struct StackArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// The port of the API, an error when it is taken [default: 8080, or a free one when that is taken]
    #[arg(long)]
    port: Option<u16>,
}

impl From<StackArgs> for UpOptions {
    fn from(args: StackArgs) -> Self {
        Self {
            folder: args.home.dir,
            port: args.port,
        }
    }
}

#[derive(Args)]
struct TokenArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// Whose token [default: the user whose token `up` prints]
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
    /// What the user may do.
    #[arg(long, value_enum, default_value_t = Role::User)]
    role: Role,
    /// How long it is valid: 90s, 15m, 1h, 7d.
    #[arg(long, value_parser = token::parse_ttl, default_value = "1h")]
    ttl: Duration,
    /// The secret that signs it [default: the one of the stack in FOLDER]
    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    secret: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("wallet-dev: {error:#}"));
            // 78 is EX_CONFIG, as for our other programs.
            if error.is::<UnusableEnvironment>() {
                ExitCode::from(78)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(args) => up::up(&(*args).into()).await?,
        Command::Demo(args) => demo::demo(&(*args).into()).await?,
        Command::Stripe(args) => program::run(simulator(*args)).await?,
        Command::Forget(args) => forget(&args.dir)?,
        Command::Token(args) => say(&issue(args)?),
        Command::Env(args) => say(environment(&args.dir)?.trim_end()),
        Command::WithPostgres { command } => return with_postgres(&command).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds the remedy of a stack's developer for a state that cannot be read.
fn simulator(arguments: Arguments) -> SimulatorConfig {
    SimulatorConfig {
        state_remedy: "`wallet-dev forget` (`bin/dev forget`) forgets it".to_owned(),
        ..arguments.into()
    }
}

fn forget(folder: &Path) -> Result<()> {
    let home = Home::new(folder)?;
    if let Locking::Taken(_) = record::lock(&home.lock_file(), &home.record_file())? {
        bail!(
            "a stack runs in {}: stop it first (Ctrl-C)",
            home.folder().display()
        );
    }
    let forgotten = wallet_stripe_simulator::forget(&home.stripe_state_file())?;
    say(if forgotten {
        "the simulator's customers, cards, accounts and balances are forgotten; PostgreSQL still names them"
    } else {
        "the simulator has kept nothing"
    });
    Ok(())
}

fn issue(args: TokenArgs) -> Result<String> {
    let kept = Secrets::load(&args.home.dir.join("secrets.json"))?;
    let none = || {
        format!(
            "there is no stack in {} yet: run bin/dev{}, or give --user and JWT_SECRET",
            args.home.dir.display(),
            Home::argument(&args.home.dir)
        )
    };
    let secret = args
        .secret
        .or_else(|| kept.as_ref().map(|kept| kept.jwt_secret.clone()))
        .with_context(none)?;
    let user = args
        .user
        .or_else(|| kept.as_ref().map(|kept| kept.user))
        .with_context(none)?;
    token::issue(&secret, user, args.role, args.ttl)
}

fn environment(folder: &Path) -> Result<String> {
    let home = Home::new(folder)?;
    match Record::load(&home.record_file()) {
        Some(record) if record.supervisor.is_alive() && record.addresses.is_some() => {
            Ok(record.env.to_shell())
        }
        _ => bail!(
            "no stack runs in {}: start it with bin/dev{}",
            home.folder().display(),
            Home::argument(home.folder())
        ),
    }
}

/// Runs the command in the terminal's foreground, where Ctrl-C reaches it directly; this program only waits for its end.
async fn with_postgres(command: &[String]) -> Result<ExitCode> {
    let (program, args) = command.split_first().context("no command")?;
    let mut signals = Signals::catch()?;
    let postgres = Postgres::start(PostgresOptions {
        max_connections: 500,
        ..PostgresOptions::default()
    })
    .await?;
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .env(Cluster::SHARED, postgres.url("postgres"))
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            () = signals.next() => {}
        }
    };
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulator_takes_its_own_arguments_and_names_the_command_that_forgets() {
        let cli = Cli::try_parse_from(["wallet-dev", "stripe", "--port=0", "--state=state.json"]).unwrap();
        let Command::Stripe(arguments) = cli.command else {
            panic!("another command");
        };
        let config = simulator(*arguments);
        assert_eq!(config.state_file, Some(PathBuf::from("state.json")));
        assert!(
            config.state_remedy.contains("wallet-dev forget"),
            "{}",
            config.state_remedy
        );
    }

    #[test]
    fn the_simulator_s_command_is_described_as_a_command_of_ours() {
        use clap::CommandFactory as _;
        let cli = Cli::command();
        cli.clone().debug_assert();
        let stripe = cli.find_subcommand("stripe").unwrap();
        let about = stripe.get_about().map(ToString::to_string);
        assert_eq!(about.as_deref(), Some("Run the Stripe simulator alone"));
    }
}
