//! The state of a stack's folder: a lock that one running stack holds, and a record (`stack.json`) of its addresses and processes.
//!
//! The lock is the kernel's (`flock`), so it cannot be stale. The watchdog holds it too: after a `kill -9` it is free only when everything has
//! been stopped. The record is for people, for other commands, and for the rare case that the watchdog died as well.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::env::Env;
use super::process::Process;
use super::secrets::write_private;
use super::watchdog::Watchdog;

/// How long the watchdog, or this program, may take to clean up after a dying stack.
const CLEANUP_LIMIT: Duration = Duration::from_secs(30);

/// How long a stack may hold the lock without a record: between its start and its record, or its stop and its end.
const TRANSITION_LIMIT: Duration = Duration::from_secs(3);

/// The record of one process of a stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessNote {
    /// Its name for people.
    pub name: String,
    /// Its process id and group.
    pub pid: u32,
    /// When it was started, in the system's own form: together with the id this identifies a process uniquely.
    pub started: Option<String>,
    /// Its log file.
    pub log: Option<PathBuf>,
}

impl ProcessNote {
    /// Returns the record of a process that we started.
    #[must_use]
    pub fn of(process: &Process) -> Self {
        let pid = process.pid();
        Self {
            name: process.name().to_owned(),
            pid,
            started: start_of(pid),
            log: Some(process.log().to_owned()),
        }
    }

    /// Returns the record of this program.
    #[must_use]
    pub fn of_this_program() -> Self {
        let pid = std::process::id();
        Self {
            name: "wallet-dev".to_owned(),
            pid,
            started: start_of(pid),
            log: None,
        }
    }

    /// Returns whether exactly this process is still running.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.started.is_some() && start_of(self.pid) == self.started
    }

    fn signal(&self, signal: Signal) {
        if self.is_alive()
            && let Ok(group) = i32::try_from(self.pid)
        {
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }
}

/// The addresses of a running stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Addresses {
    /// The API's, such as `http://127.0.0.1:8080`, without a path.
    pub api: String,
    /// That of the worker's metrics and health.
    pub worker: String,
    /// The Stripe simulator's, or `None` if the real Stripe is used.
    pub simulator: Option<String>,
}

/// The record of a running stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The program that runs the stack.
    pub supervisor: ProcessNote,
    /// Its addresses, or `None` while it starts.
    pub addresses: Option<Addresses>,
    /// The processes that it started, in this order.
    pub processes: Vec<ProcessNote>,
    /// The environment of its programs; empty while it starts.
    pub env: Env,
}

impl Record {
    /// Reads the record in `file`; returns `None` if there is none or it cannot be parsed.
    #[must_use]
    pub fn load(file: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(file).ok()?).ok()
    }

    /// Writes the record, readable by its owner only.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        write_private(file, &serde_json::to_vec_pretty(self)?)
    }
}

/// The result of [`lock`].
#[derive(Debug)]
pub enum Locking {
    /// The folder now belongs to this program, until it and its watchdog have ended.
    Ours,
    /// A stack runs there, with its record if it has written one.
    Taken(Option<Box<Record>>),
}

/// Locks the folder for this program, after cleaning up if an earlier run was killed. Call it before anything is started.
///
/// # Errors
/// When the lock file cannot be opened, or leftovers of an earlier run cannot be stopped.
pub fn lock(lock_file: &Path, record_file: &Path) -> Result<Locking> {
    let shown = lock_file.display();
    let file: File = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(lock_file)
        .with_context(|| format!("cannot open {shown}"))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(std::fs::TryLockError::WouldBlock) => {}
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {shown}"));
            }
        }
        let record = Record::load(record_file);
        let patience = match &record {
            Some(record) if record.supervisor.is_alive() => Duration::ZERO,
            // It was killed: its watchdog is stopping what it left.
            Some(_) => CLEANUP_LIMIT,
            // It is just stopping, or just starting.
            None => TRANSITION_LIMIT,
        };
        if start.elapsed() >= patience {
            return Ok(Locking::Taken(record.map(Box::new)));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    if let Some(record) = Record::load(record_file) {
        stop_leftovers(&record)?;
    }
    match std::fs::remove_file(record_file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", record_file.display()));
        }
        _ => {}
    }
    Watchdog::install_with_lock(file)?;
    Ok(Locking::Ours)
}

/// Stops what an earlier run left behind when its watchdog has ended too.
fn stop_leftovers(record: &Record) -> Result<()> {
    // PostgreSQL stops fast on SIGINT; the others stop on SIGTERM.
    for process in record.processes.iter().rev() {
        process.signal(Signal::SIGTERM);
        process.signal(Signal::SIGINT);
    }
    let start = Instant::now();
    while let Some(process) = record.processes.iter().find(|process| process.is_alive()) {
        if start.elapsed() > CLEANUP_LIMIT {
            bail!(
                "{} (process {}) of an earlier run does not stop",
                process.name,
                process.pid
            );
        }
        if start.elapsed() > CLEANUP_LIMIT / 2 {
            process.signal(Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Returns when a process was started, in the system's own form, or `None` if there is no such process.
fn start_of(pid: u32) -> Option<String> {
    if let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The name, in parentheses, may contain anything; the start time is the 20th word after it.
        let mut words = stat.rsplit_once(')')?.1.split_whitespace();
        if words.next()? == "Z" {
            return None;
        }
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        return Some(format!("{} {}", boot.trim(), words.nth(18)?));
    }
    ps("lstart=", pid)
}

/// Returns the name of a process's program, or `None` if there is no such process.
pub(crate) fn command_of(pid: u32) -> Option<String> {
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => Some(name.trim().to_owned()),
        Err(_) => ps("comm=", pid),
    }
}

fn ps(column: &str, pid: u32) -> Option<String> {
    let output = Command::new("ps")
        .args(["-o", column, "-p", &pid.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_and_not_by_its_number() {
        let ours = ProcessNote::of_this_program();
        assert!(ours.is_alive());
        let other = ProcessNote {
            started: Some("another boot 1".into()),
            ..ours
        };
        assert!(!other.is_alive());
    }
}
