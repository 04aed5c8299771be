//! The system of one benchmark.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use wallet_dev::stack::{Env, Payments, Process, Progress, Secrets, SimulatorOptions, Stack, StackOptions};

use crate::client::Client;

/// Servers, simulator and API; the benchmark starts workers itself.
pub(crate) struct System {
    // Programs are stopped before what they use.
    pub(crate) api: Process,
    pub(crate) stack: Stack,
    secrets: Secrets,
    _folder: tempfile::TempDir,
}

/// Wallets with money, each of a person of its own.
pub(crate) struct Funded {
    pub(crate) people: Vec<(Client, String)>,
}

impl System {
    /// Starts the system in a scratch folder, with PostgreSQL's fsync on.
    pub(crate) async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("wallet-bench-").tempdir()?;
        let secrets = Secrets::generate();
        let options = StackOptions {
            folder: Some(PathBuf::from(folder.path())),
            secrets: secrets.clone(),
            payments: Payments::Simulator(SimulatorOptions::default()),
            api_port: None,
            metrics_port: None,
            progress: Progress::silent(),
        };
        let stack = Stack::start(options).await?;
        stack.migrate().await?;
        let api = stack.start_api().await?;
        Ok(Self {
            api,
            stack,
            secrets,
            _folder: folder,
        })
    }

    /// Starts the system with the API's default request limit, which benchmarks otherwise run without, and with trust in a proxy on this machine
    /// that reports the addresses of clients.
    pub(crate) async fn start_limited() -> Result<Self> {
        let mut system = Self::start().await?;
        system.api.stop().await?;
        let usual = Env::new()
            .with("RATE_LIMIT_PER_MINUTE", "")
            .with("TRUSTED_PROXIES", "127.0.0.1/32");
        system.api = system.stack.start_api_with(&usual).await?;
        Ok(system)
    }

    /// Creates a new person.
    pub(crate) fn client(&self) -> Result<Client> {
        Client::new(self.stack.api_base(), &self.secrets.jwt_secret)
    }

    /// Creates wallets with this amount of money each; a worker must be running.
    pub(crate) async fn funded(&self, wallets: usize, amount: &str) -> Result<Funded> {
        let making = (0..wallets).map(|_| async {
            let client = self.client()?;
            let wallet = client.wallet().await?;
            client.fund(&wallet, amount).await?;
            anyhow::Ok((client, wallet))
        });
        Ok(Funded {
            people: try_join_all(making).await?,
        })
    }

    /// Runs SQL and returns the first column of the first row.
    pub(crate) async fn number(&self, query: &str) -> Result<i64> {
        let url = self.stack.env().get("DATABASE_URL").context("no DATABASE_URL")?;
        let out = tokio::process::Command::new("psql")
            .args([url, "-Atqc", query])
            .output()
            .await
            .context("psql")?;
        let text = String::from_utf8_lossy(&out.stdout);
        text.trim()
            .parse()
            .with_context(|| format!("{query} gave {text:?} {}", String::from_utf8_lossy(&out.stderr)))
    }

    /// Runs a script of SQL with variables of psql.
    pub(crate) async fn script(&self, script: &str, variables: &[(&str, String)]) -> Result<()> {
        let url = self.stack.env().get("DATABASE_URL").context("no DATABASE_URL")?;
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), script)?;
        let mut psql = tokio::process::Command::new("psql");
        psql.args([url, "-Xq", "-f"]).arg(file.path());
        for (name, value) in variables {
            psql.arg("-v").arg(format!("{name}={value}"));
        }
        let out = psql.output().await.context("psql")?;
        if !out.status.success() {
            bail!("{}", String::from_utf8_lossy(&out.stderr));
        }
        Ok(())
    }

    /// Waits until every transfer is completed.
    pub(crate) async fn all_completed(&self, patience: Duration) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let open = self
                .number("SELECT count(*) FROM wallet_transactions WHERE status IN ('pending', 'processing')")
                .await?;
            if open == 0 {
                return Ok(began.elapsed());
            }
            if began.elapsed() > patience {
                bail!("{open} transactions are not finished after {patience:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns the number of keys on the queue node, and the size of its data set in bytes.
    pub(crate) async fn queue_size(&self) -> Result<(i64, i64)> {
        let mut redis = self.queue().await?;
        let keys: i64 = redis::cmd("DBSIZE").query_async(&mut redis).await?;
        let memory: String = redis::cmd("INFO").arg("memory").query_async(&mut redis).await?;
        let bytes = memory
            .lines()
            .find_map(|line| line.strip_prefix("used_memory_dataset:"))
            .and_then(|text| text.trim().parse().ok())
            .context("Redis does not tell used_memory_dataset")?;
        Ok((keys, bytes))
    }

    /// Opens a connection to the queue node.
    pub(crate) async fn queue(&self) -> Result<redis::aio::MultiplexedConnection> {
        let url = self.stack.env().get("REDIS_URL").context("no REDIS_URL")?;
        Ok(redis::Client::open(url)?
            .get_multiplexed_async_connection()
            .await?)
    }
}

impl Funded {
    /// Sends `count` transfers of one cent around the circle of wallets, several clients at once.
    pub(crate) async fn send(&self, count: usize, at_once: usize) -> Result<()> {
        let people = &self.people;
        stream::iter(0..count)
            .map(|number| async move {
                let from = people.get(number % people.len()).context("no wallets")?;
                let to = people.get((number + 1) % people.len()).context("no wallets")?;
                from.0.transfer(&from.1, &to.1, "0.01").await.map(drop)
            })
            .buffer_unordered(at_once)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }
}

/// Returns the resident memory of a process, in MB (10^6 bytes).
pub(crate) fn resident_mb(process: &Process) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    let kib: u32 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|text| text.trim().trim_end_matches(" kB").trim().parse().ok())
        .context("the system does not tell VmRSS")?;
    Ok(f64::from(kib) * 1_024.0 / 1_000_000.0)
}
