//! Telling what has changed.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::sql_types::{Array, Text};
use diesel_async::RunQueryDsl;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::payloads;
use crate::db::{Db, DbError, sql};
use crate::error_chain::chain;

/// How long changes are gathered before they are told together.
const GATHERED_FOR: Duration = Duration::from_millis(5);
/// Most settlements whose changes wait to be told.
const BUFFER: usize = 1_024;

/// Announces changes on behalf of one process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Announcer {
    changes: mpsc::Sender<Vec<Uuid>>,
}

impl Announcer {
    /// Starts the task that announces. After `shutdown` it tells what it was given before and ends; the handle waits for that.
    #[must_use]
    pub fn start(db: Db, shutdown: CancellationToken) -> (Self, JoinHandle<()>) {
        let (changes, received) = mpsc::channel(BUFFER);
        (Self { changes }, tokio::spawn(run(db, received, shutdown)))
    }

    /// Announces that the rows of these ids have changed, after their commit. Never waits: what does not fit into the buffer is
    /// found by whoever watches it, only later.
    pub fn announce(&self, ids: Vec<Uuid>) {
        if !ids.is_empty() && self.changes.try_send(ids).is_err() {
            tracing::debug!("a change was not announced");
        }
    }
}

async fn run(db: Db, mut received: mpsc::Receiver<Vec<Uuid>>, shutdown: CancellationToken) {
    loop {
        let first = tokio::select! {
            first = received.recv() => first,
            () = shutdown.cancelled() => {
                received.close();
                received.recv().await
            }
        };
        let Some(first) = first else { return };
        tokio::time::sleep(GATHERED_FOR).await;
        let mut ids: BTreeSet<Uuid> = first.into_iter().collect();
        while let Ok(more) = received.try_recv() {
            ids.extend(more);
        }
        let ids: Vec<Uuid> = ids.into_iter().collect();
        if let Err(error) = notify(&db, &ids).await {
            tracing::debug!(error = %chain(&error), changes = ids.len(), "changes were not announced");
        }
    }
}

async fn notify(db: &Db, ids: &[Uuid]) -> Result<(), DbError> {
    // A transaction that notifies is written to the log of the server, but losing it costs nothing: nobody waits for the disk.
    sql(
        "SELECT set_config('synchronous_commit', 'off', true), pg_notify('wallet_changes', payload)
           FROM unnest($1) AS payload",
    )
    .bind::<Array<Text>, _>(payloads(ids))
    .execute(&mut db.conn().await?)
    .await?;
    Ok(())
}
