//! A private PostgreSQL: created by `initdb` if its folder is empty, on a loopback port and a Unix socket of its own.
//!
//! Root runs it as the `postgres` user, since PostgreSQL refuses root. Sockets are in a short folder under `/tmp`.

mod binaries;
mod cluster;
mod replica;
mod setup;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;

pub use self::cluster::Cluster;
use self::setup::Setup;
use super::account::Account;
use super::port;
use super::process::Process;
use super::scratch::Scratch;

/// The superuser of every server created here.
const SUPERUSER: &str = "postgres";

/// How long the connections of a killed server may take to notice its death.
const ORPHAN_LIMIT: Duration = Duration::from_secs(5);

/// The options of a server. The default is for tests: a scratch folder, no fsync, no password, any free port.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The folder of the data, or `None` for a scratch folder that is removed with the server.
    pub data_dir: Option<PathBuf>,
    /// The port, or `None` for any free one.
    pub port: Option<u16>,
    /// Whether commits survive a crash of the machine. They survive a crash of the server either way.
    pub fsync: bool,
    /// `max_connections`.
    pub max_connections: u32,
    /// The superuser's password, or `None` to trust every user of this machine.
    pub password: Option<String>,
    /// Further settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
    /// The log file, or `None` for one beside the data.
    pub log: Option<PathBuf>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            data_dir: None,
            port: None,
            fsync: false,
            max_connections: 200,
            password: None,
            settings: Vec::new(),
            log: None,
        }
    }
}

/// The way in which a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// A clean stop: connections are ended, and everything is written.
    Fast,
    /// An immediate stop, as in a crash: the next start recovers.
    Immediate,
}

/// A running server. Dropping it stops it at once.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    setup: Setup,
    port: u16,
    cluster: Cluster,
    // Dropped last: the server runs in these folders.
    sockets: Scratch,
    _scratch: Option<Scratch>,
}

impl Postgres {
    /// Starts a server and waits until it responds.
    ///
    /// # Errors
    /// When PostgreSQL 15 or newer is not installed, or the server does not start: the end of its log is in the message.
    pub async fn start(options: PostgresOptions) -> Result<Self> {
        let account = Account::for_postgres()?;
        let (data, scratch) = match &options.data_dir {
            Some(data) => (data.clone(), None),
            None => {
                let scratch = Scratch::new(account.as_ref())?;
                (scratch.path().join("data"), Some(scratch))
            }
        };
        let sockets = Scratch::new(account.as_ref())?;
        let fixed_port = options.port;
        let login = match &options.password {
            Some(password) => format!("{SUPERUSER}:{password}"),
            None => SUPERUSER.to_owned(),
        };
        let setup = Setup::make(options, account, data, sockets.path())?;
        let mut tries = 0;
        let (process, port) = loop {
            let port = fixed_port.map_or_else(port::free, Ok)?;
            match setup.start(port).await {
                Ok(process) => break (process, port),
                // Another program took the port in the meantime.
                Err(_) if fixed_port.is_none() && tries < 3 && setup.log_says("could not bind") => tries += 1,
                Err(error) => return Err(error),
            }
        };
        let cluster = Cluster::from_url(&format!("postgres://{login}@127.0.0.1:{port}/postgres"))?;
        Ok(Self {
            process,
            setup,
            port,
            cluster,
            sockets,
            _scratch: scratch,
        })
    }

    /// Returns the server's address.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Returns the URL of one of its databases, over TCP.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.cluster.url(database)
    }

    /// Returns the folder of its Unix socket, for `host=` of a client of the same user.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        self.sockets.path()
    }

    /// Creates a database; see [`Cluster::create_database`].
    ///
    /// # Errors
    /// As [`Cluster::create_database`].
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<()> {
        self.cluster.create_database(name, template).await
    }

    /// Returns its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its version, such as `15.18`.
    #[must_use]
    pub fn version(&self) -> &str {
        self.setup.version()
    }

    /// Returns its first process (the postmaster).
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Returns its first process (the postmaster), to wait for it or kill it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops it and waits until it has ended.
    ///
    /// # Errors
    /// When the system does not report how it ended.
    pub async fn stop(&mut self, mode: StopMode) -> Result<()> {
        let signal = match mode {
            StopMode::Fast => Signal::SIGINT,
            StopMode::Immediate => Signal::SIGQUIT,
        };
        self.process.stop_with(signal).await.map(drop)
    }

    /// Starts a stopped or crashed server again, on the same data and port.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process.stop_with(Signal::SIGQUIT).await?;
        let start = Instant::now();
        self.process = loop {
            match self.setup.start(self.port).await {
                Ok(process) => break process,
                Err(_) if start.elapsed() < ORPHAN_LIMIT && self.setup.log_says("shared memory block") => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests;
