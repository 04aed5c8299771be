//! `POST /graphql`.

use std::time::Duration;

use futures::StreamExt;
use tokio::task::JoinHandle;
use wallet_core::ids::UserId;

use super::*;
use crate::state::REQUESTS_OF_PERSON;

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
async fn bodies_of_one_person_that_never_end_take_their_share_of_the_memory_alone() {
    let app = app(&[]).await;
    let api = router(Arc::clone(&app));
    let of = |person: u128, body: Body| {
        let sub = uuid::Uuid::from_u128(person);
        let token = token_of(json!({ "sub": sub, "exp": 4_102_444_800_u64, "role": "user" }));
        let mut request = post(body);
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, value);
        request
    };
    let small = || Body::from(json!({ "query": "{ __typename }" }).to_string());
    let slow: Vec<_> = (0..REQUESTS_OF_PERSON)
        .map(|_| {
            let never_ends =
                futures::stream::iter([Ok::<_, std::io::Error>("{")]).chain(futures::stream::pending());
            tokio::spawn(api.clone().oneshot(of(1, Body::from_stream(never_ends))))
        })
        .collect();
    let greedy = UserId::from_uuid(uuid::Uuid::from_u128(1));
    while app.requests.held_by(&greedy) < REQUESTS_OF_PERSON {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for person in [2, 1] {
        let (status, _, body) = send(&api, of(person, small())).await;
        assert_eq!(
            (status, &body["data"]["__typename"]),
            (StatusCode::OK, &json!("Query"))
        );
    }
    // The oldest one made way for the person's newest.
    while !slow.iter().any(JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut ended = 0;
    for one in slow {
        if one.is_finished() {
            ended += 1;
            let response = one.await.unwrap().unwrap();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        } else {
            one.abort();
        }
    }
    assert_eq!(ended, 1);
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
    // A token that was valid once is reported differently: a new one helps.
    let mut request = query("{ __schema { types { name } } }");
    let ended = token_of(
        json!({ "sub": UserId::from_uuid(uuid::Uuid::from_u128(1)).to_string(), "exp": 1_600_000_000 }),
    );
    let ended = format!("Bearer {ended}");
    request
        .headers_mut()
        .insert(header::AUTHORIZATION, ended.parse().unwrap());
    let (status, headers, body) = send(&api, request).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED")
    );
    assert_eq!(
        headers[header::WWW_AUTHENTICATE],
        "Bearer error=\"invalid_token\""
    );
    let told = body["errors"][0]["message"].as_str().unwrap();
    assert!(told.contains("expired") && told.contains("new token"), "{told}");
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

/// `GET /graphql` with these parameters, from an authenticated client.
fn asked(parameters: &[(&str, &str)], accept: &str) -> Request<Body> {
    let mut address = url::form_urlencoded::Serializer::new(String::new());
    address.extend_pairs(parameters);
    Request::get(format!("/graphql?{}", address.finish()))
        .header(header::ACCEPT, accept)
        .header(header::AUTHORIZATION, format!("Bearer {}", token("user")))
        .body(Body::empty())
        .unwrap()
}

/// What urql accepts, which sends queries by GET unless told otherwise.
const URQL: &str = "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed";

#[tokio::test]
async fn a_query_may_stand_in_the_address_and_nobody_keeps_the_answer() {
    for graphiql in [&[][..], &[("GRAPHIQL", "true")]] {
        let api = api(graphiql).await;
        for (parameters, told) in [
            (
                &[("query", "{ __typename }")][..],
                json!({ "__typename": "Query" }),
            ),
            (
                &[
                    ("query", "query A { a: __typename } query B { b: __typename }"),
                    ("operationName", "B"),
                    ("variables", ""),
                ],
                json!({ "b": "Query" }),
            ),
            (
                &[
                    ("query", "query($x: Boolean!) { __typename @include(if: $x) }"),
                    ("variables", "{\"x\":false}"),
                    ("extensions", "{}"),
                ],
                json!({}),
            ),
        ] {
            for accept in [URQL, "application/json", "*/*"] {
                let (status, headers, body) = send(&api, asked(parameters, accept)).await;
                assert_eq!(
                    (status, &body["data"]),
                    (StatusCode::OK, &told),
                    "{parameters:?} {accept}: {body}"
                );
                assert_eq!(headers[header::CACHE_CONTROL], "no-store");
                let kind = if accept == URQL {
                    "application/graphql-response+json; charset=utf-8"
                } else {
                    "application/json"
                };
                assert_eq!(headers[header::CONTENT_TYPE], kind);
            }
        }
        let mut stranger = asked(&[("query", "{ wallets { id } }")], URQL);
        stranger.headers_mut().remove(header::AUTHORIZATION);
        let (status, _, body) = send(&api, stranger).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED")
        );
    }
}

