//! A child process with its log file: in a process group of its own, stopped with a signal and a grace period, and never outliving this program.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::account::Account;
use super::env::Env;
use super::watchdog::Watchdog;

/// The interval at which a process that should end is checked.
const POLL: Duration = Duration::from_millis(10);

/// How long a dropped process may take to end before it is killed.
const DROP_GRACE: Duration = Duration::from_secs(3);

/// A program to start, and how it is stopped.
#[derive(Debug)]
pub struct ProcessSpec {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Env,
    log: PathBuf,
    account: Option<Account>,
    stop_signal: Signal,
    drop_signal: Signal,
    grace: Duration,
}

impl ProcessSpec {
    /// Names `program` for people, and appends its output to the file `log`. It is stopped by SIGTERM with a grace period of 10 s.
    #[must_use]
    pub fn new(name: &str, program: &Path, log: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            args: Vec::new(),
            env: Env::new(),
            log: log.to_owned(),
            account: None,
            stop_signal: Signal::SIGTERM,
            drop_signal: Signal::SIGKILL,
            grace: Duration::from_secs(10),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets its environment; it gets the deciding variables (see [`super::env::DECIDING`]) from here only.
    #[must_use]
    pub fn env(mut self, env: Env) -> Self {
        self.env = env;
        self
    }

    /// Sets how long [`Process::stop`] waits before it kills.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Starts it as another user.
    pub(crate) fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// Sets the signal for an orderly stop, and the one that is sent when the process is merely dropped.
    pub(crate) fn signals(mut self, stop: Signal, drop: Signal) -> Self {
        self.stop_signal = stop;
        self.drop_signal = drop;
        self
    }

    /// Starts the program.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be run.
    pub fn spawn(self) -> Result<Process> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot open {}", self.log.display()))?;
        let watchdog = Watchdog::of_this_program()?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        self.env.apply(&mut command);
        if let Some(account) = &self.account {
            command
                .uid(account.uid.as_raw())
                .gid(account.gid.as_raw())
                .current_dir("/");
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {} ({})", self.program.display(), self.name))?;
        let process = Process {
            spec: self,
            child,
            ended: None,
        };
        watchdog.add(process.pid(), process.spec.stop_signal)?;
        Ok(process)
    }
}

/// A child process, running or ended. Dropping it ends it at once.
#[derive(Debug)]
pub struct Process {
    spec: ProcessSpec,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Returns its name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Returns its process id, which is also the id of its group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the file of its output.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.spec.log
    }

    /// Returns the last `lines` lines of its output.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> Vec<String> {
        tail(&self.spec.log, lines).unwrap_or_default()
    }

    /// Returns how it ended, or `None` while it runs.
    ///
    /// # Errors
    /// When the system does not report it.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self
                .child
                .try_wait()
                .with_context(|| format!("cannot wait for {}", self.spec.name))?;
            if self.ended.is_some() {
                // Whatever it started is killed too.
                self.signal(Signal::SIGKILL);
                if let Ok(watchdog) = Watchdog::of_this_program() {
                    watchdog.remove(self.pid());
                }
            }
        }
        Ok(self.ended)
    }

    /// Waits until it ends by itself; returns `None` after `limit`.
    ///
    /// # Errors
    /// As [`Self::try_wait`].
    pub async fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(Some(status));
            }
            if start.elapsed() >= limit {
                return Ok(None);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Signals it to stop, waits for the grace period, then kills it.
    ///
    /// # Errors
    /// When the system does not report how it ended.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.stop_with(self.spec.stop_signal).await
    }

    /// Kills it and everything it started (SIGKILL), and waits until it has ended.
    ///
    /// # Errors
    /// When the system does not report how it ended.
    pub async fn kill(&mut self) -> Result<ExitStatus> {
        self.stop_with(Signal::SIGKILL).await
    }

    pub(crate) async fn stop_with(&mut self, signal: Signal) -> Result<ExitStatus> {
        if let Some(status) = self.try_wait()? {
            return Ok(status);
        }
        self.signal(signal);
        if let Some(status) = self.wait(self.spec.grace).await? {
            return Ok(status);
        }
        self.signal(Signal::SIGKILL);
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Suspends it (SIGSTOP), as if the machine had stalled.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a suspended process continue (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Sends a signal to its whole group; a group that no longer exists is ignored.
    pub fn signal(&self, signal: Signal) {
        if let Ok(group) = i32::try_from(self.pid()) {
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.try_wait(), Ok(None)) {
            return;
        }
        self.thaw();
        self.signal(self.spec.drop_signal);
        let start = Instant::now();
        while start.elapsed() < DROP_GRACE {
            if !matches!(self.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(POLL);
        }
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
        let _ = self.try_wait();
    }
}

/// Returns the last lines of a file, read from its last 64 KiB.
pub(crate) fn tail(file: &Path, lines: usize) -> std::io::Result<Vec<String>> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut last: Vec<String> = text.lines().rev().take(lines).map(str::to_owned).collect();
    last.reverse();
    Ok(last)
}

#[cfg(test)]
mod tests;
