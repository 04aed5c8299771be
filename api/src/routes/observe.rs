//! The frame of every request: its id, its span, its metrics, and the headers of its response.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, Response as HttpResponse, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::reply;
use crate::errors::INTERNAL;
use crate::metrics::{REQUESTS, SECONDS, count_error};
use crate::request_id::{REQUEST_ID_HEADER, RequestId};
use crate::state::App;

/// Gives a request its id and span, measures it, and completes the response.
pub(super) async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::of(request.headers(), app.ids.as_ref());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = method_label(request.method());
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!("request", request_id = id.as_str());
    let mut response = next.run(request).instrument(span).await;

    let status = response.status();
    let route = route.as_ref().map_or("none", MatchedPath::as_str).to_owned();
    let labels = [
        ("route", route.clone()),
        ("method", method.to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    metrics::counter!(REQUESTS, &labels).increment(1);
    metrics::histogram!(SECONDS, "route" => route.clone()).record(started.elapsed());
    if status.is_server_error() {
        tracing::warn!(request_id = id.as_str(), route, method, %status, "request failed");
    } else {
        tracing::debug!(request_id = id.as_str(), route, method, %status, elapsed = ?started.elapsed(), "request");
    }

    let headers = response.headers_mut();
    if let Some(id) = id.header() {
        headers.insert(REQUEST_ID_HEADER, id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Answers a request whose handler panicked. The panic's message is logged, and not sent.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> HttpResponse<Body> {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("something that is no text");
    tracing::error!(panic = said, "a handler panicked");
    count_error(INTERNAL);
    let told = "something went wrong on our side; tell support the x-request-id";
    reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, told).into_response()
}

/// Returns the label of a method. Clients may send any word as a method; only the usual ones become labels.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
