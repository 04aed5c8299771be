//! wallet-dev: runs the local stack, the Stripe simulator and the demonstration; issues tokens. `wallet-dev --help` tells more.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use uuid::Uuid;
use wallet_dev::demo;
use wallet_dev::say::{complain, say};
use wallet_dev::stack::record::{self, Locking, Record};
use wallet_dev::stack::{Cluster, Home, Postgres, PostgresOptions, Secrets, UnusableEnvironment};
use wallet_dev::token::{self, Role};
use wallet_dev::up::{self, Signals, UpOptions};
use wallet_stripe_simulator::{Settings, SimulatorConfig, WebhookTarget};

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
    Stripe(Box<StripeArgs>),
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
struct StripeArgs {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 12_111)]
    port: u16,
    /// Where events are sent; POST /_control/webhook sets it later.
    #[arg(long, value_name = "URL", requires = "webhook_secret")]
    webhook_url: Option<String>,
    /// What signs them: the platform's secret and, after a comma, the one for events of connected accounts.
    #[arg(
        long,
        value_name = "SECRET[,SECRET]",
        env = "STRIPE_WEBHOOK_SECRET",
        hide_env_values = true
    )]
    webhook_secret: Option<String>,
    /// Keep the state in this file and go on with what it holds; without it the state is forgotten.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Append every effect to this file, as a JSON line.
    #[arg(long, value_name = "FILE")]
    effect_log: Option<PathBuf>,
    /// What the platform owns at the start, in minor units; can be repeated.
    #[arg(long, value_name = "CURRENCY=AMOUNT", value_parser = parse_balance)]
    balance: Vec<(String, i64)>,
    /// Delays, fees and modes, as for POST /_control/settings: '{"payout_mode": "manual"}'
    #[arg(long, value_name = "JSON", value_parser = parse_settings, default_value = "{}")]
    settings: Settings,
    /// Seeds random faults, so that a run can be repeated.
    #[arg(long, default_value_t = 0)]
    seed: u64,
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
        Command::Stripe(args) => simulate(*args).await?,
        Command::Forget(args) => forget(&args.dir)?,
        Command::Token(args) => say(&issue(args)?),
        Command::Env(args) => say(environment(&args.dir)?.trim_end()),
        Command::WithPostgres { command } => return with_postgres(&command).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn simulate(args: StripeArgs) -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let mut signals = Signals::catch()?;
    let webhook = args.webhook_url.zip(args.webhook_secret).map(|(url, secrets)| {
        let (platform, connect) = secrets.split_once(',').unwrap_or((&secrets, ""));
        WebhookTarget::new(url, platform, Some(connect.to_owned()))
    });
    let simulator = wallet_stripe_simulator::start(SimulatorConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)),
        webhook,
        state_file: args.state,
        effects_file: args.effect_log,
        opening_balance: args.balance,
        settings: args.settings,
        seed: args.seed,
        ..SimulatorConfig::default()
    })
    .await?;
    say(&format!(
        "Stripe simulator on {}  (Ctrl-C stops it)",
        simulator.url()
    ));
    signals.next().await;
    simulator.shutdown().await;
    Ok(())
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

fn parse_balance(text: &str) -> Result<(String, i64), String> {
    let expected = || format!("\"{text}\" is no balance such as usd=100000");
    let (currency, amount) = text.split_once('=').ok_or_else(expected)?;
    Ok((currency.to_owned(), amount.parse().map_err(|_| expected())?))
}

fn parse_settings(text: &str) -> Result<Settings, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
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

/// Runs the command in the terminal's foreground, where Ctrl-C reaches it directly; we only wait for its end.
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
