//! The servers of a test run: one PostgreSQL for all tests, and Redis nodes for each test process.
//!
//! cargo-nextest runs every test in a process of its own, so making a PostgreSQL cluster per process would cost more than the tests.
//! It is found in this order: the one that `bin/test` started (`WALLET_TEST_POSTGRES_URL`); the one of this nextest run, started by
//! its first test and ended when nextest ends; or one of this process. Redis starts in a few milliseconds: each process has its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use std::os::unix::process::{CommandExt as _, parent_id};

use anyhow::{Context as _, Result};
use tokio::sync::OnceCell;
use wallet_core::clock::{Clock, SystemClock};
use wallet_core::db::{self, Db, DbOptions};
use wallet_dev::stack::{Cluster, LOCK_NODES, Postgres, PostgresOptions, Redis, RedisOptions, program};

use crate::poll;

/// The migrated database of which every test's own database is a copy.
const TEMPLATE: &str = "wallet_template";

/// The queue's Redis and the lock nodes.
#[derive(Debug)]
pub struct RedisNodes {
    /// The node for queue, sessions, caches and limits.
    pub queue: Redis,
    /// The lock nodes of RedLock.
    pub locks: Vec<Redis>,
}

impl RedisNodes {
    /// Starts a queue node and three lock nodes that no other test uses.
    ///
    /// # Panics
    /// If Redis is not installed or does not start.
    pub async fn start() -> Self {
        let mut locks = Vec::new();
        for number in 1..=LOCK_NODES {
            let name = Some(format!("lock node {number}"));
            locks.push(
                Redis::start(RedisOptions {
                    name,
                    ..RedisOptions::default()
                })
                .await
                .unwrap(),
            );
        }
        let queue = Redis::start(RedisOptions::default()).await.unwrap();
        Self { queue, locks }
    }

    /// `REDLOCK_URLS`.
    #[must_use]
    pub fn lock_urls(&self) -> String {
        self.locks.iter().map(Redis::url).collect::<Vec<_>>().join(",")
    }
}

/// The Redis nodes of this process.
pub async fn redis() -> &'static RedisNodes {
    static NODES: OnceCell<RedisNodes> = OnceCell::const_new();
    NODES.get_or_init(RedisNodes::start).await
}

/// The PostgreSQL of this run, with the template database.
///
/// # Panics
/// If PostgreSQL is not installed, does not start, or the migrations fail.
pub async fn postgres() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(async || ready_cluster().await.unwrap()).await
}

async fn ready_cluster() -> Result<Cluster> {
    let cluster = match (Cluster::shared()?, std::env::var("NEXTEST_RUN_ID")) {
        (Some(shared), _) => shared,
        (None, Ok(run)) => match of_this_run(&run).await? {
            Some(cluster) => cluster,
            None => of_this_process().await?,
        },
        (None, Err(_)) => of_this_process().await?,
    };
    cluster
        .ensure_template(TEMPLATE, async |url| fill(&url).await)
        .await?;
    Ok(cluster)
}

async fn of_this_process() -> Result<Cluster> {
    static SERVER: OnceCell<Postgres> = OnceCell::const_new();
    let options = PostgresOptions {
        max_connections: 400,
        ..PostgresOptions::default()
    };
    let server = SERVER.get_or_try_init(|| Postgres::start(options)).await?;
    Ok(server.cluster().clone())
}

/// The cluster of a nextest run: the first test starts a small program that keeps it for as long as nextest runs. `None` when that
/// program (wallet-dev) has not been built.
async fn of_this_run(run: &str) -> Result<Option<Cluster>> {
    let folder = std::env::temp_dir().join(format!("wallet-tests-{run}"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let note = folder.join("postgres.url");
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    if !note.exists() {
        let Ok(program) = program::find("wallet-dev") else {
            return Ok(None);
        };
        keep_while_nextest_runs(&program, &folder, &note)?;
    }
    let url = poll::until("PostgreSQL of this nextest run", async || {
        fs::read_to_string(&note).ok()
    })
    .await;
    Ok(Some(Cluster::from_url(url.trim())?))
}

fn keep_while_nextest_runs(program: &Path, folder: &Path, note: &PathBuf) -> Result<()> {
    const KEEP: &str = r#"printf %s "$WALLET_TEST_POSTGRES_URL" > "$1.new" && mv "$1.new" "$1"
        while kill -0 "$2" 2>/dev/null; do sleep 0.5; done
        rm -rf "$3""#;
    Command::new(program)
        .args(["with-postgres", "sh", "-c", KEEP, "keep-postgres"])
        .arg(note)
        .arg(parent_id().to_string())
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    Ok(())
}

async fn fill(url: &str) -> Result<()> {
    let url = without_tls(url);
    db::migrate(&url).await?;
    let pool = Db::connect(
        &url,
        &DbOptions {
            pool_size: 1,
            ..DbOptions::default()
        },
    )
    .await?;
    db::ensure_partitions(&pool, SystemClock.now()).await?;
    drop(pool);
    // A database somebody is connected to cannot be copied; ended sessions take a moment to go.
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    poll::eventually("the template's sessions to end", async || {
        client.query_one(OTHERS, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    drop(client);
    connection.await??;
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}

/// The URL for clients that do not need to ask whether the server speaks TLS.
#[must_use]
pub fn without_tls(url: &str) -> String {
    format!("{url}?sslmode=disable")
}

/// Creates a database for one test, and returns its name.
///
/// # Panics
/// If PostgreSQL refuses.
pub async fn new_database() -> String {
    copy_of(TEMPLATE).await
}

/// Copies a database without open connections, and returns the copy's name.
///
/// # Panics
/// If PostgreSQL refuses.
pub async fn copy_of(template: &str) -> String {
    let name = format!("t_{}", uuid::Uuid::new_v4().simple());
    let cluster = postgres().await;
    cluster.create_database(&name, Some(template)).await.unwrap();
    name
}

/// Creates an empty database, without migrations, and returns its name.
///
/// # Panics
/// If PostgreSQL refuses.
pub async fn empty_database() -> String {
    let name = format!("e_{}", uuid::Uuid::new_v4().simple());
    postgres().await.create_database(&name, None).await.unwrap();
    name
}
