//! The task that saves the state: it writes changes, and repeats that for as long as the file is out of date.

use std::sync::Arc;

use anyhow::Context as _;

use crate::keeping::Keeping;
use crate::shared::Core;

/// Saves changes until the simulator stops, and then once more.
pub(crate) async fn run(core: Arc<Core>) {
    let Some(mut changed) = core.keeping().map(|keeping| keeping.changes()) else {
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
        keeping.write(|| core.lock())
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
