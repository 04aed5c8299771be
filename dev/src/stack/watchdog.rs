//! Nothing outlives its parent: one small `sh` process per program watches over everything that the program starts.
//!
//! The parent holds the writing end of a pipe and registers every process group and scratch folder with the watchdog. When the parent
//! ends, for whatever reason, the kernel closes the pipe, and the watchdog stops the groups and removes the folders. This was chosen over
//! `PR_SET_PDEATHSIG` (and `setpriv --pdeathsig`) because that signal is tied to the *thread* that spawned (tokio's come and go),
//! is lost when the child changes its user, and exists on Linux only. The pipe needs no unsafe code and works for root and any other user.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

const SCRIPT: &str = include_str!("watchdog.sh");

static INSTALLED: Mutex<Option<Arc<Watchdog>>> = Mutex::new(None);

/// A running watchdog. Dropping it has the effect of the parent's death: everything still registered is stopped.
pub(crate) struct Watchdog {
    child: Mutex<Child>,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Watchdog {
    /// Starts a watchdog. It keeps `hold` open as long as it runs, so that a lock on that file ends only after the clean-up.
    pub(crate) fn start(hold: Option<File>) -> Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "wallet-dev-watchdog"])
            .stdin(Stdio::piped())
            .stdout(hold.map_or_else(Stdio::null, Stdio::from))
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .context("cannot start the watchdog (sh)")?;
        let pipe = child.stdin.take();
        Ok(Self {
            child: Mutex::new(child),
            pipe: Mutex::new(pipe),
        })
    }

    /// Returns the watchdog of this program, started at the first use.
    pub(crate) fn of_this_program() -> Result<Arc<Self>> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watchdog) = installed.as_ref() {
            return Ok(Arc::clone(watchdog));
        }
        let watchdog = Arc::new(Self::start(None)?);
        *installed = Some(Arc::clone(&watchdog));
        Ok(watchdog)
    }

    /// Starts the watchdog of this program holding `lock`; call it before anything else is started.
    pub(crate) fn install_with_lock(lock: File) -> Result<()> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if installed.is_some() {
            bail!("a folder is to be locked before anything is started");
        }
        *installed = Some(Arc::new(Self::start(Some(lock))?));
        Ok(())
    }

    /// Registers a process group and the signal that stops it.
    pub(crate) fn add(&self, group: u32, signal: Signal) -> Result<()> {
        let name = signal.as_str().trim_start_matches("SIG");
        self.tell(&format!("add {group} {name}\n"))
            .context("the watchdog is gone")
    }

    /// Unregisters a group that has ended.
    pub(crate) fn remove(&self, group: u32) {
        // A watchdog that has ended has nothing to unregister.
        let _ = self.tell(&format!("del {group}\n"));
    }

    /// Registers a scratch folder, to be removed with all its contents.
    pub(crate) fn add_folder(&self, folder: &Path) -> Result<()> {
        self.tell(&format!("dir {}\n", folder.display()))
            .context("the watchdog is gone")
    }

    fn tell(&self, line: &str) -> std::io::Result<()> {
        match self.pipe.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(pipe) => pipe.write_all(line.as_bytes()),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        *self.pipe.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}
