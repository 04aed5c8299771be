//! Metrics in Prometheus' text format. Labels have few values: routes, codes and types, never ids.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub(crate) const REQUESTS: &str = "wallet_http_requests_total";
pub(crate) const SECONDS: &str = "wallet_http_request_duration_seconds";
pub(crate) const ACCEPTED: &str = "wallet_accepted_total";
pub(crate) const ERRORS: &str = "wallet_api_errors_total";
pub(crate) const WEBHOOKS: &str = "wallet_webhook_deliveries_total";
pub(crate) const SOCKETS: &str = "wallet_websockets";

/// Upper bounds of the latency histogram, in seconds.
const BOUNDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// How often the histograms are emptied into their sums, which bounds their memory.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The recorder of this process, installed once: tests run several servers in one process.
static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// The recorder of this process, installed at the first call.
///
/// # Errors
/// When something else has installed another recorder.
pub(crate) fn recorder() -> Result<PrometheusHandle, BuildError> {
    let mut recorder = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*recorder {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(SECONDS.to_owned()), &BOUNDS)?
        .install_recorder()?;
    metrics::describe_counter!(REQUESTS, "HTTP requests by route, method and status");
    metrics::describe_histogram!(
        SECONDS,
        metrics::Unit::Seconds,
        "Time to answer an HTTP request, by route"
    );
    metrics::describe_counter!(
        ACCEPTED,
        "Accepted requests by type, repeated idempotency keys included"
    );
    metrics::describe_counter!(ERRORS, "Errors told to clients, by code");
    metrics::describe_counter!(WEBHOOKS, "Deliveries of Stripe's webhooks, by outcome");
    metrics::describe_gauge!(SOCKETS, "Open websockets");
    *recorder = Some(handle.clone());
    Ok(handle)
}

/// Keeps the recorder's memory bounded, for as long as it is polled.
pub(crate) async fn upkeep(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        handle.run_upkeep();
    }
}

/// Counts an error that a client is told.
pub(crate) fn count_error(code: &'static str) {
    metrics::counter!(ERRORS, "code" => code).increment(1);
}
