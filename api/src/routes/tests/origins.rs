//! Browsers: whose pages may use the API.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};

use super::{api, query, send};

const ALLOWED: (&str, &str) = (
    "CORS_ALLOWED_ORIGINS",
    "https://app.example.com,http://localhost:3000",
);

fn preflight(origin: &str) -> Request<Body> {
    Request::builder()
        .method(Method::OPTIONS)
        .uri("/graphql")
        .header(header::ORIGIN, origin)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(
            header::ACCESS_CONTROL_REQUEST_HEADERS,
            "authorization,content-type,idempotency-key,x-apollo-operation-name",
        )
        .body(Body::empty())
        .unwrap()
}

fn from(mut request: Request<Body>, origin: &str) -> Request<Body> {
    request
        .headers_mut()
        .insert(header::ORIGIN, origin.parse().unwrap());
    request
}

fn allowed_origin(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::ACCESS_CONTROL_ALLOW_ORIGIN)
        .map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn pages_of_allowed_origins_may_ask_and_read_what_they_need() {
    let api = api(&[ALLOWED]).await;
    for origin in ["https://app.example.com", "http://localhost:3000"] {
        let (status, headers, _) = send(&api, preflight(origin)).await;
        assert_eq!((status, allowed_origin(&headers)), (StatusCode::OK, Some(origin)));
        let told = |name| headers.get(name).unwrap().to_str().unwrap().to_ascii_lowercase();
        assert!(told(header::ACCESS_CONTROL_ALLOW_METHODS).contains("post"));
        assert!(told(header::ACCESS_CONTROL_ALLOW_HEADERS).contains("idempotency-key"));
        assert!(headers.get(header::ACCESS_CONTROL_ALLOW_CREDENTIALS).is_none());

        let mut refused = from(query("{ __typename }"), origin);
        for request in [from(query("{ __typename }"), origin), {
            refused.headers_mut().remove(header::AUTHORIZATION);
            refused
        }] {
            let (_, headers, _) = send(&api, request).await;
            assert_eq!(allowed_origin(&headers), Some(origin), "errors are read as well");
            let exposed = headers[header::ACCESS_CONTROL_EXPOSE_HEADERS]
                .to_str()
                .unwrap()
                .to_ascii_lowercase();
            assert!(
                exposed.contains("retry-after") && exposed.contains("x-request-id"),
                "{exposed}"
            );
        }
    }
}

#[tokio::test]
async fn no_other_page_may() {
    let some = api(&[ALLOWED]).await;
    for origin in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "null",
    ] {
        for request in [preflight(origin), from(query("{ __typename }"), origin)] {
            let (_, headers, _) = send(&some, request).await;
            assert_eq!(allowed_origin(&headers), None, "{origin}");
        }
    }
    let none = api(&[]).await;
    let (_, headers, _) = send(&none, preflight("https://app.example.com")).await;
    assert_eq!(allowed_origin(&headers), None);
}

#[tokio::test]
async fn a_websocket_is_opened_for_allowed_pages_for_our_own_and_for_what_is_no_page() {
    let api = api(&[ALLOWED]).await;
    for (origin, may) in [
        (None, true),
        (Some("https://app.example.com"), true),
        (Some("http://wallet.example:8080"), true),
        (Some("https://evil.example"), false),
        (Some("http://wallet.example"), false),
        (Some("null"), false),
    ] {
        let mut request = Request::get("/graphql/ws")
            .header(header::HOST, "wallet.example:8080")
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
            .header(header::SEC_WEBSOCKET_PROTOCOL, "graphql-transport-ws")
            .body(Body::empty())
            .unwrap();
        if let Some(origin) = origin {
            request
                .headers_mut()
                .insert(header::ORIGIN, origin.parse().unwrap());
        }
        let (status, _, body) = send(&api, request).await;
        // No connection stands behind these requests, so an upgrade that is allowed cannot be made.
        assert_eq!(status != StatusCode::FORBIDDEN, may, "{origin:?} {status} {body}");
    }
}
