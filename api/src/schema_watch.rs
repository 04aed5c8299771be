//! Whether the database is one that this program can work on: without its schema or its keys nothing is accepted, and nothing is our fault.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wallet_core::crypto::{Covered, Vault};
use wallet_core::db::Db;
use wallet_core::standing::{self, Standing, Unfit};

use crate::errors::ApiError;

/// How often it is looked at until it is fit. Once it is, it stays.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often it is looked at afterwards whether the keys here still open everything: somebody may rotate them.
const KEYS_EVERY: Duration = Duration::from_secs(5);

/// What is known of the database; nothing as long as it is away.
#[derive(Debug, Default)]
pub(crate) struct SchemaWatch {
    known: Mutex<Option<Result<(), Unfit>>>,
    /// Whether data keys are under a wrapping key that is not configured here.
    lacks_keys: AtomicBool,
}

impl SchemaWatch {
    /// Looks once; a database that is away is not known.
    pub(crate) async fn look(&self, db: &Db, vault: &Vault) {
        let known = match standing::look(db, vault).await {
            Ok(Standing::Fit | Standing::RotationHalfDone(_)) => Ok(()),
            Ok(Standing::Unfit(unfit)) => Err(unfit),
            Err(_) => return,
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }

    /// Looks until it is fit, and then after its keys, until `stopped`.
    pub(crate) async fn run(&self, db: &Db, vault: &Vault, stopped: CancellationToken) {
        let mut told = None;
        while self.known() != Some(Ok(())) {
            tokio::select! {
                () = stopped.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            self.look(db, vault).await;
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
            // A database that is away tells nothing new.
            if let Ok(covered) = vault.covered().await {
                let lacks = !matches!(covered, Covered::Wholly);
                if lacks && !self.lacks_keys.swap(lacks, Ordering::Relaxed) {
                    tracing::error!("data keys are under a wrapping key that is not configured here");
                }
                self.lacks_keys.store(lacks, Ordering::Relaxed);
            }
        }
    }

    /// Whether what some people have sealed cannot be opened here.
    pub(crate) fn lacks_keys(&self) -> bool {
        self.lacks_keys.load(Ordering::Relaxed)
    }

    /// What the operator has to do, if it is known that there is something to do.
    ///
    /// # Errors
    /// When the database was not migrated, or has other keys.
    pub(crate) fn missing(&self) -> Result<(), Unfit> {
        self.known().unwrap_or(Ok(()))
    }

    /// The same for a client, who is told to come again.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`].
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        self.missing().map_err(|why| ApiError::Unavailable(Arc::new(why)))
    }

    fn known(&self) -> Option<Result<(), Unfit>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