#[tokio::test]
async fn what_an_address_does_not_hold_is_told_by_graphql() {
    let api = api(&[("GRAPHIQL", "true")]).await;
    let twice = [("query", "{ __typename }"), ("query", "{ wallets { id } }")];
    for (parameters, named) in [
        (&[][..], "query"),
        (&[("operationName", "A")], "query"),
        (&[("query", "{ __typename }"), ("variables", "[")], "variables"),
        (&twice, "query"),
    ] {
        let (status, _, body) = send(&api, asked(parameters, URQL)).await;
        assert_eq!(
            (status, code(&body), field(&body)),
            (StatusCode::BAD_REQUEST, "VALIDATION_ERROR", named),
            "{body}"
        );
        assert!(body.get("data").is_none(), "{body}");
    }
    let hash = "{\"persistedQuery\":{\"version\":1,\"sha256Hash\":\"ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38\"}}";
    for accept in [URQL, "*/*"] {
        let (status, _, body) = send(&api, asked(&[("extensions", hash)], accept)).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::BAD_REQUEST, "PERSISTED_QUERY_NOT_SUPPORTED"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn mutations_and_subscriptions_do_not_travel_by_get() {
    for graphiql in [&[][..], &[("GRAPHIQL", "true")]] {
        let api = api(graphiql).await;
        for text in [
            "mutation { createWallet(input: {}) { id } }",
            "mutation { x }",
            "query A { __typename } mutation B { createWallet(input: {}) { id } }",
            "subscription { walletUpdated(id: \"x\") { id } }",
        ] {
            for accept in [URQL, "application/json", "*/*"] {
                let parameters = [
                    ("query", text),
                    ("operationName", if text.contains(" B ") { "B" } else { "" }),
                ];
                let (status, headers, body) = send(&api, asked(&parameters, accept)).await;
                assert_eq!(
                    (status, code(&body), field(&body)),
                    (StatusCode::METHOD_NOT_ALLOWED, "VALIDATION_ERROR", "query"),
                    "{text}: {body}"
                );
                assert_eq!(headers[header::ALLOW], "POST");
                let told = body["errors"][0]["message"].as_str().unwrap();
                assert!(
                    told.contains("POST /graphql") && told.contains("/graphql/ws"),
                    "{told}"
                );
            }
        }
    }
}

#[tokio::test]
async fn refusals_name_what_is_misspelt_and_the_mend() {
    let api = api(&[]).await;
    for (text, words) in [
        ("{ wallets { nope } }", &["`nope`", "line 1, column 13"][..]),
        ("{ wallets { nope { deeper } } }", &["`nope`"]),
        ("query($x: Int) { wallets { nope(a: $x) } }", &["`nope`"]),
        ("{\n  nowhere\n}", &["`nowhere`", "line 2, column 3"]),
        (
            "subscription { walletUpdated(id: \"x\") { id } }",
            &["/graphql/ws", "graphql-transport-ws"],
        ),
    ] {
        let (_, _, body) = send(&api, query(text)).await;
        let told = body["errors"][0]["message"].as_str().unwrap();
        assert!(words.iter().all(|word| told.contains(word)), "{text}: {told}");
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
    // A valid key gets as far as the wallet's id, which is not valid.
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
