//! PostgreSQL with a streaming replica that has every commit before the client's answer.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls};
use wallet_dev::stack::{Postgres, PostgresOptions};

/// The name of the database.
pub(crate) const NAME: &str = "wallet";

/// The primary and its replica.
#[derive(Debug)]
pub(crate) struct Database {
    servers: Mutex<Pair>,
    port: AtomicU16,
}

#[derive(Debug)]
pub(crate) struct Pair {
    /// The server that takes writes.
    pub(crate) primary: Postgres,
    replica: Option<Postgres>,
}

fn options() -> PostgresOptions {
    PostgresOptions {
        fsync: true,
        max_connections: 300,
        settings: vec![
            ("wal_sender_timeout".to_owned(), "5s".to_owned()),
            // Shows which program's statement was refused.
            ("log_line_prefix".to_owned(), "%m [%p] %a ".to_owned()),
            ("deadlock_timeout".to_owned(), "200ms".to_owned()),
            ("max_wal_size".to_owned(), "256MB".to_owned()),
            // No commit returns before the replica has it, so the replica must reconnect to a restarted primary at once, and not after 5 s.
            ("wal_retrieve_retry_interval".to_owned(), "250ms".to_owned()),
        ],
        ..PostgresOptions::default()
    }
}

impl Database {
    /// Starts a server with an empty database; [`Self::follow`] adds the replica.
    pub(crate) async fn start() -> Result<Self> {
        let primary = Postgres::start(options()).await?;
        primary.create_database(NAME, None).await?;
        Ok(Self {
            port: AtomicU16::new(primary.port()),
            servers: Mutex::new(Pair {
                primary,
                replica: None,
            }),
        })
    }

    /// Returns the port of the server that takes writes.
    pub(crate) fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// Returns the URL of the database, bypassing every proxy.
    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/{NAME}?sslmode=disable",
            self.port()
        )
    }

    /// Opens a connection that bypasses every proxy.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let url = self.url();
        let connecting = tokio_postgres::connect(&url, NoTls);
        let (client, connection) = tokio::time::timeout(Duration::from_secs(5), connecting)
            .await
            .context("PostgreSQL does not answer")??;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Waits a little until PostgreSQL accepts sessions again, which it does not while it recovers from the previous fault.
    pub(crate) async fn settled(&self) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(4) && self.number("SELECT 1::bigint").await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns the first column of the only row.
    pub(crate) async fn number(&self, sql: &str) -> Result<i64> {
        let client = self.connect().await?;
        Ok(client.query_one(sql, &[]).await?.get(0))
    }

    /// Executes statements.
    pub(crate) async fn execute(&self, sql: &str) -> Result<()> {
        Ok(self.connect().await?.batch_execute(sql).await?)
    }

    /// Returns both servers, to stop and start them.
    pub(crate) async fn servers(&self) -> tokio::sync::MutexGuard<'_, Pair> {
        self.servers.lock().await
    }

    /// Gives the primary a replica; from then on no commit returns without it.
    pub(crate) async fn follow(&self) -> Result<()> {
        let mut servers = self.servers.lock().await;
        if servers.replica.is_none() {
            let replica = servers.primary.copy(true, options()).await?;
            servers.replica = Some(replica);
        }
        require(&servers.primary, "'ANY 1 (*)'").await
    }

    /// Kills the primary and promotes the replica; returns the new port.
    pub(crate) async fn fail_over(&self) -> Result<u16> {
        let mut servers = self.servers.lock().await;
        let replica = servers.replica.take().context("there is no replica")?;
        servers.primary.process_mut().kill().await?;
        replica.promote().await?;
        require(&replica, "''").await?;
        let port = replica.port();
        servers.primary = replica;
        self.port.store(port, Ordering::Relaxed);
        Ok(port)
    }
}

impl Database {
    /// Puts another server in the place of both; returns its port.
    pub(crate) async fn replace(&self, by: Postgres) -> Result<u16> {
        let mut servers = self.servers.lock().await;
        servers.replica = None;
        require(&by, "''").await?;
        let port = by.port();
        servers.primary = by;
        self.port.store(port, Ordering::Relaxed);
        Ok(port)
    }
}

/// Sets which replicas a commit waits for.
async fn require(server: &Postgres, standbys: &str) -> Result<()> {
    let cluster = server.cluster();
    cluster
        .execute(
            "postgres",
            &format!("ALTER SYSTEM SET synchronous_standby_names = {standbys}"),
        )
        .await?;
    cluster.execute("postgres", "SELECT pg_reload_conf()").await
}
