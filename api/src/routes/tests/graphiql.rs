//! The page, its policy, and the schema it shows.

use super::*;

#[tokio::test]
async fn graphiql_comes_from_here_alone_and_shows_the_schema_without_a_token() {
    let api = api(&[("GRAPHIQL", "true")]).await;
    for (path, accept) in [
        ("/graphql", "*/*"),
        ("/graphql", "text/html,application/xhtml+xml,*/*;q=0.8"),
        ("/graphql?query=%7B__typename%7D", "text/html,*/*;q=0.8"),
        ("/graphql/graphiql.js", "*/*"),
        ("/graphql/graphiql.css", "text/css"),
    ] {
        let request = Request::get(path).header(header::ACCEPT, accept);
        let (status, headers, body) = send(&api, request.body(Body::empty()).unwrap()).await;
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

/// What GraphQL clients send to read a schema, as graphql-js 16 writes it.
const USUAL_INTROSPECTION: &str = "query IntrospectionQuery { __schema { queryType { name } mutationType { name } \
    subscriptionType { name } types { ...FullType } directives { name description locations args { ...InputValue } } } } \
    fragment FullType on __Type { kind name description fields(includeDeprecated: true) { name description \
    args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason } inputFields { ...InputValue } \
    interfaces { ...TypeRef } enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } \
    possibleTypes { ...TypeRef } } fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue } \
    fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name \
    ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }";
