//! The interface of a running PostgreSQL server: its address, and the databases on it.

use anyhow::{Context as _, Result, bail};
use tokio_postgres::{Client, NoTls};
use url::Url;

/// The address of a running server, with the login. Its `Debug` shows the address only.
#[derive(Clone)]
pub struct Cluster {
    base: Url,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Cluster({}:{})",
            self.base.host_str().unwrap_or_default(),
            self.base.port().unwrap_or_default()
        )
    }
}

impl Cluster {
    /// The variable by which `wallet-dev with-postgres` gives its command the PostgreSQL on which it may create databases.
    pub const SHARED: &str = "WALLET_TEST_POSTGRES_URL";

    /// Takes the URL of any database of a server; the user must be allowed to create databases.
    ///
    /// # Errors
    /// When it is not a PostgreSQL URL.
    pub fn from_url(url: &str) -> Result<Self> {
        let base = Url::parse(url).context("not a URL")?;
        if !matches!(base.scheme(), "postgres" | "postgresql") {
            bail!("not a PostgreSQL URL");
        }
        Ok(Self { base })
    }

    /// Returns the server that `wallet-dev with-postgres` started for this program, if it did.
    ///
    /// # Errors
    /// When the variable holds something else.
    pub fn shared() -> Result<Option<Self>> {
        match std::env::var(Self::SHARED) {
            Ok(url) => Ok(Some(Self::from_url(&url).context(Self::SHARED)?)),
            Err(_) => Ok(None),
        }
    }

    /// Returns the URL of one of its databases, over TCP.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let mut url = self.base.clone();
        url.set_path(database);
        url.into()
    }

    /// Creates a database, as a copy of `template` if given; nothing may be connected to the template in the meantime.
    ///
    /// # Errors
    /// When it exists already, the template is in use, or the server cannot be reached.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<()> {
        let template = template
            .map(|template| format!(" TEMPLATE {}", quoted(template)))
            .unwrap_or_default();
        self.execute("postgres", &format!("CREATE DATABASE {}{template}", quoted(name)))
            .await
    }

    /// Creates a database unless it exists; returns whether it was created.
    ///
    /// # Errors
    /// As [`Self::create_database`].
    pub async fn ensure_database(&self, name: &str) -> Result<bool> {
        let client = self.connect("postgres").await?;
        if client
            .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
            .await?
            .is_some()
        {
            return Ok(false);
        }
        self.create_database(name, None).await?;
        Ok(true)
    }

    /// Creates a template for [`Self::create_database`] once, however many programs request it at the same time. `fill` gets the URL and
    /// prepares the database. What a failed `fill` left is dropped and created again the next time.
    ///
    /// # Errors
    /// As [`Self::create_database`], or the error of `fill`.
    pub async fn ensure_template(
        &self,
        name: &str,
        fill: impl AsyncFnOnce(String) -> Result<()>,
    ) -> Result<()> {
        // Held until the client is dropped.
        let lock = self.connect("postgres").await?;
        lock.execute("SELECT pg_advisory_lock(hashtext($1)::bigint)", &[&name])
            .await?;
        if lock
            .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
            .await?
            .is_some()
        {
            return Ok(());
        }
        let draft = format!("{name}_draft");
        self.drop_database(&draft).await?;
        self.create_database(&draft, None).await?;
        fill(self.url(&draft)).await?;
        self.execute(
            "postgres",
            &format!("ALTER DATABASE {} RENAME TO {}", quoted(&draft), quoted(name)),
        )
        .await
    }

    /// Drops a database and ends all connections to it; it is no error if it does not exist.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        self.execute(
            "postgres",
            &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name)),
        )
        .await
    }

    /// Runs SQL without parameters in a database, on a connection of its own.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn execute(&self, database: &str, sql: &str) -> Result<()> {
        self.connect(database)
            .await?
            .batch_execute(sql)
            .await
            .with_context(|| format!("PostgreSQL refused: {sql}"))
    }

    /// Opens a connection to a database, which is closed when the client is dropped.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls)
            .await
            .context("cannot connect to PostgreSQL")?;
        tokio::spawn(connection);
        Ok(client)
    }
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
