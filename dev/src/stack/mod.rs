//! The local stack: private servers, the Stripe simulator and our own programs, for development, tests and benchmarks.
//!
//! - [`Postgres`], [`Redis`] and [`Process`] start one thing each, on 127.0.0.1 only.
//! - [`Servers`] are PostgreSQL, the queue's Redis and three lock nodes.
//! - [`Stack`] is servers and payments, with the [`Env`] that wallet-api and wallet-worker need; it also starts these two.
//!
//! Everything is stopped when its value is dropped, and also when the program dies in any other way, `kill -9` included (see `watchdog.rs`).
//! Several stacks can run side by side. Nothing is installed here; `bin/dev` does that.

mod account;
pub mod env;
mod home;
mod http;
mod payments;
pub mod port;
mod postgres;
mod process;
pub mod program;
mod progress;
pub mod record;
mod redis;
mod scratch;
mod secrets;
mod servers;
mod watchdog;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

pub use self::env::Env;
pub use self::home::Home;
pub use self::http::wait_until_ready;
pub use self::payments::{Payments, Simulator, SimulatorOptions, UnusableEnvironment, stripe_from_shell};
pub use self::postgres::{Cluster, Postgres, PostgresOptions, StopMode};
pub use self::process::{Process, ProcessSpec};
pub use self::progress::Progress;
pub use self::redis::{Redis, RedisOptions};
use self::scratch::Scratch;
pub use self::secrets::Secrets;
pub use self::servers::{Keep, Servers};

/// The number of Redis nodes of which RedLock needs a majority.
pub const LOCK_NODES: u16 = 3;

/// The name of a stack's database.
pub const DATABASE: &str = "wallet";

/// The time limit of a migration of a development database.
const MIGRATE_LIMIT: Duration = Duration::from_secs(120);

/// The time limit for wallet-api and wallet-worker to become ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// How long a worker may take to finish its running jobs: longer than a call to Stripe.
const DRAIN_GRACE: Duration = Duration::from_secs(25);

/// The options of a stack.
#[derive(Clone)]
pub struct StackOptions {
    /// The folder of data and logs; `None` for a scratch stack without fsync, for tests.
    pub folder: Option<PathBuf>,
    /// The stack's secrets.
    pub secrets: Secrets,
    /// The Stripe that it uses.
    pub payments: Payments,
    /// The port of the API, or `None` for any free one.
    pub api_port: Option<u16>,
    /// The port of the worker's metrics, or `None` for any free one.
    pub metrics_port: Option<u16>,
    /// The receiver of the finished steps.
    pub progress: Progress,
}

impl StackOptions {
    /// Returns the options of a scratch stack with the simulator, for tests.
    #[must_use]
    pub fn scratch() -> Self {
        Self {
            folder: None,
            secrets: Secrets::generate(),
            payments: Payments::Simulator(SimulatorOptions::default()),
            api_port: None,
            metrics_port: None,
            progress: Progress::silent(),
        }
    }
}

/// Running servers and payments, on which our own programs can be started. Dropping it stops all of them at once.
#[derive(Debug)]
pub struct Stack {
    /// The simulator, unless the real Stripe is used.
    pub simulator: Option<Simulator>,
    /// PostgreSQL and the Redis nodes.
    pub servers: Servers,
    env: Env,
    api_base: String,
    worker_base: String,
    progress: Progress,
    logs: Logs,
}

/// The folder of the log files.
#[derive(Debug)]
enum Logs {
    Kept(PathBuf),
    Scratch(Scratch),
}

impl Logs {
    fn file(&self, name: &str) -> Result<PathBuf> {
        match self {
            Self::Kept(folder) => servers::log(folder, name),
            Self::Scratch(scratch) => Ok(scratch.path().join(format!("{name}.log"))),
        }
    }
}

impl Stack {
    /// Starts servers and payments and creates the (empty) database; [`Self::migrate`] migrates it.
    ///
    /// # Errors
    /// When something is not installed, not built, or does not start: the message names it, with the end of its log.
    pub async fn start(options: StackOptions) -> Result<Self> {
        let StackOptions {
            folder,
            secrets,
            payments,
            api_port,
            metrics_port,
            progress,
        } = options;
        let (keep, logs) = match folder {
            Some(folder) => (
                Keep::In {
                    folder: folder.clone(),
                    postgres_password: secrets.postgres_password.clone(),
                },
                Logs::Kept(folder),
            ),
            None => (Keep::Nothing, Logs::Scratch(Scratch::new(None)?)),
        };
        let api_base = format!("http://127.0.0.1:{}", or_free(api_port)?);
        let worker_base = format!("http://127.0.0.1:{}", or_free(metrics_port)?);

        let servers = Servers::start(&keep, &progress).await?;
        let made = servers.postgres.cluster().ensure_database(DATABASE).await;
        made.context("cannot get into the database; if its secrets were lost, remove the stack's folder")?;
        let mut env = servers.env(DATABASE);
        env.set("PORT", port_of(&api_base));
        env.set("METRICS_PORT", port_of(&worker_base));
        env.set("ENCRYPTION_SECRET_KEY", secrets.encryption_key.as_str());
        env.set("JWT_SECRET", secrets.jwt_secret.as_str());
        env.set("RATE_LIMIT_PER_MINUTE", "0");
        env.set("GRAPHIQL", "true");

        let simulator = match payments {
            Payments::Simulator(options) => {
                let step = progress.step();
                let webhook_url = format!("{api_base}/wallet/webhook");
                let simulator =
                    Simulator::start(&options, &secrets, &webhook_url, logs.file("stripe")?).await?;
                step.done(&format!("Stripe simulator on {}", simulator.base()));
                env.set("STRIPE_API_BASE", simulator.base());
                // The simulator needs no limit.
                env.set("STRIPE_CALLS_PER_SECOND", "1000");
                env.set("STRIPE_SECRET_KEY", secrets.stripe_key.as_str());
                env.set("STRIPE_WEBHOOK_SECRET", payments::webhook_secrets(&secrets));
                Some(simulator)
            }
            Payments::Stripe {
                secret_key,
                webhook_secret,
            } => {
                env.set("STRIPE_SECRET_KEY", secret_key);
                env.set("STRIPE_WEBHOOK_SECRET", webhook_secret);
                None
            }
        };
        Ok(Self {
            simulator,
            servers,
            env,
            api_base,
            worker_base,
            progress,
            logs,
        })
    }

