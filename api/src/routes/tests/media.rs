//! Media types and statuses of GraphQL over HTTP (<https://graphql.github.io/graphql-over-http/draft/>).

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::{api, code, field, post, query, send};

const NEWER: &str = "application/graphql-response+json";

fn asking(mut request: Request<Body>, accept: &str) -> Request<Body> {
    request
        .headers_mut()
        .insert(header::ACCEPT, accept.parse().unwrap());
    request
}

fn without_token(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().remove(header::AUTHORIZATION);
    request
}

#[tokio::test]
async fn whoever_asks_for_the_newer_type_is_told_by_the_status_whether_it_was_executed() {
    let api = api(&[]).await;
    let accept = format!("{NEWER},application/json;q=0.9");
    for (request, status, told) in [
        (query("{ __typename }"), StatusCode::OK, ""),
        (query("{"), StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
        (query("{ nothing }"), StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
        (
            query("query($a: Nothing) { __typename }"),
            StatusCode::BAD_REQUEST,
            "VALIDATION_ERROR",
        ),
        (post("{"), StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
        (
            without_token(query("{ __typename }")),
            StatusCode::UNAUTHORIZED,
            "UNAUTHENTICATED",
        ),
    ] {
        let (answered, headers, body) = send(&api, asking(request, &accept)).await;
        assert_eq!((answered, code(&body)), (status, told), "{body}");
        assert_eq!(headers[header::CONTENT_TYPE], format!("{NEWER}; charset=utf-8"));
        assert_eq!(body.get("data").is_some(), status == StatusCode::OK, "{body}");
    }
}

#[tokio::test]
async fn whoever_does_not_gets_json_and_200_for_what_graphql_refuses() {
    let api = api(&[]).await;
    for accept in ["application/json", "*/*"] {
        let (status, headers, body) = send(&api, asking(query("{ nothing }"), accept)).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::OK, "VALIDATION_ERROR"),
            "{accept}"
        );
        assert_eq!(headers[header::CONTENT_TYPE], "application/json", "{accept}");
    }
}

#[tokio::test]
async fn too_many_requests_say_when_to_come_again_in_both_types() {
    let api = api(&[("RATE_LIMIT_PER_MINUTE", "1")]).await;
    let (status, _, _) = send(&api, query("{ __typename }")).await;
    assert_eq!(status, StatusCode::OK);
    for accept in [NEWER, "application/json"] {
        let (status, headers, body) = send(&api, asking(query("{ __typename }"), accept)).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"),
            "{accept}"
        );
        let seconds = body["errors"][0]["extensions"]["retryAfter"].as_u64().unwrap();
        assert_eq!(headers[header::RETRY_AFTER], seconds.to_string(), "{accept}");
    }
}

#[tokio::test]
async fn a_request_without_a_query_is_told_so_in_the_words_that_its_sender_looks_for() {
    let api = api(&[]).await;
    let digest = json!({ "persistedQuery": { "version": 1, "sha256Hash": "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38" } });
    let looked_for = "PersistedQueryNotSupported";
    let fix =
        "the request has no query: send the document in the field query; persisted queries are not supported";
    for (body, message) in [
        (
            json!({ "operationName": "Wallets", "variables": {}, "extensions": digest }),
            looked_for,
        ),
        (json!({ "extensions": digest, "query": null }), looked_for),
        (
            json!({ "documentId": "sha256:7dba4bd717b41f10434822356a93c32b1fb4907b983e854300ad839f84cdcd6e" }),
            fix,
        ),
        (json!({ "extensions": { "persistedQuery": null } }), fix),
        (json!({ "extensions": "none" }), fix),
        (json!({ "query": null }), fix),
        (json!({}), fix),
    ] {
        for accept in [NEWER, "application/json"] {
            let (status, _, told) = send(&api, asking(post(body.to_string()), accept)).await;
            assert_eq!(
                (status, code(&told), &told["errors"][0]["message"]),
                (
                    StatusCode::BAD_REQUEST,
                    "PERSISTED_QUERY_NOT_SUPPORTED",
                    &Value::from(message)
                ),
                "{body} {told}"
            );
        }
    }
    for empty in ["", "  \n"] {
        let (status, _, told) = send(&api, asking(query(empty), NEWER)).await;
        assert_eq!(
            (status, code(&told), field(&told)),
            (StatusCode::BAD_REQUEST, "VALIDATION_ERROR", "query")
        );
    }
}
