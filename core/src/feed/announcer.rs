//! Announcing what has changed.

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

/// How long changes are collected before they are announced together.
const GATHERED_FOR: Duration = Duration::from_millis(5);
/// The maximum number of settlements whose changes wait to be announced.
const BUFFER: usize = 1_024;

/// Announces changes on behalf of one process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Announcer {
    changes: mpsc::Sender<Vec<Uuid>>,
}

impl Announcer {
    /// Starts the task that announces. After `shutdown` it announces what it was given before; the handle completes after that.
    #[must_use]
    pub fn start(db: Db, shutdown: CancellationToken) -> (Self, JoinHandle<()>) {
        let (changes, received) = mpsc::channel(BUFFER);
        (Self { changes }, tokio::spawn(run(db, received, shutdown)))
    }

    /// Announces that the rows with these ids have changed, after their commit. Never waits: if the buffer is full, the change is
    /// not announced, and its watchers find it later by themselves.
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
    // A notifying transaction is written to the server's log, but losing it costs nothing, so it does not wait for the disk.
    sql(
        "SELECT set_config('synchronous_commit', 'off', true), pg_notify('wallet_changes', payload)
           FROM unnest($1) AS payload",
    )
    .bind::<Array<Text>, _>(payloads(ids))
    .execute(&mut db.conn().await?)
    .await?;
    Ok(())
}
