//! Which pages may use the API from a browser: those of the configured origins, and those of this server (GraphiQL).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use wallet_core::config::AllowedOrigins;

use crate::request_id::REQUEST_ID_HEADER;

/// How long a browser may cache the permission.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// Returns the layer that answers the preflight requests of browsers, or `None` if no origin is allowed.
pub(super) fn layer(allowed: &AllowedOrigins) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = allowed.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::POST, Method::GET])
        // GraphQL clients send headers of their own; only the origin decides. There are no cookies: tokens are sent.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::RETRY_AFTER, header::WWW_AUTHENTICATE, REQUEST_ID_HEADER])
        .max_age(REMEMBERED_FOR);
    Some(layer)
}

/// Returns whether a websocket may be opened. Browsers send the page's origin without asking first; other clients send none.
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
