//! The router without a database: what is refused before anything is read or written.

mod graphiql;
mod graphql;
mod media;
mod origins;
mod others;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wallet_core::clock::SystemClock;
use wallet_core::config::ApiConfig;

use super::router;
use crate::state::App;

const SECRET: &str = "mD3x8Wq0Zr7Yt2Kp5Vn9Lb4Hs6Jf1Gc3";

/// An API whose database and Redis do not answer.
async fn api(more: &'static [(&'static str, &'static str)]) -> Router {
    router(app(more).await)
}

/// The parts of such an API.
pub(crate) async fn app(more: &'static [(&'static str, &'static str)]) -> Arc<App> {
    let fixed: &[(&str, &str)] = &[
        (
            "DATABASE_URL",
            "postgres://wallet@127.0.0.1:1/wallet?sslmode=disable",
        ),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("STRIPE_SECRET_KEY", "sk_test_4eC39HqLyjWDarjtT1zdp7dc"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_9f2k5b7q1x8c0a6d"),
        (
            "ENCRYPTION_SECRET_KEY",
            "9c1185a5c5e9fc54612808977ee8f548b2258d31ddadef707ba7a2b8b7e1f0a3",
        ),
        ("JWT_SECRET", SECRET),
    ];
    let env = |name: &str| {
        let found = more.iter().chain(fixed).find(|(known, _)| *known == name);
        found.map(|(_, value)| std::ffi::OsString::from(value))
    };
    let config = ApiConfig::read(&env).unwrap();
    App::new(&config, Arc::new(SystemClock), CancellationToken::new())
        .await
        .unwrap()
}

fn token(role: &str) -> String {
    token_of(json!({ "sub": "018f2f5e-7b3c-7000-8000-000000000001", "exp": 4_102_444_800_u64, "role": role }))
}

/// A token with these claims.
pub(crate) fn token_of(claims: Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/graphql")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {}", token("user")))
        .body(body.into())
        .unwrap()
}

fn query(query: &str) -> Request<Body> {
    post(json!({ "query": query }).to_string())
}

/// Sends a request and returns its status, its headers and its body as JSON (or text).
async fn send(api: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
    let response = api.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let body =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes)));
    (parts.status, parts.headers, body)
}

fn code(body: &Value) -> &str {
    body["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_default()
}

fn field(body: &Value) -> &str {
    body["errors"][0]["extensions"]["field"]
        .as_str()
        .unwrap_or_default()
}
