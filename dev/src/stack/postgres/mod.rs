//! A private PostgreSQL: made with `initdb` when its folder is empty, on a loopback port and a Unix socket of its own.
//!
//! Root hands it to the `postgres` user, which PostgreSQL insists on. Sockets live in a short folder under `/tmp`.

mod binaries;
mod cluster;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use std::os::unix::process::CommandExt as _;

use self::binaries::Binaries;
pub use self::cluster::Cluster;
use super::account::Account;
use super::port;
use super::process::{Process, ProcessSpec, tail};
use super::scratch::Scratch;
use super::secrets::write_private;

/// The superuser of every server made here.
const SUPERUSER: &str = "postgres";

/// Long enough for a recovery after a crash.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// How a server is to be made. The default is for tests: a scratch folder, no fsync, no password, any free port.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The folder that keeps the data; without one, a scratch folder that goes with the server.
    pub data_dir: Option<PathBuf>,
    /// The port; without one, any free one.
    pub port: Option<u16>,
    /// Whether commits survive a crash of the machine; those of a crash of the server they survive either way.
    pub fsync: bool,
    /// `max_connections`.
    pub max_connections: u32,
    /// The superuser's password; without one, everybody on this machine is trusted.
    pub password: Option<String>,
    /// More settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
    /// The log file; without one, it lies beside the data.
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

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Connections are ended, everything is written: a clean stop.
    Fast,
    /// At once, as after a crash: the next start recovers.
    Immediate,
}

/// A running server. Dropping it stops it at once.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    binaries: Binaries,
    account: Option<Account>,
    options: PostgresOptions,
    data: PathBuf,
    log: PathBuf,
    port: u16,
    cluster: Cluster,
    // Dropped last: the server runs in them.
    sockets: Scratch,
    _scratch: Option<Scratch>,
}

impl Postgres {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When PostgreSQL 15 or newer is not installed, or the server does not come up: the end of its log is in the message.
    pub async fn start(options: PostgresOptions) -> Result<Self> {
        let account = Account::for_postgres()?;
        let (data, scratch) = match &options.data_dir {
            Some(data) => (data.clone(), None),
            None => {
                let scratch = Scratch::new(account.as_ref())?;
                (scratch.path().join("data"), Some(scratch))
            }
        };
        let log = options.log.clone().unwrap_or_else(|| data.with_extension("log"));
        let sockets = Scratch::new(account.as_ref())?;
        let binaries = prepare(
            &data,
            account.as_ref(),
            options.password.as_deref(),
            sockets.path(),
        )?;
        let mut tries = 0;
        let (process, port) = loop {
            let port = match options.port {
                Some(port) => port,
                None => port::free()?,
            };
            let mut process = server(
                &binaries,
                account.as_ref(),
                &options,
                &data,
                sockets.path(),
                &log,
                port,
            )
            .spawn()?;
            match ready(&mut process, &data).await {
                Ok(()) => break (process, port),
                // Somebody else took the port meanwhile.
                Err(_) if options.port.is_none() && tries < 3 && log_says(&log, "could not bind") => {
                    tries += 1
                }
                Err(error) => return Err(error),
            }
        };
        let login = match &options.password {
            Some(password) => format!("{SUPERUSER}:{password}"),
            None => SUPERUSER.to_owned(),
        };
        let cluster = Cluster::from_url(&format!("postgres://{login}@127.0.0.1:{port}/postgres"))?;
        Ok(Self {
            process,
            binaries,
            account,
            options,
            data,
            log,
            port,
            cluster,
            sockets,
            _scratch: scratch,
        })
    }

