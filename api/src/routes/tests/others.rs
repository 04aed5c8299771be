//! Webhook, health and metrics, and what all responses share.

use axum::http::Method;

use super::*;

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
    let asked = std::time::Instant::now();
    let (_, _, body) = send(&api, query("{ wallets { id } }")).await;
    assert_eq!(code(&body), "SERVICE_UNAVAILABLE");
    assert!(
        asked.elapsed().as_secs() < 6,
        "a client that may try again is told so soon"
    );
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
