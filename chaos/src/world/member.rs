//! One of our programs, kept running as a platform would: restarted a moment after it dies.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex as Plain;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;
use tokio::sync::Mutex;
use wallet_dev::stack::{Env, Process, ProcessSpec};

use crate::programs::{AS, Program};

/// How long a platform takes to restart a dead process.
const RESTART_AFTER: Duration = Duration::from_millis(250);

/// The age below which a process has hardly any work yet.
const GROWN_UP: Duration = Duration::from_secs(2);

/// A supervised process.
#[derive(Debug)]
pub(crate) struct Member {
    name: String,
    program: Program,
    file: PathBuf,
    args: Vec<&'static str>,
    env: Env,
    orders: Plain<Env>,
    log: PathBuf,
    process: Mutex<Option<Process>>,
    kept_up: AtomicBool,
    starts: AtomicU64,
    deaths: AtomicU64,
    stopped_for: AtomicU64,
    born: Plain<Option<Instant>>,
}

/// How a process reacted to SIGTERM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Drained {
    /// It was gone, or had not begun: a working program handles SIGTERM and is not killed by it.
    HadNoWork,
    /// It ended in an orderly way.
    Orderly,
    /// It ended otherwise, or had to be killed.
    Otherwise {
        /// The id of the process.
        pid: u32,
        /// How it ended, and after how long.
        how: String,
    },
}

impl Member {
    /// Makes a member whose program is not started yet.
    pub(crate) fn new(
        name: impl Into<String>,
        program: Program,
        args: &[&'static str],
        file: &Path,
        env: Env,
        logs: &Path,
    ) -> Self {
        let name = name.into();
        Self {
            log: logs.join(format!("{name}.log")),
            name,
            program,
            file: file.to_owned(),
            args: args.to_vec(),
            env: env.with(AS, program.name()),
            orders: Plain::new(Env::new()),
            process: Mutex::new(None),
            kept_up: AtomicBool::new(true),
            starts: AtomicU64::new(0),
            deaths: AtomicU64::new(0),
            // This is longer than a lease.
            stopped_for: AtomicU64::new(17_000),
            born: Plain::new(None),
        }
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns which program it is.
    pub(crate) fn program(&self) -> Program {
        self.program
    }

    /// Returns its environment variables, without those that were ordered.
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// Sets further variables for its next starts, such as failpoints.
    pub(crate) fn order(&self, orders: Env) {
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = orders;
    }

    /// Returns how often it died without having been told to end.
    pub(crate) fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::Relaxed)
    }

    /// Returns how long it stays stopped before it is continued.
    pub(crate) fn stopped_for(&self) -> Duration {
        Duration::from_millis(self.stopped_for.load(Ordering::Relaxed))
    }

    /// Sets how long it stays stopped.
    pub(crate) fn stay_stopped_for(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.stopped_for.store(millis, Ordering::Relaxed);
    }

    /// Whether it is stopped (SIGSTOP).
    pub(crate) async fn is_stopped(&self) -> bool {
        let Ok(process) = self.process.try_lock() else {
            return false;
        };
        let Some(pid) = process.as_ref().map(wallet_dev::stack::Process::pid) else {
            return false;
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    /// Returns its process id while it runs.
    pub(crate) async fn pid(&self) -> Option<u32> {
        let mut process = self.process.lock().await;
        let running = process.as_mut()?;
        matches!(running.try_wait(), Ok(None)).then(|| running.pid())
    }

    fn spawn(&self) -> Result<Process> {
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut env = self.env.clone().overlaid(&orders);
        if let Some(seed) = orders
            .get("FAILPOINTS_SEED")
            .and_then(|seed| seed.parse::<u64>().ok())
        {
            // Each run of the process gets another stream, or each would die at the same place.
            env.set("FAILPOINTS_SEED", seed.wrapping_add(start).to_string());
        }
        *self.born.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        ProcessSpec::new(&self.name, &self.file, &self.log)
            .args(self.args.iter().copied())
            .env(env)
            .grace(Duration::from_secs(28))
            .spawn()
    }

    /// Starts it if it does not run.
    pub(crate) async fn start(&self) -> Result<()> {
        let mut process = self.process.lock().await;
        let runs = match process.as_mut() {
            Some(running) => running.try_wait()?.is_none(),
            None => false,
        };
        if !runs {
            *process = Some(self.spawn()?);
        }
        self.kept_up.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Ends it by SIGTERM and does not restart it; returns whether it ended in an orderly way.
    pub(crate) async fn stop(&self) -> Result<bool> {
        self.kept_up.store(false, Ordering::Relaxed);
        match self.process.lock().await.as_mut() {
            Some(running) => {
                running.thaw();
                Ok(running.stop().await?.success())
            }
            None => Ok(true),
        }
    }

    /// Kills it (`kill -9`); it is restarted later. Returns whether it was running.
    pub(crate) async fn kill(&self) -> Result<bool> {
        match self.process.lock().await.as_mut() {
            Some(running) => {
                let ran = running.try_wait()?.is_none();
                running.kill().await?;
                Ok(ran)
            }
            None => Ok(false),
        }
    }

    /// Sends it a signal.
    pub(crate) async fn signal(&self, signal: Signal) {
        if let Some(running) = self.process.lock().await.as_ref() {
            running.signal(signal);
        }
    }

    /// Whether it runs and is old enough to have work.
    pub(crate) async fn is_grown_up(&self) -> bool {
        let born = *self.born.lock().unwrap_or_else(PoisonError::into_inner);
        born.is_some_and(|born| born.elapsed() > GROWN_UP) && self.pid().await.is_some()
    }

    /// Ends it by SIGTERM as a deployment does, and restarts it; returns how it reacted.
    pub(crate) async fn deploy(&self) -> Result<Drained> {
        self.kept_up.store(false, Ordering::Relaxed);
        let drained = self.drain().await;
        self.start().await?;
        drained
    }

    async fn drain(&self) -> Result<Drained> {
        let mut process = self.process.lock().await;
        let Some(running) = process.as_mut() else {
            return Ok(Drained::HadNoWork);
        };
        let ran = running.try_wait()?.is_none();
        let pid = running.pid();
        running.thaw();
        let asked = Instant::now();
        let status = running.stop().await?;
        let by = status.signal().and_then(|number| Signal::try_from(number).ok());
        let had_begun = ran && by != Some(Signal::SIGTERM);
        Ok(if !had_begun {
            Drained::HadNoWork
        } else if status.success() {
            Drained::Orderly
        } else {
            Drained::Otherwise {
                pid,
                how: format!("{status} after {} ms", asked.elapsed().as_millis()),
            }
        })
    }

    /// Ends it by SIGTERM as a deployment does, and restarts it; returns whether it ended in an orderly way.
    pub(crate) async fn replace(&self) -> Result<bool> {
        let orderly = self.stop().await?;
        self.start().await?;
        Ok(orderly)
    }

    /// Restarts it if it has died; called all the time.
    pub(crate) async fn look_after(&self) -> Result<()> {
        if !self.kept_up.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Ok(mut process) = self.process.try_lock() else {
            return Ok(());
        };
        let died = match process.as_mut() {
            Some(running) => running.try_wait()?.is_some(),
            None => false,
        };
        if died {
            self.deaths.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(RESTART_AFTER).await;
            if self.kept_up.load(Ordering::Relaxed) {
                *process = Some(self.spawn()?);
            }
        }
        Ok(())
    }
}
