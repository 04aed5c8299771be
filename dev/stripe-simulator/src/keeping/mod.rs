//! The simulator's state in a file, so that a stack that is stopped and started goes on with the same people, cards and accounts.
//!
//! The whole state is written beside the file and renamed over it: whoever reads it finds one state or the next and never half of one. It is
//! written before anybody is told of what it holds: an answer and a webhook wait until it is, so that no program remembers an object
//! that the simulator has forgotten, however it was ended. What changes meanwhile goes with the next writing. Without a file, which
//! is what tests and campaigns use, nothing is written and nobody waits.

pub(crate) mod pairs;
pub(crate) mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::server::Core;
use crate::state::State;

/// The form of the file. It is raised when a state of before can no longer be read.
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

/// The state that an earlier run has kept; none without a file.
///
/// # Errors
/// When the file cannot be read or is of another version; the message names the command that forgets it.
pub(crate) fn load(file: &Path) -> Result<Option<State>> {
    let shown = file.display();
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read the simulator's state {shown}"));
        }
    };
    let mend = "`wallet-dev forget` (`bin/dev forget`) forgets it";
    let stamp: Stamp = serde_json::from_slice(&text)
        .with_context(|| format!("the simulator's state {shown} is damaged; {mend}"))?;
    if stamp.version != VERSION {
        bail!("the simulator's state {shown} is of another version; {mend}");
    }
    let read: Read = serde_json::from_slice(&text)
        .with_context(|| format!("the simulator's state {shown} does not fit this version; {mend}"))?;
    Ok(Some(read.state))
}

/// The file, and how far what it holds has come.
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

    /// The state has changed; called under its lock.
    pub(crate) fn note_change(&self) {
        self.changed.send_modify(|revision| *revision += 1);
    }

    /// Returns when everything that has changed until now is in the file.
    pub(crate) async fn kept(&self) {
        let revision = *self.changed.borrow();
        // An error means that nothing is written any more: the simulator ends.
        let _ = self
            .written
            .subscribe()
            .wait_for(|written| *written >= revision)
            .await;
    }

    fn is_behind(&self) -> bool {
        *self.written.borrow() < *self.changed.borrow()
    }

    fn write(&self, core: &Core) -> Result<()> {
        let (revision, text) = {
            let state = core.lock();
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

/// Writes what changes, until the simulator stops, and then once more.
pub(crate) async fn run(core: Arc<Core>) {
    let Some(mut changed) = core.keeping().map(|keeping| keeping.changed.subscribe()) else {
        return;
    };
    loop {
        let is_stopped = core.stop.is_cancelled();
        write(Arc::clone(&core)).await;
        if is_stopped {
            return;
        }
        if core.keeping().is_some_and(Keeping::is_behind) {
            continue;
        }
        tokio::select! {
            told = changed.changed() => if told.is_err() { return },
            () = core.stop.cancelled() => {}
        }
    }
}

async fn write(core: Arc<Core>) {
    let written = tokio::task::spawn_blocking(move || {
        let keeping = core.keeping().context("no file")?;
        keeping.write(&core).with_context(|| {
            format!(
                "the simulator's state could not be written to {}",
                keeping.file.display()
            )
        })
    })
    .await;
    let error = match written {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(error) => error.into(),
    };
    tracing::error!("{error:#}");
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
}

/// Forgets a kept state; false when there is none.
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
