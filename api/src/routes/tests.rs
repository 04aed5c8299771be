//! The router without a database: what is refused before anything is read or written.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wallet_core::clock::SystemClock;
use wallet_core::config::ApiConfig;

use super::router;
use crate::state::App;

const SECRET: &str = "mD3x8Wq0Zr7Yt2Kp5Vn9Lb4Hs6Jf1Gc3";

/// An API whose database and Redis nobody answers for.
async fn api(more: &'static [(&'static str, &'static str)]) -> Router {
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
    router(
        App::new(&config, Arc::new(SystemClock), CancellationToken::new())
            .await
            .unwrap(),
    )
}

fn token(role: &str) -> String {
    let claims =
        json!({ "sub": "018f2f5e-7b3c-7000-8000-000000000001", "exp": 4_102_444_800_u64, "role": role });
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

/// Sends a request and gives its status, its headers and its body as JSON (or text).
async fn send(api: &Router, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, Value) {
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

#[tokio::test]
async fn only_json_is_taken() {
    let api = api(&[]).await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin1",
        "",
    ] {
        let mut request = query("{ __typename }");
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let (status, _, body) = send(&api, request).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "VALIDATION_ERROR"),
            "{kind}"
        );
    }
    for kind in ["application/json", "Application/JSON; charset=UTF-8"] {
        let mut request = query("{ __typename }");
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let (status, _, body) = send(&api, request).await;
        assert_eq!(
            (status, &body["data"]["__typename"]),
            (StatusCode::OK, &json!("Query")),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn bodies_are_bounded_and_one_operation_each() {
    let api = api(&[]).await;
    let (status, _, body) = send(&api, query(&format!("{{ a(b: \"{}\") }}", "x".repeat(64 * 1024)))).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::PAYLOAD_TOO_LARGE, "VALIDATION_ERROR")
    );
    let deep = format!(
        "{{\"query\":\"{{a}}\",\"variables\":{}{}}}",
        "{\"a\":".repeat(5_000),
        "1".to_owned() + &"}".repeat(5_000)
    );
    for wrong in [
        "",
        "{",
        "[]",
        "7",
        "[{\"query\":\"{ __typename }\"},{\"query\":\"{ __typename }\"}]",
        "{\"query\":7}",
        &deep,
    ] {
        let (status, _, body) = send(&api, post(wrong.to_owned())).await;
        assert_eq!(
            (status, code(&body), field(&body)),
            (StatusCode::BAD_REQUEST, "VALIDATION_ERROR", "body"),
            "{wrong:.40}"
        );
    }
}

#[tokio::test]
async fn a_token_is_needed() {
    let api = api(&[]).await;
    for value in [None, Some("Bearer x.y.z"), Some("Basic YTpi"), Some("Bearer")] {
        let mut request = query("{ __schema { types { name } } }");
        request.headers_mut().remove(header::AUTHORIZATION);
        if let Some(value) = value {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        let (status, headers, body) = send(&api, request).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            "{value:?}"
        );
        assert_eq!(headers[header::WWW_AUTHENTICATE], "Bearer");
        assert_eq!(body["data"], Value::Null);
    }
}

#[tokio::test]
async fn what_graphql_refuses_is_a_validation_error_and_leaks_nothing() {
    let api = api(&[]).await;
    for (query_text, named) in [
        ("{", "query"),
        ("{ walet { id } }", "query"),
        ("{ wallet { id } }", "id"),
        ("{ wallet(id: 7) { id } }", "id"),
        (
            "{ wallet(id: \"x\") { transactions(type: BET) { nodes { id } } } }",
            "type",
        ),
        ("query($x: Int) { wallet(id: $x) { id } }", "query"),
        ("{ __schema { types { name } } }", "query"),
        ("{ __type(name: \"Wallet\") { name } }", "query"),
        ("query A { __typename } query B { __typename }", "operationName"),
        ("subscription { walletUpdated(id: \"x\") { id } }", "query"),
        (
            "mutation { deposit(walletId: \"x\", input: { amount: true }) { id } }",
            "amount",
        ),
        (
            "mutation { deposit(walletId: \"x\", input: { amount: 1, balance: 5 }) { id } }",
            "balance",
        ),
        (
            "mutation { deposit(walletId: \"x\", input: {}) { id } }",
            "amount",
        ),
    ] {
        let (status, _, body) = send(&api, query(query_text)).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::OK, "VALIDATION_ERROR"),
            "{query_text}: {body}"
        );
        assert_eq!(field(&body), named, "{query_text}: {body}");
        assert!(!body.to_string().contains("Did you mean"), "{body}");
    }
}

