//! Whether the database has the schema that this version needs: without it nothing is accepted, and nothing is our fault.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wallet_core::db::{self, Db, SchemaState};

use crate::errors::ApiError;

/// How often it is looked at until it is there. Once it is, it stays.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is known of the schema.
#[derive(Debug, Default)]
pub(crate) struct SchemaWatch(Mutex<Option<SchemaState>>);

/// A database that was not migrated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotMigrated {
    /// It has no tables.
    #[error("the database is empty; run wallet-worker migrate")]
    Empty,
    /// It is older than this program.
    #[error("the database lacks {0} migrations; run wallet-worker migrate")]
    Behind(usize),
}

impl SchemaWatch {
    /// Looks once; a database that is away is not known.
    pub(crate) async fn look(&self, db: &Db) {
        if let Ok(state) = db::schema_state(db).await {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        }
    }

    /// Looks until it is there, or `stopped`.
    pub(crate) async fn run(&self, db: &Db, stopped: CancellationToken) {
        while self.state() != Some(SchemaState::Current) {
            tokio::select! {
                () = stopped.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            self.look(db).await;
            if let Err(why) = self.missing() {
                tracing::warn!(%why, "not ready");
            }
        }
    }

    /// What the operator has to do, if it is known that there is something to do.
    ///
    /// # Errors
    /// When the database was not migrated.
    pub(crate) fn missing(&self) -> Result<(), NotMigrated> {
        match self.state() {
            Some(SchemaState::Empty) => Err(NotMigrated::Empty),
            Some(SchemaState::Behind(some)) => Err(NotMigrated::Behind(some)),
            Some(SchemaState::Current) | None => Ok(()),
        }
    }

    /// The same for a client, who is told to come again.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`].
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        self.missing()
            .map_err(|why| ApiError::Unavailable(std::sync::Arc::new(why)))
    }

    fn state(&self) -> Option<SchemaState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
