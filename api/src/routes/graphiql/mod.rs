//! GraphiQL: a page for trying out the API, built into the binary. It loads nothing from other hosts, and its policy forbids it.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Returns the page.
pub(super) async fn page() -> Response {
    asset("text/html; charset=utf-8", include_str!("index.html"))
}

/// Returns its script.
pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("graphiql.js"))
}

/// Returns its style sheet.
pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("graphiql.css"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, text).into_response()
}
