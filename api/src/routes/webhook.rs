//! `POST /wallet/webhook`: Stripe's events, which are verified over the raw bytes, stored, and then acknowledged.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tracing::Instrument;
use wallet_core::error_chain::chain;
use wallet_core::inbox::{InboxError, Received, Source};
use wallet_core::stripe::SIGNATURE_HEADER;

use super::{Shared, body, reply};
use crate::errors::VALIDATION_ERROR;
use crate::metrics::WEBHOOKS;
use crate::places::{PeerAddress, client_address};
use crate::state::App;

/// The maximum size of a delivery, in bytes; Stripe's largest events are far below it.
const MOST_BYTES: usize = 1024 * 1024;

/// Receives a delivery: 200 once it is stored, 400 if it is not Stripe's, 503 if Stripe is to send it again.
pub(super) async fn receive(
    State(Shared { app, .. }): State<Shared>,
    peer: Option<Extension<PeerAddress>>,
    request: Request,
) -> Response {
    let (parts, sent) = request.into_parts();
    let address = client_address(
        peer.map(|Extension(peer)| peer),
        &parts.headers,
        &app.trusted_proxies,
    );
    // An address that many share is not counted as one holder.
    let holder = (!address.is_crowd()).then_some(address);
    let bytes = match body::read(sent, MOST_BYTES, app.deliveries.room(holder)).await {
        Ok(bytes) => bytes,
        Err(why) => {
            count("unread");
            let code = match why {
                body::Unread::Crowded => "SERVICE_UNAVAILABLE",
                _ => VALIDATION_ERROR,
            };
            return reply::refusal(why.status(), code, &format!("the body {}", why.problem()));
        }
    };
    if let Err(error) = app
        .verifier
        .verify(signature(&parts.headers), &bytes, app.clock.now())
    {
        count("bad_signature");
        tracing::warn!(%error, "webhook refused");
        return reply::refusal(StatusCode::BAD_REQUEST, "BAD_SIGNATURE", &error.to_string());
    }
    if let Err(why) = app.schema.missing() {
        return unstored(&why.to_string());
    }
    // In a task of its own, so that the event is stored even if Stripe disconnects.
    let storing = app.tasks.spawn(store(Arc::clone(&app), bytes).in_current_span());
    match storing.await {
        Ok(Ok(outcome)) => {
            count(outcome);
            Json(json!({ "received": true })).into_response()
        }
        Ok(Err(error)) => unstored(&chain(&error)),
        Err(error) => unstored(&chain(&error)),
    }
}

async fn store(app: Arc<App>, bytes: axum::body::Bytes) -> Result<&'static str, InboxError> {
    Ok(match app.inbox.receive(Source::Webhook, &bytes).await? {
        Received::New => "stored",
        Received::Duplicate => "duplicate",
        Received::Ignored => "ignored",
        Received::Parked => "parked",
    })
}

/// Returns the only signature header; of two it would be unclear which is Stripe's.
fn signature(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(SIGNATURE_HEADER).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

fn unstored(error: &str) -> Response {
    count("unstored");
    tracing::error!(error, "an event could not be stored; Stripe will send it again");
    reply::refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "SERVICE_UNAVAILABLE",
        "the event could not be stored; send it again",
    )
}

fn count(outcome: &'static str) {
    metrics::counter!(WEBHOOKS, "outcome" => outcome).increment(1);
}