    /// The server seen from outside.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The URL of one of its databases, over TCP.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.cluster.url(database)
    }

    /// The folder of its Unix socket, for `host=` of a client of the same user.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        self.sockets.path()
    }

    /// Makes a database; see [`Cluster::create_database`].
    ///
    /// # Errors
    /// As [`Cluster::create_database`].
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<()> {
        self.cluster.create_database(name, template).await
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its version, such as `15.18`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.binaries.version
    }

    /// Its first process (the postmaster).
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its first process (the postmaster), to wait for it or kill it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops it and waits until it is gone.
    ///
    /// # Errors
    /// When the system does not tell how it ended.
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
    /// When it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process.stop_with(Signal::SIGQUIT).await?;
        let start = Instant::now();
        loop {
            forget_dead_postmaster(&self.data)?;
            let (account, sockets) = (self.account.as_ref(), self.sockets.path());
            let spec = server(
                &self.binaries,
                account,
                &self.options,
                &self.data,
                sockets,
                &self.log,
                self.port,
            );
            self.process = spec.spawn()?;
            match ready(&mut self.process, &self.data).await {
                // The connections of a killed server take a moment to notice its death.
                Err(_)
                    if start.elapsed() < Duration::from_secs(5)
                        && log_says(&self.log, "shared memory block") =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                result => return result,
            }
        }
    }
}

