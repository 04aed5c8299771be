//! Reads lists and histories: from the replica while it answers, else from the primary.
//!
//! A replica that is unavailable must neither hide what the primary holds nor slow requests down: the first request that meets it waits
//! once, and then none uses it until a check in the background has succeeded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wallet_core::db::{Db, DbError};
use wallet_core::error_chain::chain;

use crate::metrics;

/// The interval between two checks of the replica.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// The database for lists and histories; cheap to clone.
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
    /// Reads from `primary` alone, or from `replica` as long as it answers.
    pub(crate) fn new(primary: Db, replica: Option<Db>) -> Self {
        let replica = replica.map(|db| {
            Arc::new(Replica {
                db,
                is_away: AtomicBool::new(false),
            })
        });
        Self { primary, replica }
    }

    /// Runs a query on the replica, or on the primary if the replica does not answer.
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

    /// Returns whether the replica answers, or `None` if there is none.
    pub(crate) fn replica_answers(&self) -> Option<bool> {
        self.replica.as_ref().map(|replica| !replica.is_away())
    }

    /// Checks the replica again and again, until `stopped` is cancelled.
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
                () = tokio::time::sleep(CHECK_EVERY) => {}
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
