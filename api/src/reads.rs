//! Where lists and history are read: from the replica while it answers, else from the primary.
//!
//! A replica that is away must not hide what the primary knows, nor slow down whoever asks: the first request that meets it waits once, and
//! then none asks it any more until a look in the background has had an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wallet_core::db::{Db, DbError};
use wallet_core::error_chain::chain;

use crate::metrics;

/// How often the replica is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// The database of lists and history; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Reads {
    primary: Db,
    replica: Option<Arc<Replica>>,
}

#[derive(Debug)]
struct Replica {
    db: Db,
    is_away: AtomicBool,
}

impl Reads {
    /// Reads of `primary` alone, or of `replica` as long as it answers.
    pub(crate) fn new(primary: Db, replica: Option<Db>) -> Self {
        let replica = replica.map(|db| {
            Arc::new(Replica {
                db,
                is_away: AtomicBool::new(false),
            })
        });
        Self { primary, replica }
    }

    /// Reads, from the primary when the replica does not answer.
    pub(crate) async fn read<T, F>(&self, query: impl Fn(Db) -> F) -> Result<T, DbError>
    where
        F: Future<Output = Result<T, DbError>>,
    {
        let replica = self.replica.as_ref().filter(|replica| !replica.is_away());
        let Some(replica) = replica else {
            return query(self.primary.clone()).await;
        };
        match query(replica.db.clone()).await {
            Err(error) if error.is_transient() => {
                replica.set_away(true, Some(&error));
                query(self.primary.clone()).await
            }
            found => found,
        }
    }

    /// Whether the replica answers; none when there is none.
    pub(crate) fn replica_answers(&self) -> Option<bool> {
        self.replica.as_ref().map(|replica| !replica.is_away())
    }

    /// Looks at the replica until `stopped`.
    pub(crate) async fn watch(self, stopped: CancellationToken) {
        let Some(replica) = self.replica else { return };
        while !stopped.is_cancelled() {
            match tokio::time::timeout(PATIENCE, replica.db.ping()).await {
                Ok(Ok(())) => replica.set_away(false, None),
                Ok(Err(error)) => replica.set_away(true, Some(&error)),
                Err(_) => replica.set_away(true, None),
            }
            tokio::select! {
                () = stopped.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

impl Replica {
    fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    fn set_away(&self, is_away: bool, error: Option<&DbError>) {
        metrics::set_replica_up(!is_away);
        let was_away = self.is_away.swap(is_away, Ordering::Relaxed);
        match (was_away, is_away) {
            (false, true) => {
                let error = error.map_or_else(
                    || "no answer in time".to_owned(),
                    |error| chain(error).to_string(),
                );
                tracing::warn!(
                    error,
                    "the replica does not answer: lists are read from the primary"
                );
            }
            (true, false) => tracing::info!("the replica answers again"),
            _ => {}
        }
    }
}
