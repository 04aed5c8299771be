//! `POST /graphql`.

use super::*;

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
