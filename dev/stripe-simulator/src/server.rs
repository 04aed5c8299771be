//! The HTTP interface: the router of the API and the control endpoint.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware;
use axum::response::Response;

use crate::control;
use crate::listener::Cut;
use crate::request::{Request, plain};
use crate::shared::Core;

/// Returns the router of the whole HTTP interface.
pub(crate) fn router(core: Arc<Core>) -> Router {
    let kept = middleware::from_fn_with_state(Arc::clone(&core), once_kept);
    control::router().fallback(api).layer(kept).with_state(core)
}

/// Delays the response until the state that it reports is in the file.
async fn once_kept(
    Shared(core): Shared<Arc<Core>>,
    request: axum::extract::Request,
    next: middleware::Next,
) -> Response {
    let response = next.run(request).await;
    core.kept().await;
    response
}

async fn api(
    Shared(core): Shared<Arc<Core>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // A task of its own: Stripe finishes a request even if the client has gone away.
    let request = Request {
        method,
        uri,
        headers,
        body,
    };
    let worked = tokio::spawn(async move { request.work(&core, &cut).await }).await;
    worked.unwrap_or_else(|error| {
        tracing::error!(%error, "a request of the simulator failed");
        plain(StatusCode::INTERNAL_SERVER_ERROR)
    })
}
