//! The metrics of the API. Labels have few values: routes, codes and types, never ids.

use wallet_core::metrics::{Recorder, RecorderError};

pub(crate) const REQUESTS: &str = "wallet_http_requests_total";
pub(crate) const SECONDS: &str = "wallet_http_request_duration_seconds";
pub(crate) const ACCEPTED: &str = "wallet_accepted_total";
pub(crate) const ERRORS: &str = "wallet_api_errors_total";
pub(crate) const WEBHOOKS: &str = "wallet_webhook_deliveries_total";
pub(crate) const SOCKETS: &str = "wallet_websockets";
const REPLICA: &str = "wallet_replica_up";

/// Creates the recorder of this process and describes each metric.
///
/// # Errors
/// If another recorder is installed already.
pub(crate) fn recorder() -> Result<Recorder, RecorderError> {
    let recorder = wallet_core::metrics::recorder()?;
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
    metrics::describe_counter!(ERRORS, "Errors returned to clients, by code");
    metrics::describe_counter!(WEBHOOKS, "Deliveries of Stripe's webhooks, by outcome");
    metrics::describe_gauge!(SOCKETS, "Open websockets");
    wallet_core::stripe::describe_metrics();
    metrics::describe_gauge!(REPLICA, "1 while the replica answers; absent without one");
    Ok(recorder)
}

/// Records whether the replica answers.
pub(crate) fn set_replica_up(is_up: bool) {
    metrics::gauge!(REPLICA).set(u8::from(is_up));
}

/// Counts an error that is sent to a client.
pub(crate) fn count_error(code: &'static str) {
    metrics::counter!(ERRORS, "code" => code).increment(1);
}
