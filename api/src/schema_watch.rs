//! Whether this program can work with the database: without its schema or its keys every request is refused as unavailable.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wallet_core::crypto::{Covered, Vault};
use wallet_core::db::Db;
use wallet_core::readiness::{self, Readiness, Unfit};

use crate::errors::ApiError;

/// The check interval until the schema is fit. Once it is, it stays fit.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// The interval of the check afterwards that the keys here still open everything: they may be rotated.
const KEYS_EVERY: Duration = Duration::from_secs(5);

/// The known state of the database; `None` as long as it was never reached.
#[derive(Debug, Default)]
pub(crate) struct SchemaWatch {
    known: Mutex<Option<Result<(), Unfit>>>,
    /// Whether data keys are wrapped with a key that is not configured here.
    lacks_keys: AtomicBool,
}

impl SchemaWatch {
    /// Checks once; if the database is unavailable, the known state stays.
    pub(crate) async fn refresh(&self, db: &Db, vault: &Vault) {
        let known = match readiness::check(db, vault).await {
            Ok(Readiness::Fit | Readiness::RotationHalfDone(_)) => Ok(()),
            Ok(Readiness::Unfit(unfit)) => Err(unfit),
            Err(_) => return,
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }

    /// Checks until the schema is fit, and then checks the keys, until `stopped` is cancelled.
    pub(crate) async fn run(&self, db: &Db, vault: &Vault, stopped: CancellationToken) {
        let mut told = None;
        while self.known() != Some(Ok(())) {
            tokio::select! {
                () = stopped.cancelled() => return,
                () = tokio::time::sleep(CHECK_EVERY) => {}
            }
            self.refresh(db, vault).await;
            let missing = self.missing().err();
            if let Some(why) = missing.as_ref().filter(|_| missing != told) {
                tracing::warn!(%why, "not ready");
            }
            told = missing;
        }
        loop {
            tokio::select! {
                () = stopped.cancelled() => return,
                () = tokio::time::sleep(KEYS_EVERY) => {}
            }
            // A database that is unavailable changes nothing.
            if let Ok(covered) = vault.covered().await {
                let lacks = !matches!(covered, Covered::Wholly);
                if lacks && !self.lacks_keys.swap(lacks, Ordering::Relaxed) {
                    tracing::error!("data keys are under a wrapping key that is not configured here");
                }
                self.lacks_keys.store(lacks, Ordering::Relaxed);
            }
        }
    }

    /// Returns whether the sealed data of some people cannot be opened here.
    pub(crate) fn lacks_keys(&self) -> bool {
        self.lacks_keys.load(Ordering::Relaxed)
    }

    /// Checks that the database is not known to be unfit. The error says what the operator has to do.
    ///
    /// # Errors
    /// If the database was not migrated, or has other keys.
    pub(crate) fn missing(&self) -> Result<(), Unfit> {
        self.known().unwrap_or(Ok(()))
    }

    /// The same for a client, who is asked to try again.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] in the same cases.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        self.missing().map_err(|why| ApiError::Unavailable(Arc::new(why)))
    }

    fn known(&self) -> Option<Result<(), Unfit>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
