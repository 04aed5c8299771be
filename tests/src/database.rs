//! A test's own database: SQL for reading and for planting faults, and the core's own pool.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, Row};
use wallet_core::db::{Db, DbOptions};

use crate::servers;

/// Tables whose rows never change by themselves: compared before and after a request that must change nothing.
const BUSINESS_TABLES: [&str; 11] = [
    "wallets",
    "wallet_transactions",
    "transaction_events",
    "ledger_entries",
    "external_refs",
    "idempotency_keys",
    "jobs",
    "stripe_calls",
    "stripe_events",
    "alarms",
    "audit_log",
];

/// One database; cheap to clone.
#[derive(Clone)]
pub struct Database {
    name: Arc<str>,
    client: Arc<OnceCell<Client>>,
    pool: Arc<OnceCell<Db>>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Database").field(&self.name).finish()
    }
}

impl Database {
    /// Creates a migrated database that no other test uses.
    pub async fn migrated() -> Self {
        Self::named(servers::new_database().await)
    }

    /// Creates a database without any table.
    pub async fn empty() -> Self {
        Self::named(servers::empty_database().await)
    }

    /// Makes a copy of its current state. Existing connections are cut and have to be opened again.
    ///
    /// # Panics
    /// If PostgreSQL refuses.
    pub async fn copy(&self) -> Self {
        let cluster = servers::postgres().await;
        let allow = async |yes: bool| {
            let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {yes}", self.name);
            cluster.execute("postgres", &sql).await.unwrap();
        };
        allow(false).await;
        let others = format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        );
        cluster.execute("postgres", &others).await.unwrap();
        let copy = servers::copy_of(&self.name).await;
        allow(true).await;
        Self::named(copy)
    }

    fn named(name: String) -> Self {
        Self {
            name: name.into(),
            client: Arc::default(),
            pool: Arc::default(),
        }
    }

    /// The same database with new connections: the old ones were ended.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self::named(self.name.to_string())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `DATABASE_URL`.
    pub async fn url(&self) -> String {
        servers::without_tls(&servers::postgres().await.url(&self.name))
    }

    /// A new connection.
    ///
    /// # Panics
    /// If there is none available.
    pub async fn connect(&self) -> Client {
        servers::postgres().await.connect(&self.name).await.unwrap()
    }

    /// The connection of this test.
    pub async fn client(&self) -> &Client {
        self.client.get_or_init(|| self.connect()).await
    }

    /// A small pool of the core's type, for calls of its functions.
    ///
    /// # Panics
    /// If the database cannot be used.
    pub async fn pool(&self) -> &Db {
        let open = async || {
            let options = DbOptions {
                application_name: "wallet-tests",
                pool_size: 4,
                ..DbOptions::default()
            };
            Db::connect(&self.url().await, &options).await.unwrap()
        };
        self.pool.get_or_init(open).await
    }

    /// The rows of a query.
    ///
    /// # Panics
    /// If PostgreSQL refuses.
    pub async fn rows(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        let rows = self.client().await.query(sql, values).await;
        rows.unwrap_or_else(|error| panic!("{sql}: {}", told(&error)))
    }

    /// The only value of a query.
    ///
    /// # Panics
    /// If PostgreSQL refuses or there is not exactly one row.
    pub async fn value<T: FromSqlOwned>(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> T {
        let rows = self.rows(sql, values).await;
        assert_eq!(rows.len(), 1, "one row is expected of {sql}");
        rows[0].get(0)
    }

    /// The number of rows that a query counts.
    ///
    /// # Panics
    /// If PostgreSQL refuses.
    pub async fn count(&self, what: &str) -> i64 {
        self.value(&format!("SELECT count(*) FROM {what}"), &[]).await
    }

    /// Runs a statement and returns how many rows it changed.
    ///
    /// # Panics
    /// If PostgreSQL refuses.
    pub async fn execute(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> u64 {
        let done = self.client().await.execute(sql, values).await;
        done.unwrap_or_else(|error| panic!("{sql}: {}", told(&error)))
    }

    /// Runs a statement that PostgreSQL must refuse, and returns its message.
    ///
    /// # Panics
    /// If it does not refuse.
    pub async fn refusal(&self, sql: &str) -> String {
        match self.client().await.batch_execute(sql).await {
            Ok(()) => panic!("not refused: {sql}"),
            Err(error) => told(&error),
        }
    }

    /// A digest of every row of every table: equal when nothing has changed. The job by which workers page Stripe's events is left out, since
    /// it comes and goes by itself.
    ///
    /// # Panics
    /// If PostgreSQL refuses.
    pub async fn digest(&self) -> Vec<String> {
        let parts: Vec<String> = BUSINESS_TABLES
            .iter()
            .map(|table| {
                format!(
                    "SELECT '{table} ' || count(*) || ' ' || md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t{}",
                    if *table == "jobs" { " WHERE kind <> 'page_events'" } else { "" }
                )
            })
            .collect();
        self.rows(&parts.join(" UNION ALL "), &[])
            .await
            .iter()
            .map(|row| row.get(0))
            .collect()
    }

    /// Drops the database and ends all sessions that are still connected.
    ///
    /// # Panics
    /// If PostgreSQL refuses.
    pub async fn drop(self) {
        servers::postgres().await.drop_database(&self.name).await.unwrap();
    }
}

fn told(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |refusal| refusal.message().to_owned())
}

/// The output of `pg_dump` for a database, without what differs from run to run.
///
/// # Panics
/// If `pg_dump` is not installed or fails.
pub async fn dump(url: &str, args: &[&str]) -> String {
    let output = tokio::process::Command::new("pg_dump")
        .args(args)
        .arg(url)
        .output()
        .await
        .expect("pg_dump");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    // Since 15.14 a dump is wrapped into \restrict lines with a random word.
    text.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Restores a dump into an empty database.
///
/// # Panics
/// If `psql` is not installed or a statement fails.
pub async fn restore(url: &str, dump: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), dump).unwrap();
    let output = tokio::process::Command::new("psql")
        .args([url, "-v", "ON_ERROR_STOP=1", "-q", "-f"])
        .arg(file.path())
        .output()
        .await
        .expect("psql");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
