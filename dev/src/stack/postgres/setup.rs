//! Prepares a server's data (`initdb`) and starts it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use super::binaries::Binaries;
use super::{PostgresOptions, SUPERUSER};
use crate::stack::account::Account;
use crate::stack::process::{Process, ProcessSpec, tail};
use crate::stack::record;
use crate::stack::secrets::write_private;

/// The time limit of a start: long enough for a recovery after a crash.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// A data folder, with everything that is needed to start a server on it.
#[derive(Debug)]
pub(super) struct Setup {
    binaries: Binaries,
    account: Option<Account>,
    options: PostgresOptions,
    data: PathBuf,
    sockets: PathBuf,
    log: PathBuf,
}

impl Setup {
    /// Finds the programs that fit the data, and creates the data if there are none.
    pub(super) fn make(
        options: PostgresOptions,
        account: Option<Account>,
        data: PathBuf,
        sockets: &Path,
    ) -> Result<Self> {
        let major = match fs::read_to_string(data.join("PG_VERSION")) {
            Ok(version) => {
                let major = version.trim().parse();
                Some(major.with_context(|| format!("{} is no data of PostgreSQL", data.display()))?)
            }
            Err(_) => None,
        };
        let binaries = Binaries::find(major)?;
        let log = options.log.clone().unwrap_or_else(|| data.with_extension("log"));
        let setup = Self {
            binaries,
            account,
            options,
            data,
            sockets: sockets.to_owned(),
            log,
        };
        if major.is_none() {
            setup.make_data()?;
        }
        Ok(setup)
    }

    pub(super) fn version(&self) -> &str {
        &self.binaries.version
    }

    /// Returns the folder of its programs.
    pub(super) fn binaries(&self) -> &Path {
        &self.binaries.folder
    }

    #[cfg(test)]
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Creates the data under another name until it is complete, since initdb writes `PG_VERSION` early. Any earlier attempt is removed.
    fn make_data(&self) -> Result<()> {
        let draft = self.data.with_extension("new");
        for unfinished in [&self.data, &draft] {
            if unfinished.exists() {
                fs::remove_dir_all(unfinished)
                    .with_context(|| format!("cannot remove the unfinished {}", unfinished.display()))?;
            }
        }
        fs::create_dir_all(&draft).with_context(|| format!("cannot make {}", draft.display()))?;
        let mut command = Command::new(self.binaries.folder.join("initdb"));
        command.args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C"]);
        command
            .args(["--no-sync", "--no-instructions", "-D"])
            .arg(&draft)
            .current_dir("/");
        let password_file = self.sockets.join("password");
        if let Some(password) = &self.options.password {
            write_private(&password_file, password.as_bytes())?;
            command
                .args(["--auth", "scram-sha-256", "--pwfile"])
                .arg(&password_file);
        } else {
            command.args(["--auth", "trust"]);
        }
        if let Some(account) = &self.account {
            account.own(&draft)?;
            if self.options.password.is_some() {
                account.own(&password_file)?;
            }
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        let output = command.output().context("cannot run initdb");
        let _ = fs::remove_file(&password_file);
        let output = output?;
        if !output.status.success() {
            bail!(
                "initdb failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        fs::rename(&draft, &self.data).with_context(|| format!("cannot name {}", self.data.display()))
    }

    /// Starts a server and waits until it accepts connections.
    pub(super) async fn start(&self, port: u16) -> Result<Process> {
        self.forget_other_program()?;
        let mut process = self.spec(port).spawn()?;
        self.ready(&mut process).await?;
        Ok(process)
    }

    fn spec(&self, port: u16) -> ProcessSpec {
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            format!("unix_socket_directories={}", self.sockets.display()),
            format!("max_connections={}", self.options.max_connections),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
        ];
        if !self.options.fsync {
            // Commits still reach the kernel at once (synchronous_commit stays on): they survive the death of the server, as tests expect.
            settings.extend(["fsync=off".to_owned(), "full_page_writes=off".to_owned()]);
        }
        settings.extend(
            self.options
                .settings
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        ProcessSpec::new("PostgreSQL", &self.binaries.folder.join("postgres"), &self.log)
            .args(["-D".into(), self.data.as_os_str().to_owned()])
            .args(
                settings
                    .into_iter()
                    .flat_map(|setting| ["-c".to_owned(), setting]),
            )
            .account(self.account.clone())
            .signals(Signal::SIGINT, Signal::SIGQUIT)
            .grace(Duration::from_secs(30))
    }

    /// Waits for the line in which the server itself reports that it accepts connections.
    async fn ready(&self, process: &mut Process) -> Result<()> {
        let start = Instant::now();
        let pid = process.pid().to_string();
        loop {
            if let Some(status) = process.try_wait()? {
                bail!(
                    "PostgreSQL ended ({status}):\n{}",
                    process.log_tail(12).join("\n")
                );
            }
            let status = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
            let mut lines = status.lines();
            if lines.next() == Some(pid.as_str()) && lines.nth(6).is_some_and(|word| word.trim() == "ready") {
                return Ok(());
            }
            if start.elapsed() > READY_LIMIT {
                let (limit, last) = (READY_LIMIT.as_secs(), process.log_tail(12).join("\n"));
                bail!("PostgreSQL is not ready after {limit} s:\n{last}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns whether one of the last lines of the log contains these words.
    pub(super) fn log_says(&self, words: &str) -> bool {
        tail(&self.log, 8)
            .unwrap_or_default()
            .iter()
            .any(|line| line.contains(words))
    }

    /// Removes a `postmaster.pid` whose process id now belongs to some other program: PostgreSQL would refuse to start beside it. If no
    /// process has that id, the file is left to PostgreSQL, which then also checks for remaining processes of the crashed server.
    fn forget_other_program(&self) -> Result<()> {
        let file = self.data.join("postmaster.pid");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        match pid.and_then(record::command_of) {
            Some(command) if !command.contains("postgres") => {
                fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
            }
            _ => Ok(()),
        }
    }
}
