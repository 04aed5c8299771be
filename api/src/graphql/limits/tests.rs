//! Requests that are too much, and ordinary ones that are not.

use async_graphql::Variables;

use super::*;

fn checked(query: &str) -> Result<Shape, ApiError> {
    check(&mut Request::new(query), false)
}

fn problem(query: &str) -> String {
    match checked(query) {
        Err(ApiError::Validation { problem, .. }) => problem,
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn ordinary_requests_pass() {
    for query in [
        "{ wallet(id: \"x\") { id balance } }",
        "query($n: Int) { wallet(id: \"x\") { transactions(first: $n) { edges { cursor node { id amount timeline { at } } } } } }",
        "{ wallets { id transactions(first: 100) { nodes { id amount status } pageInfo { hasNextPage endCursor } } } }",
        "{ __typename }",
    ] {
        assert!(checked(query).is_ok(), "{query}");
    }
}

#[test]
fn depth_counts_through_fragments() {
    let deep = |levels| format!("{}{}", "{a".repeat(levels), "}".repeat(levels));
    assert!(checked(&deep(8)).is_ok());
    assert!(problem(&deep(9)).contains("nested deeper"));
    let split = "{ a { b { c { d { ...F } } } } } fragment F on T { e { f { g { h { i } } } } }";
    assert!(problem(split).contains("nested deeper"));
    assert!(problem(&"{a".repeat(50_000)).contains("nested too deep"));
    assert!(problem(&format!("{{ a(b: {}) }}", "[".repeat(60_000))).contains("nested too deep"));
}

#[test]
fn aliases_and_fragments_are_counted() {
    let aliases: String = (0..1_000)
        .map(|number| format!("a{number}: wallet(id: \"x\") {{ id }} "))
        .collect();
    assert!(problem(&format!("{{ {aliases} }}")).contains("more than 200 fields"));
}

#[test]
fn a_fragment_bomb_is_measured_at_once_and_refused() {
    let mut bomb = "{ ...F0 }".to_owned();
    for level in 0..15 {
        let spreads = format!("...F{} ", level + 1).repeat(100);
        bomb.push_str(&format!(" fragment F{level} on Query {{ {spreads} }}"));
    }
    bomb.push_str(" fragment F15 on Query { __typename }");
    let started = std::time::Instant::now();
    assert!(problem(&bomb).contains("more than 200 fields"));
    assert!(started.elapsed().as_secs() < 2);
}

#[test]
fn circular_fragments_are_refused() {
    assert!(
        problem("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }").contains("into itself")
    );
    assert!(problem("{ ...A } fragment A on Query { ...A }").contains("into itself"));
}

#[test]
fn pages_multiply() {
    let query = |first: &str| {
        format!(
            "{{ wallet(id: \"x\") {{ transactions(first: {first}) {{ nodes {{ id timeline {{ at }} }} }} }} }}"
        )
    };
    assert!(checked(&query("100")).is_ok());
    let twice = "{ a: wallet(id: \"x\") { transactions(first: 100) { nodes { id } } } b: wallet(id: \"x\") { transactions(first: 100) { nodes { timeline { at } } } } }";
    assert!(problem(twice).contains("200 rows"));
    let variables = Variables::from_json(serde_json::json!({ "n": 100 }));
    let three = "query($n: Int) { a: wallets { transactions(first: $n) { nodes { id } } } b: wallets { transactions(first: $n) { nodes { id } } } c: wallets { transactions(first: $n) { nodes { id } } } }";
    assert!(check(&mut Request::new(three).variables(variables), false).is_err());
}

#[test]
fn directives_are_bounded_everywhere() {
    let many = "@include(if: true) ".repeat(10_000);
    for query in [
        format!("{{ wallets {many} {{ id }} }}"),
        format!("query Q {many} {{ wallets {{ id }} }}"),
        format!("{{ ... {many} {{ wallets {{ id }} }} }}"),
        format!("{{ ...F }} fragment F on Query {many} {{ wallets {{ id }} }}"),
    ] {
        assert!(problem(&query).contains("5 directives"));
    }
}

#[test]
fn mutations_are_few_and_each_has_its_own_key() {
    let transfer = |alias: &str| {
        format!("{alias} transfer(fromWalletId: \"x\", input: {{ toWalletId: \"y\", amount: 1 }}) {{ id }} ")
    };
    let shape = checked(&format!("mutation {{ {} {} }}", transfer("a:"), transfer("b:"))).unwrap();
    assert_eq!((shape.mutations, shape.cost()), (2, 2));
    let hundred: String = (0..100).map(|number| format!("a{number}: transfer ")).collect();
    assert!(problem(&format!("mutation {{ {hundred} }}")).contains("3 mutations"));
    assert!(problem(&format!("mutation {{ {} {} }}", transfer(""), transfer(""))).contains("twice"));
    let spread = "mutation { ...F ...F } fragment F on Mutation { transfer { id } }";
    assert!(problem(spread).contains("twice"));
    let inline = "mutation { transfer { id } ... on Mutation { transfer { amount } } }";
    assert!(problem(inline).contains("twice"));
}

#[test]
fn introspection_is_refused_unless_allowed() {
    for query in [
        "{ __schema { types { name } } }",
        "{ __type(name: \"Wallet\") { name } }",
        "{ wallets { id } ...F } fragment F on Query { __schema { types { name } } }",
    ] {
        assert!(problem(query).contains("schema"), "{query}");
        assert!(check(&mut Request::new(query), true).is_ok(), "{query}");
    }
    assert!(
        check(&mut Request::new("{ __schema { types { name } } }"), true)
            .unwrap()
            .is_introspection
    );
    assert!(
        !check(&mut Request::new("{ wallets { id } __typename }"), true)
            .unwrap()
            .is_introspection
    );
}

#[test]
fn the_operation_must_be_clear() {
    let two = "query A { wallets { id } } mutation B { transfer { id } }";
    for name in [None, Some("C")] {
        let mut request = Request::new(two);
        request.operation_name = name.map(str::to_owned);
        assert!(
            matches!(check(&mut request, false), Err(ApiError::Validation { field, .. }) if field == "operationName")
        );
    }
    let shape = check(&mut Request::new(two).operation_name("B"), false).unwrap();
    assert_eq!(shape.operation, OperationType::Mutation);
    assert!(problem("").contains("cannot be parsed"));
    assert!(problem("{ wallets { id }").contains("cannot be parsed"));
}
