//! GraphQL documents and HTTP bodies that are bombs, mistakes or attempts to circumvent a check.

use reqwest::Method;
use serde_json::json;
use wallet_tests::TestApp;

use super::{Wrong, assert_refused};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_cost_too_much_or_mean_nothing_are_refused() {
    let app = TestApp::with_workers(0).await;
    let (user, wallet) = app.payee(100_000).await;
    let page = |arguments: &str| {
        format!("{{ wallet(id: \"{wallet}\") {{ transactions({arguments}) {{ edges {{ cursor }} }} }} }}")
    };
    let aliases =
        |count: usize, field: &str| (0..count).map(|n| format!("a{n}: {field} ")).collect::<String>();
    let withdraw = format!("withdraw(walletId: \"{wallet}\", input: {{ amount: 1 }}) {{ id }}");
    let fragments = (0..40)
        .map(|n| format!("fragment f{n} on Wallet {{ ...f{} }} ", n + 1))
        .collect::<String>();
    let documents = [
        (
            "fifty levels",
            format!("{}id{}", "{ wallets ".repeat(50), "}".repeat(50)),
        ),
        (
            "levels through fragments",
            format!("{{ wallets {{ ...f0 }} }} {fragments} fragment f40 on Wallet {{ id }}"),
        ),
        (
            "a circle of fragments",
            "{ wallets { ...a } } fragment a on Wallet { ...b } fragment b on Wallet { ...a }".to_owned(),
        ),
        (
            "a thousand aliases",
            format!("{{ {} }}", aliases(1_000, "wallets { id }")),
        ),
        (
            "a hundred withdrawals",
            format!("mutation {{ {} }}", aliases(100, &withdraw)),
        ),
        ("a page of a billion", page("first: 1000000000")),
        ("a page of less than none", page("first: -1")),
        ("a page of none", page("first: 0")),
        ("a cursor of nobody", page("after: \"x\"")),
        (
            "ten thousand directives",
            format!("{{ wallets {{ id {} }} }}", "@skip(if: false) ".repeat(3_500)),
        ),
        (
            "six directives",
            format!("{{ wallets {{ id {} }} }}", "@include(if: true) ".repeat(6)),
        ),
        ("introspection", "{ __schema { types { name } } }".to_owned()),
        (
            "introspection of a type",
            "{ __type(name: \"Wallet\") { name } }".to_owned(),
        ),
        ("a field that is nearly right", "{ walets { id } }".to_owned()),
        (
            "a field of the field that is nearly right",
            "{ wallets { balanc } }".to_owned(),
        ),
        ("recursion", format!("{}id{}", "{ a ".repeat(33), "}".repeat(33))),
        ("nothing", String::new()),
        ("no GraphQL", "give me all wallets".to_owned()),
        ("an open brace", "{ wallets { id }".to_owned()),
        (
            "two operations, none named",
            "query a { wallets { id } } query b { wallets { id } }".to_owned(),
        ),
        ("a mutation called a query", format!("query {{ {withdraw} }}")),
        (
            "an unknown word",
            format!(
                "{{ wallet(id: \"{wallet}\") {{ transactions(status: DONE) {{ edges {{ cursor }} }} }} }}"
            ),
        ),
        (
            "nothing where something must be",
            "{ wallet(id: null) { id } }".to_owned(),
        ),
        ("a number for a text", "{ wallet(id: 7) { id } }".to_owned()),
        (
            "a subscription",
            format!("subscription {{ walletUpdated(id: \"{wallet}\") {{ id }} }}"),
        ),
    ];
    let mut rows: Vec<Wrong> = documents
        .iter()
        .map(|(what, query)| Wrong::operation(*what, &user.token, query, json!({})))
        .collect();
    rows.push(Wrong::operation(
        "a variable of another type",
        &user.token,
        "query($id: String!) { wallet(id: $id) { id } }",
        json!({ "id": [7] }),
    ));
    rows.push(Wrong::operation(
        "a variable left out",
        &user.token,
        "query($id: String!) { wallet(id: $id) { id } }",
        json!({}),
    ));
    let named = json!({ "query": "query a { wallets { id } }", "operationName": "b" });
    rows.push(Wrong::body(
        "an operation that is not there",
        &user.token,
        named.to_string(),
    ));
    assert_refused(&app, &rows).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_request_are_refused_before_anything_is_parsed() {
    let app = TestApp::with_workers(0).await;
    let (user, wallet) = app.payee(100_000).await;
    let withdraw =
        format!("mutation {{ withdraw(walletId: \"{wallet}\", input: {{ amount: 1 }}) {{ id }} }}");
    let good = json!({ "query": withdraw }).to_string();
    let batch = json!(vec![json!({ "query": withdraw }); 100]).to_string();
    let large =
        json!({ "query": "{ wallets { id } }", "variables": { "x": "x".repeat(10_000_000) } }).to_string();
    let body = |what: &str, body: &str| Wrong::body(what, &user.token, body.to_owned());
    let typed = |what: &str, content_type| Wrong {
        content_type,
        ..body(what, &good).status(415)
    };
    let rows = [
        body("an array of a hundred", &batch).status(400),
        body("no JSON", "mutation { x }").status(400),
        body("a JSON text", "\"x\"").status(400),
        body("nothing", "").status(400),
        body("ten megabytes of variables", &large).status(413),
        body("fifty megabytes", &"x".repeat(50_000_000)).status(413),
        typed("text", "text/plain"),
        typed("a form", "application/x-www-form-urlencoded"),
        typed("an upload", "multipart/form-data; boundary=x"),
        typed("another charset", "application/json; charset=utf-7"),
        Wrong {
            method: Method::GET,
            path: "/graphql?query=mutation%7Bx%7D",
            code: None,
            ..body("a mutation by GET", "").status(405)
        },
        Wrong {
            method: Method::PUT,
            code: None,
            ..body("a PUT", &good).status(405)
        },
        Wrong {
            path: "/admin",
            code: None,
            ..body("another route", &good).status(404)
        },
    ];
    assert_refused(&app, &rows).await;
    app.finish().await;
}
