//! Keeps the simulator's state in a file, so that a stack that is stopped and started continues with the same people, cards and accounts.
//!
//! The whole state is written to a file beside the old one and renamed over it, so that a reader finds one state or the next, never a part.
//! Responses and webhooks wait until the state that they report is written, so that no program remembers an object that the
//! simulator has forgotten, however the simulator ended. Changes during a write go into the next one. Without a file, as in
//! tests and campaigns, nothing is written and nothing waits.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::state::State;

/// The version of the file's format. It is raised when earlier files can no longer be read.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    state: &'a State,
}

#[derive(Deserialize)]
struct Stamp {
    version: u32,
}

#[derive(Deserialize)]
struct Read {
    state: State,
}

/// Loads the state of an earlier run, or `None` without a file.
///
/// # Errors
/// When the file cannot be read or is of another version; the message ends with the remedy.
pub(crate) fn load(file: &Path, remedy: &str) -> Result<Option<State>> {
    let shown = file.display();
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read the simulator's state {shown}"));
        }
    };
    let stamp: Stamp = serde_json::from_slice(&text)
        .with_context(|| format!("the simulator's state {shown} is damaged; {remedy}"))?;
    if stamp.version != VERSION {
        bail!("the simulator's state {shown} is of another version; {remedy}");
    }
    let read: Read = serde_json::from_slice(&text)
        .with_context(|| format!("the simulator's state {shown} does not fit this version; {remedy}"))?;
    Ok(Some(read.state))
}

/// The file, and how much of the state has been written to it.
#[derive(Debug)]
pub(crate) struct Keeping {
    file: PathBuf,
    changed: watch::Sender<u64>,
    written: watch::Sender<u64>,
}

impl Keeping {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self {
            file,
            // The state at the start has not been written yet.
            changed: watch::Sender::new(1),
            written: watch::Sender::new(0),
        }
    }

    /// Records that the state has changed; called under its lock.
    pub(crate) fn note_change(&self) {
        self.changed.send_modify(|revision| *revision += 1);
    }

    /// Waits until everything that has changed until now is in the file.
    pub(crate) async fn kept(&self) {
        let revision = *self.changed.borrow();
        // An error means that nothing will be written, because the simulator is stopping.
        let _ = self
            .written
            .subscribe()
            .wait_for(|written| *written >= revision)
            .await;
    }

    /// Returns a receiver that is notified of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Returns whether there are changes that are not in the file yet.
    pub(crate) fn is_behind(&self) -> bool {
        *self.written.borrow() < *self.changed.borrow()
    }

    /// Writes the state, which is locked by `lock` only while it is copied.
    ///
    /// # Errors
    /// When the file cannot be written; the message names it.
    pub(crate) fn write<S: Deref<Target = State>>(&self, lock: impl FnOnce() -> S) -> Result<()> {
        self.try_to_write(lock).with_context(|| {
            format!(
                "the simulator's state could not be written to {}",
                self.file.display()
            )
        })
    }

    fn try_to_write<S: Deref<Target = State>>(&self, lock: impl FnOnce() -> S) -> Result<()> {
        let (revision, text) = {
            let state = lock();
            let written = Written {
                version: VERSION,
                state: &state,
            };
            (*self.changed.borrow(), serde_json::to_vec(&written)?)
        };
        let beside = self.file.with_extension("new");
        fs::write(&beside, text)?;
        fs::rename(&beside, &self.file)?;
        self.written.send_replace(revision);
        Ok(())
    }
}

/// Removes a stored state; returns `false` if there is none.
///
/// # Errors
/// When the file cannot be removed.
pub fn forget(file: &Path) -> Result<bool> {
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", file.display())),
    }
}
