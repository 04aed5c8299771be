//! `wallet-dev up`: the whole system in a folder, until Ctrl-C or a crash.

mod greeting;
mod running;
mod signals;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

pub use self::running::Running;
pub use self::signals::Signals;
use crate::say::say;
use crate::stack::Progress;

/// The options of `up`.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// The folder of data, logs and secrets (`.dev`).
    pub folder: PathBuf,
    /// The port of the API and no other; `None` for 8080, or any free one if that is taken.
    pub port: Option<u16>,
}

/// Starts everything, prints how to use it, and stops it at Ctrl-C.
///
/// # Errors
/// When something does not start, or a process ends by itself: the message names it and shows the end of its log.
pub async fn up(options: &UpOptions) -> Result<()> {
    session(options, async |running| {
        say(&greeting::greeting(running)?);
        let crash = running.crash().await?;
        bail!("{crash}")
    })
    .await
    .map(drop)
}

/// How a [`session`] that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The work is done.
    Done,
    /// It was interrupted before.
    Interrupted,
}

/// Starts everything, runs `work` with it, and stops it, whether `work` succeeds, fails or is interrupted.
///
/// # Errors
/// The error of the start, of `work`, or of the stop.
pub async fn session(
    options: &UpOptions,
    work: impl AsyncFnOnce(&mut Running) -> Result<()>,
) -> Result<Ended> {
    let mut signals = Signals::catch()?;
    let progress = Progress::new(|what, took| say(&format!("  {what}  ({})", seconds(took))));
    let mut running = tokio::select! {
        running = Running::start(options, &progress) => running?,
        // Dropping what was started stops it.
        () = signals.next() => return Ok(Ended::Interrupted),
    };
    let result = tokio::select! {
        result = work(&mut running) => result.map(|()| Ended::Done),
        () = signals.next() => Ok(Ended::Interrupted),
    };
    say("stopping (once more Ctrl-C: at once)");
    tokio::select! {
        stopped = running.stop() => stopped?,
        () = signals.next() => {}
    }
    say("stopped");
    result
}

fn seconds(took: Duration) -> String {
    format!("{}.{} s", took.as_secs(), took.subsec_millis() / 100)
}
