//! Alive, able to serve, and measured.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;
use wallet_core::alarms::{self, STRIPE_KEY_REFUSED};
use wallet_core::telemetry::chain;

use super::Shared;
use crate::state::App;

/// How long the database may take to show that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process runs.
pub(super) async fn alive() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Whether requests should be sent here: the database answers and has the schema that is needed, and the server is not about to end. Redis,
/// the replica, and whether Stripe accepts our key are reported only: without them everything is still accepted and read.
pub(super) async fn ready(State(Shared { app, .. }): State<Shared>) -> Response {
    let (database, redis) = tokio::join!(database_answers(&app), app.carrier.ping());
    let draining = app.is_draining();
    let missing = app.schema.missing().err().map(|why| why.to_string());
    let serves = database && missing.is_none();
    let told = |answers| if answers { "ok" } else { "unavailable" };
    // What the workers, who ask all the time, have found out.
    let key_refused = database && key_is_refused(&app).await;
    let mut body = json!({
        "status": if draining { "draining" } else if serves { "ready" } else { "unavailable" },
        "database": missing.unwrap_or_else(|| told(database).to_owned()),
        "redis": told(redis.is_ok()),
        "stripe": if key_refused { "Stripe refuses our key" } else { "ok" },
    });
    if let (Some(answers), Some(fields)) = (app.reads.replica_answers(), body.as_object_mut()) {
        fields.insert("replica".to_owned(), told(answers).into());
    }
    let status = if serves && !draining {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body)).into_response()
}

async fn database_answers(app: &App) -> bool {
    match timeout(PATIENCE, app.db.ping()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(error = chain(&error), "not ready: the database does not answer");
            false
        }
        Err(_) => false,
    }
}

async fn key_is_refused(app: &App) -> bool {
    let question = alarms::is_open(&app.db, STRIPE_KEY_REFUSED);
    matches!(timeout(PATIENCE, question).await, Ok(Ok(true)))
}

/// Everything measured, for Prometheus.
pub(super) async fn metrics(State(Shared { app, .. }): State<Shared>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], app.metrics.render()).into_response()
}