    /// Returns the environment of wallet-api and wallet-worker on this stack.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Returns `http://127.0.0.1:PORT` of the API.
    #[must_use]
    pub fn api_base(&self) -> &str {
        &self.api_base
    }

    /// Returns `http://127.0.0.1:METRICS_PORT` of the worker.
    #[must_use]
    pub fn worker_base(&self) -> &str {
        &self.worker_base
    }

    /// Runs `wallet-worker migrate`.
    ///
    /// # Errors
    /// When it has not been built or fails: its output is in the message.
    pub async fn migrate(&self) -> Result<()> {
        let step = self.progress.step();
        let mut migrate = self.spawn("migrate", "wallet-worker", &["migrate"], &Env::new())?;
        match migrate.wait(MIGRATE_LIMIT).await? {
            Some(status) if status.success() => {
                step.done("database migrated");
                Ok(())
            }
            Some(status) => bail!(
                "wallet-worker migrate failed ({status}):\n{}",
                migrate.log_tail(20).join("\n")
            ),
            None => bail!(
                "wallet-worker migrate is not done after {} s",
                MIGRATE_LIMIT.as_secs()
            ),
        }
    }

    /// Starts wallet-api and waits until it is ready.
    ///
    /// # Errors
    /// When it has not been built or does not become ready.
    pub async fn start_api(&self) -> Result<Process> {
        self.start_api_with(&Env::new()).await
    }

    /// Does as [`Self::start_api`], with further variables.
    ///
    /// # Errors
    /// As [`Self::start_api`].
    pub async fn start_api_with(&self, more: &Env) -> Result<Process> {
        let step = self.progress.step();
        let mut api = self.spawn("wallet-api", "wallet-api", &[], more)?;
        wait_until_ready(&format!("{}/readyz", self.api_base), &mut api, READY_LIMIT).await?;
        step.done(&format!("wallet-api on {}", self.api_base));
        Ok(api)
    }

    /// Starts the worker whose metrics are at [`Self::worker_base`], and waits until it is ready.
    ///
    /// # Errors
    /// When it has not been built or does not become ready.
    pub async fn start_worker(&self) -> Result<Process> {
        let step = self.progress.step();
        let mut worker = self.spawn("wallet-worker", "wallet-worker", &["run"], &Env::new())?;
        wait_until_ready(&format!("{}/readyz", self.worker_base), &mut worker, READY_LIMIT).await?;
        step.done(&format!("wallet-worker, metrics on {}/metrics", self.worker_base));
        Ok(worker)
    }

    /// Starts one of our programs with the stack's environment and `more` variables; `name` is for people and the log file.
    ///
    /// # Errors
    /// When it has not been built or cannot be run.
    pub fn spawn(&self, name: &str, program: &str, args: &[&str], more: &Env) -> Result<Process> {
        let log = self.logs.file(name)?;
        let env = self.env.clone().overlaid(more);
        ProcessSpec::new(name, &program::find(program)?, &log)
            .args(args.iter().copied())
            .env(env)
            .grace(DRAIN_GRACE)
            .spawn()
    }

    /// Iterates over the processes of the servers and the simulator, in the order in which they were started.
    pub fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        self.servers
            .processes_mut()
            .chain(self.simulator.as_mut().map(Simulator::process_mut))
    }

    /// Stops everything in an orderly way. Stop the programs that you started on the stack first.
    ///
    /// # Errors
    /// When the system does not report how one of them ended.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(simulator) = &mut self.simulator {
            simulator.process_mut().stop().await?;
        }
        self.servers.stop().await
    }
}

fn or_free(port: Option<u16>) -> Result<u16> {
    port.map_or_else(port::free, Ok)
}

fn port_of(base: &str) -> &str {
    base.rsplit_once(':').map_or("", |(_, port)| port)
}