#[tokio::test]
async fn mutations_do_not_travel_by_get() {
    for graphiql in [&[][..], &[("GRAPHIQL", "true")]] {
        let api = api(graphiql).await;
        let target = "/graphql?query=mutation%7Btransfer%7Bid%7D%7D";
        let request = Request::get(target).header(header::AUTHORIZATION, format!("Bearer {}", token("user")));
        let (status, headers, body) = send(&api, request.body(Body::empty()).unwrap()).await;
        if graphiql.is_empty() {
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(body["error"]["code"], "METHOD_NOT_ALLOWED");
        } else {
            assert_eq!(status, StatusCode::OK);
            assert!(
                headers[header::CONTENT_TYPE]
                    .to_str()
                    .unwrap()
                    .starts_with("text/html")
            );
        }
    }
}

#[tokio::test]
async fn graphiql_comes_from_here_alone_and_shows_the_schema_without_a_token() {
    let api = api(&[("GRAPHIQL", "true")]).await;
    for path in ["/graphql", "/graphql/graphiql.js", "/graphql/graphiql.css"] {
        let (status, headers, body) = send(&api, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(
            headers[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .starts_with("default-src 'none'")
        );
        let text = body.as_str().unwrap();
        assert!(
            !text.contains("http://") && !text.contains("https://") && !text.contains("src=\"//"),
            "{path}"
        );
    }
    let anonymous = |text: &str| {
        let mut request = query(text);
        request.headers_mut().remove(header::AUTHORIZATION);
        request
    };
    let (status, _, body) = send(&api, anonymous("{ __schema { queryType { name } } }")).await;
    assert_eq!(
        (status, &body["data"]["__schema"]["queryType"]["name"]),
        (StatusCode::OK, &json!("Query"))
    );
    for wanted in [
        "{ wallets { id } }",
        "{ __schema { queryType { name } } wallets { id } }",
        "mutation { createWallet(input: {}) { id } }",
        "{",
    ] {
        let (status, _, body) = send(&api, anonymous(wanted)).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            "{wanted}"
        );
    }
    let (_, _, body) = send(&api, query(USUAL_INTROSPECTION)).await;
    assert!(body["errors"].is_null(), "{body}");
}

#[tokio::test]
async fn the_header_key_and_the_input_key_must_agree() {
    let api = api(&[]).await;
    let transfer = |alias: &str, key: &str| {
        format!(
            "{alias}: transfer(fromWalletId: \"x\", input: {{ toWalletId: \"y\", amount: 1{key} }}) {{ id }} "
        )
    };
    let with_key = |text: String, key: &[u8]| {
        let mut request = query(&text);
        request.headers_mut().insert(
            "idempotency-key",
            axum::http::HeaderValue::from_bytes(key).unwrap(),
        );
        request
    };
    let one = |key: &str| format!("mutation {{ {} }}", transfer("a", key));
    for request in [
        with_key(one(", idempotencyKey: \"k2\""), b"k1"),
        with_key(one(""), b""),
        with_key(one(""), b"a b"),
        with_key(one(""), "schlüssel".as_bytes()),
        with_key(one(""), &b"k".repeat(256)),
        with_key(
            format!("mutation {{ {} {} }}", transfer("a", ""), transfer("b", "")),
            b"k1",
        ),
    ] {
        let (_, _, body) = send(&api, request).await;
        assert_eq!(
            (code(&body), field(&body)),
            ("VALIDATION_ERROR", "idempotencyKey"),
            "{body}"
        );
    }
    // A good key gets as far as the wallet's id, which is none.
    for request in [
        with_key(one(""), b"k1"),
        with_key(one(", idempotencyKey: \"k1\""), b"k1"),
    ] {
        assert_eq!(code(&send(&api, request).await.2), "WALLET_NOT_FOUND");
    }
}

#[tokio::test]
async fn without_a_database_the_api_says_so_and_lives() {
    let api = api(&[]).await;
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(send(&api, get("/healthz")).await.0, StatusCode::OK);
    let (status, _, body) = send(&api, get("/readyz")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (&body["database"], &body["redis"]),
        (&json!("unavailable"), &json!("unavailable"))
    );
    let (_, _, body) = send(&api, query("{ wallets { id } }")).await;
    assert_eq!(code(&body), "SERVICE_UNAVAILABLE");
    assert!(!body.to_string().contains("127.0.0.1"), "{body}");
    let (status, headers, body) = send(&api, get("/metrics")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        headers[header::CONTENT_TYPE]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    assert!(
        body.as_str().unwrap().contains("wallet_http_requests_total"),
        "{body}"
    );
    assert_eq!(send(&api, get("/nothing")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_webhook_without_stripes_signature_is_refused_before_the_database() {
    let api = api(&[]).await;
    for signature in [
        None,
        Some(""),
        Some("whsec_9f2k5b7q1x8c0a6d"),
        Some("t=1,v1=00"),
        Some("t=1"),
    ] {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/wallet/webhook")
            .body(Body::from("{}"))
            .unwrap();
        if let Some(signature) = signature {
            request
                .headers_mut()
                .insert("stripe-signature", signature.parse().unwrap());
        }
        let (status, _, body) = send(&api, request).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!("BAD_SIGNATURE")),
            "{signature:?}"
        );
    }
    let large = Request::post("/wallet/webhook")
        .body(Body::from(vec![b' '; 1024 * 1024 + 1]))
        .unwrap();
    assert_eq!(send(&api, large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn every_response_names_its_request_and_is_not_kept() {
    let api = api(&[]).await;
    let request = Request::get("/healthz")
        .header("x-request-id", "req-7")
        .body(Body::empty())
        .unwrap();
    let (_, headers, _) = send(&api, request).await;
    assert_eq!(headers["x-request-id"], "req-7");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
}

#[tokio::test]
async fn the_limit_holds_while_redis_is_away_and_counts_mutations_one_by_one() {
    let api = api(&[("RATE_LIMIT_PER_MINUTE", "3")]).await;
    let two = "mutation { a: transfer(fromWalletId: \"x\", input: { toWalletId: \"y\", amount: 1 }) { id } b: transfer(fromWalletId: \"x\", input: { toWalletId: \"y\", amount: 1 }) { id } }";
    assert_eq!(send(&api, query(two)).await.0, StatusCode::OK);
    assert_eq!(send(&api, query("{ __typename }")).await.0, StatusCode::OK);
    let (status, headers, body) = send(&api, query("{ __typename }")).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED")
    );
    let wait = body["errors"][0]["extensions"]["retryAfter"].as_u64().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(headers[header::RETRY_AFTER], wait.to_string().as_str());
}

/// What GraphQL clients send to learn a schema, as graphql-js 16 writes it.
const USUAL_INTROSPECTION: &str = "query IntrospectionQuery { __schema { queryType { name } mutationType { name } \
    subscriptionType { name } types { ...FullType } directives { name description locations args { ...InputValue } } } } \
    fragment FullType on __Type { kind name description fields(includeDeprecated: true) { name description \
    args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason } inputFields { ...InputValue } \
    interfaces { ...TypeRef } enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } \
    possibleTypes { ...TypeRef } } fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue } \
    fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name \
    ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }";
