//! Which pages may use the API from a browser: those of the configured origins, and those that come from here (GraphiQL).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use wallet_core::config::AllowedOrigins;

use crate::request_id::REQUEST_ID_HEADER;

/// How long a browser may remember what it was allowed.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// Answers browsers that ask whether they may; none when no origin is allowed.
pub(super) fn layer(allowed: &AllowedOrigins) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = allowed.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::POST, Method::GET])
        // Clients of GraphQL bring headers of their own; that an origin is allowed is what counts. No cookies: tokens are sent.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::RETRY_AFTER, header::WWW_AUTHENTICATE, REQUEST_ID_HEADER])
        .max_age(REMEMBERED_FOR);
    Some(layer)
}

/// Whether a websocket may be opened: browsers tell the page's origin and ask nobody, other clients tell none.
pub(super) fn may_open_socket(headers: &HeaderMap, allowed: &AllowedOrigins) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else { return false };
    let is_ours = || {
        let host = headers.get(header::HOST)?.to_str().ok()?;
        let page: Uri = origin.parse().ok()?;
        Some(page.authority()?.as_str().eq_ignore_ascii_case(host))
    };
    allowed.contains(origin) || is_ours() == Some(true)
}
