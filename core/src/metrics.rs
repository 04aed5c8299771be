//! Metrics in Prometheus' text format, with one recorder per process, whichever programs run in it.
//!
//! Labels have few values, such as routes, codes and kinds, and never ids.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio_util::sync::CancellationToken;

pub use metrics_exporter_prometheus::{BuildError as RecorderError, PrometheusHandle as Recorder};

/// The upper bounds of every histogram of durations, in seconds; such metrics have names that end in `_seconds`.
const BOUNDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// How often the histograms are drained into their sums, which bounds their memory.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The recorder of this process, installed once: tests run several programs in one process.
static INSTALLED: Mutex<Option<Recorder>> = Mutex::new(None);

/// Returns the recorder of this process, and installs it at the first call.
///
/// # Errors
/// When something else has installed another recorder.
pub fn recorder() -> Result<Recorder, RecorderError> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(recorder) = &*installed {
        return Ok(recorder.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BOUNDS)?
        .install_recorder()?;
    *installed = Some(recorder.clone());
    Ok(recorder)
}

/// Keeps the recorder's memory bounded until `shutdown`.
pub async fn upkeep(recorder: Recorder, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(UPKEEP_EVERY) => recorder.run_upkeep(),
        }
    }
}
