//! Before the first job: the database has to have the schema and the keys that this program needs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wallet_core::config::ConfigError;
use wallet_core::crypto::Fingerprint;
use wallet_core::error_chain::chain;
use wallet_core::standing::{self, Standing, Unfit};

use crate::background::key_alarms::KeyAlarms;
use crate::worker::Worker;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What keeps the worker from its work: for whoever asks whether it is ready.
pub(crate) type Obstacle = watch::Receiver<Option<String>>;

/// Waits until work may begin; false when `shutdown` came first.
///
/// # Errors
/// When the configured keys are not those of the database: no wait mends that.
pub(crate) async fn until_fit(
    worker: &Arc<Worker>,
    obstacle: &watch::Sender<Option<String>>,
    shutdown: &CancellationToken,
) -> Result<bool, ConfigError> {
    loop {
        let why = match standing::look(&worker.db, &worker.vault).await {
            Ok(Standing::Fit) => {
                keep_alarms(worker, &[]).await;
                break;
            }
            Ok(Standing::RotationHalfDone(missing)) => {
                keep_alarms(worker, &missing).await;
                break;
            }
            Ok(Standing::Unfit(Unfit::WrongKey(error))) => return Err(error),
            Ok(Standing::Unfit(unfit)) => unfit.to_string(),
            Err(error) => {
                tracing::debug!(error = %chain(&error), "the database cannot be looked at");
                "the database cannot be asked".to_owned()
            }
        };
        let is_new = obstacle.send_if_modified(|told| {
            let is_new = told.as_ref() != Some(&why);
            *told = Some(why.clone());
            is_new
        });
        if is_new {
            tracing::warn!(%why, "no work is done yet");
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(false),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    obstacle.send_replace(None);
    Ok(true)
}

/// One alarm for each key that is needed and not configured.
async fn keep_alarms(worker: &Worker, missing: &[Fingerprint]) {
    if let Err(error) = KeyAlarms::default().keep(worker, missing).await {
        tracing::warn!(error = %chain(&error), "an alarm about the keys could not be written");
    }
}