/// Makes the data folder when there is none, and gives the programs that fit it.
fn prepare(
    data: &Path,
    account: Option<&Account>,
    password: Option<&str>,
    scratch: &Path,
) -> Result<Binaries> {
    if let Ok(version) = fs::read_to_string(data.join("PG_VERSION")) {
        let major = version
            .trim()
            .parse()
            .with_context(|| format!("{} is no data of PostgreSQL", data.display()))?;
        forget_dead_postmaster(data)?;
        return Binaries::find(Some(major));
    }
    let binaries = Binaries::find(None)?;
    // What an interrupted initdb left is worth nothing: PG_VERSION would be there otherwise.
    if data.exists() {
        fs::remove_dir_all(data)
            .with_context(|| format!("cannot remove the unfinished {}", data.display()))?;
    }
    // initdb writes PG_VERSION early, so it works under another name until it is done.
    let draft = data.with_extension("new");
    let _ = fs::remove_dir_all(&draft);
    fs::create_dir_all(&draft).with_context(|| format!("cannot make {}", draft.display()))?;
    let mut command = Command::new(binaries.folder.join("initdb"));
    command
        .args([
            "--username",
            SUPERUSER,
            "--encoding",
            "UTF8",
            "--locale",
            "C",
            "--no-sync",
            "--no-instructions",
            "-D",
        ])
        .arg(&draft);
    if let Some(password) = password {
        let file = scratch.join("password");
        write_private(&file, password.as_bytes())?;
        if let Some(account) = account {
            account.own(&file)?;
        }
        command.args(["--auth", "scram-sha-256", "--pwfile"]).arg(&file);
    } else {
        command.args(["--auth", "trust"]);
    }
    if let Some(account) = account {
        account.own(&draft)?;
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    let output = command.current_dir("/").output().context("cannot run initdb")?;
    let _ = fs::remove_file(scratch.join("password"));
    if !output.status.success() {
        bail!(
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    fs::rename(&draft, data).with_context(|| format!("cannot name {}", data.display()))?;
    Ok(binaries)
}

fn server(
    binaries: &Binaries,
    account: Option<&Account>,
    options: &PostgresOptions,
    data: &Path,
    sockets: &Path,
    log: &Path,
    port: u16,
) -> ProcessSpec {
    let mut settings = vec![
        ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
        ("port".to_owned(), port.to_string()),
        (
            "unix_socket_directories".to_owned(),
            sockets.display().to_string(),
        ),
        ("max_connections".to_owned(), options.max_connections.to_string()),
        ("timezone".to_owned(), "UTC".to_owned()),
        ("log_timezone".to_owned(), "UTC".to_owned()),
    ];
    if !options.fsync {
        // Commits still reach the kernel at once (synchronous_commit stays on): they survive the death of the server, as tests expect.
        settings.extend(["fsync", "full_page_writes"].map(|name| (name.to_owned(), "off".to_owned())));
    }
    settings.extend(options.settings.iter().cloned());
    let settings = settings
        .into_iter()
        .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]);
    ProcessSpec::new("PostgreSQL", &binaries.folder.join("postgres"), log)
        .args(["-D".into(), data.as_os_str().to_owned()])
        .args(settings)
        .account(account.cloned())
        .signals(Signal::SIGINT, Signal::SIGQUIT)
        .grace(Duration::from_secs(30))
}

/// Waits for the line by which the server itself says that it takes connections.
async fn ready(process: &mut Process, data: &Path) -> Result<()> {
    let start = Instant::now();
    let pid = process.pid().to_string();
    loop {
        if let Some(status) = process.try_wait()? {
            bail!(
                "PostgreSQL ended ({status}):\n{}",
                process.log_tail(12).join("\n")
            );
        }
        let status = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        let mut lines = status.lines();
        if lines.next() == Some(pid.as_str()) && lines.nth(6).is_some_and(|word| word.trim() == "ready") {
            return Ok(());
        }
        if start.elapsed() > READY_LIMIT {
            bail!(
                "PostgreSQL is not ready after {} s:\n{}",
                READY_LIMIT.as_secs(),
                process.log_tail(12).join("\n")
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether the last lines of the log say so.
fn log_says(log: &Path, words: &str) -> bool {
    tail(log, 8)
        .unwrap_or_default()
        .iter()
        .any(|line| line.contains(words))
}

/// Removes a `postmaster.pid` whose number belongs to some other program by now: PostgreSQL would refuse to start beside it. A number that
/// belongs to nobody is left to PostgreSQL, which then also looks for processes of the crashed server.
fn forget_dead_postmaster(data: &Path) -> Result<()> {
    let file = data.join("postmaster.pid");
    let pid = fs::read_to_string(&file)
        .ok()
        .and_then(|text| text.lines().next()?.trim().parse().ok());
    match pid.and_then(super::record::command_of) {
        Some(command) if !command.contains("postgres") => {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_survives_a_crash_and_a_restart_on_the_same_port() {
        let mut postgres = Postgres::start(PostgresOptions {
            password: Some("s3cret".into()),
            ..PostgresOptions::default()
        })
        .await
        .unwrap();
        postgres.create_database("one", None).await.unwrap();
        postgres
            .cluster()
            .execute("one", "CREATE TABLE t AS SELECT 42 AS x")
            .await
            .unwrap();
        let url = postgres.url("one");
        postgres.process_mut().kill().await.unwrap();
        postgres.start_again().await.unwrap();
        assert_eq!(postgres.url("one"), url);
        postgres.create_database("two", Some("one")).await.unwrap();
        let row = postgres
            .cluster()
            .connect("two")
            .await
            .unwrap()
            .query_one("SELECT x FROM t", &[])
            .await
            .unwrap();
        assert_eq!(row.get::<_, i32>(0), 42);
        postgres.stop(StopMode::Fast).await.unwrap();
        assert!(postgres.cluster().connect("one").await.is_err());
    }

    #[tokio::test]
    async fn a_wrong_password_does_not_get_in() {
        let postgres = Postgres::start(PostgresOptions {
            password: Some("s3cret".into()),
            ..PostgresOptions::default()
        })
        .await
        .unwrap();
        let wrong = postgres.url("postgres").replace("s3cret", "other");
        assert!(
            Cluster::from_url(&wrong)
                .unwrap()
                .connect("postgres")
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn nothing_stays_behind() {
        let postgres = Postgres::start(PostgresOptions::default()).await.unwrap();
        let (data, sockets, pid) = (
            postgres.data.clone(),
            postgres.socket_folder().to_owned(),
            postgres.process().pid(),
        );
        drop(postgres);
        assert!(!data.exists() && !sockets.exists());
        assert_eq!(super::super::record::command_of(pid), None);
    }
}
