//! The servers that the system needs, without the system itself: PostgreSQL, the queue's Redis and the lock nodes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::account::Account;
use super::env::Env;
use super::postgres::{Postgres, PostgresOptions, StopMode};
use super::process::Process;
use super::progress::Progress;
use super::redis::{Redis, RedisOptions};
use super::{LOCK_NODES, port};

/// Where servers store their data, and how durably.
#[derive(Debug, Clone)]
pub enum Keep {
    /// Data and logs stay in this folder; commits survive a crash of the machine.
    In {
        /// The folder.
        folder: PathBuf,
        /// Password of PostgreSQL's superuser.
        postgres_password: String,
    },
    /// Scratch folders that are removed with the servers; no fsync: for tests.
    Nothing,
}

/// Running servers. Dropping them stops them at once.
#[derive(Debug)]
pub struct Servers {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// The Redis of the queue, sessions, caches and limits.
    pub queue: Redis,
    /// The Redis nodes of RedLock.
    pub locks: Vec<Redis>,
}

impl Servers {
    /// Starts all of them. Those that keep their data use their usual ports if these are free.
    ///
    /// # Errors
    /// When one is not installed or does not start.
    pub async fn start(keep: &Keep, progress: &Progress) -> Result<Self> {
        let step = progress.step();
        let postgres = Postgres::start(postgres_options(keep)?).await?;
        step.done(&format!(
            "PostgreSQL {} on 127.0.0.1:{}",
            postgres.version(),
            postgres.port()
        ));

        let step = progress.step();
        let queue = Redis::start(queue_options(keep)?).await?;
        let mut locks = Vec::new();
        for number in 1..=LOCK_NODES {
            locks.push(Redis::start(lock_options(keep, number)?).await?);
        }
        let ports: Vec<String> = locks.iter().map(|node| node.port().to_string()).collect();
        step.done(&format!(
            "Redis on 127.0.0.1:{}, lock nodes on {}",
            queue.port(),
            ports.join(", ")
        ));
        Ok(Self {
            postgres,
            queue,
            locks,
        })
    }

    /// Returns the variables that lead to these servers, with this database.
    #[must_use]
    pub fn env(&self, database: &str) -> Env {
        let locks: Vec<String> = self.locks.iter().map(Redis::url).collect();
        Env::new()
            .with("DATABASE_URL", self.postgres.url(database))
            .with("REDIS_URL", self.queue.url())
            .with("REDLOCK_URLS", locks.join(","))
    }

    /// Iterates over their processes.
    pub fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        let redis = std::iter::once(&mut self.queue)
            .chain(&mut self.locks)
            .map(Redis::process_mut);
        std::iter::once(self.postgres.process_mut()).chain(redis)
    }

    /// Stops all of them in an orderly way.
    ///
    /// # Errors
    /// When the system does not report how one of them ended.
    pub async fn stop(&mut self) -> Result<()> {
        for redis in std::iter::once(&mut self.queue).chain(&mut self.locks) {
            redis.stop().await?;
        }
        self.postgres.stop(StopMode::Fast).await
    }
}

fn postgres_options(keep: &Keep) -> Result<PostgresOptions> {
    match keep {
        Keep::Nothing => Ok(PostgresOptions {
            max_connections: 400,
            ..PostgresOptions::default()
        }),
        Keep::In {
            folder,
            postgres_password,
        } => Ok(PostgresOptions {
            data_dir: Some(postgres_home(folder)?),
            port: Some(port::prefer(5433)?),
            fsync: true,
            password: Some(postgres_password.clone()),
            log: Some(log(folder, "postgres")?),
            ..PostgresOptions::default()
        }),
    }
}

fn queue_options(keep: &Keep) -> Result<RedisOptions> {
    match keep {
        Keep::Nothing => Ok(RedisOptions::default()),
        Keep::In { folder, .. } => Ok(RedisOptions {
            port: Some(port::prefer(6380)?),
            append_only_in: Some(folder.join("redis")),
            log: Some(log(folder, "redis")?),
            ..RedisOptions::default()
        }),
    }
}

fn lock_options(keep: &Keep, number: u16) -> Result<RedisOptions> {
    let name = Some(format!("lock node {number}"));
    match keep {
        Keep::Nothing => Ok(RedisOptions {
            name,
            ..RedisOptions::default()
        }),
        Keep::In { folder, .. } => Ok(RedisOptions {
            name,
            port: Some(port::prefer(6380 + number)?),
            log: Some(log(folder, &format!("lock-{number}"))?),
            ..RedisOptions::default()
        }),
    }
}

/// Returns the log file of a program in a persistent folder; the previous run's file is renamed.
pub(crate) fn log(folder: &Path, name: &str) -> Result<PathBuf> {
    let logs = folder.join("logs");
    std::fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let file = logs.join(format!("{name}.log"));
    if file.exists() {
        std::fs::rename(&file, file.with_extension("log.old"))?;
    }
    Ok(file)
}

/// Returns PostgreSQL's data folder: in `folder`, unless we are root and PostgreSQL's user cannot reach that (as in root's home).
fn postgres_home(folder: &Path) -> Result<PathBuf> {
    let near = folder.join("postgres");
    match Account::for_postgres()? {
        Some(account) if !account.can_reach(&near) => {
            let home = Path::new("/var/lib/wallet-dev");
            // One readable name per folder.
            let name = folder.display().to_string().replace('%', "%25").replace('/', "%");
            std::fs::create_dir_all(home).with_context(|| format!("cannot make {}", home.display()))?;
            Ok(home.join(name))
        }
        _ => Ok(near),
    }
}
