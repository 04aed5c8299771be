//! Before the first job: waits until the database has the schema and the keys that this program needs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wallet_core::config::ConfigError;
use wallet_core::crypto::Fingerprint;
use wallet_core::error_chain::chain;
use wallet_core::readiness::{self, Readiness, Unfit};

use crate::background::key_alarms::KeyAlarms;
use crate::worker::Worker;

/// The check interval.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// What keeps the worker from working, for its readiness report.
pub(crate) type Obstacle = watch::Receiver<Option<String>>;

/// Waits until work may begin; returns false if `shutdown` came first.
///
/// # Errors
/// If the configured keys are not those of the database: waiting does not fix that.
pub(crate) async fn until_fit(
    worker: &Arc<Worker>,
    obstacle: &watch::Sender<Option<String>>,
    shutdown: &CancellationToken,
) -> Result<bool, ConfigError> {
    loop {
        let why = match readiness::check(&worker.db, &worker.vault).await {
            Ok(Readiness::Fit) => {
                keep_alarms(worker, &[]).await;
                break;
            }
            Ok(Readiness::RotationHalfDone(missing)) => {
                keep_alarms(worker, &missing).await;
                break;
            }
            Ok(Readiness::Unfit(Unfit::WrongKey(error))) => return Err(error),
            Ok(Readiness::Unfit(unfit)) => unfit.to_string(),
            Err(error) => {
                tracing::debug!(error = %chain(&error), "the database cannot be checked");
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
            () = tokio::time::sleep(CHECK_EVERY) => {}
        }
    }
    obstacle.send_replace(None);
    Ok(true)
}

/// Keeps one alarm open for each key that is needed and not configured.
async fn keep_alarms(worker: &Worker, missing: &[Fingerprint]) {
    if let Err(error) = KeyAlarms::default().keep(worker, missing).await {
        tracing::warn!(error = %chain(&error), "an alarm about the keys could not be written");
    }
}
