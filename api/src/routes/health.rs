//! Liveness, readiness and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Shared;

/// Answers that the process runs.
pub(super) async fn alive() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Answers whether requests should be sent here: the database answers, can be written to and has the schema that is needed, and the
/// server is not about to end. Redis, the replica, and whether Stripe accepts our key are reported only: without them everything is
/// still accepted and read.
pub(super) async fn ready(State(Shared { app, readiness, .. }): State<Shared>) -> Response {
    let found = readiness.of(&app).await;
    (found.status, Json(found.body)).into_response()
}

/// Returns all metrics, for Prometheus.
pub(super) async fn metrics(State(Shared { app, .. }): State<Shared>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], app.metrics.render()).into_response()
}
