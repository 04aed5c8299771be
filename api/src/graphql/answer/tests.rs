//! Answers that are too large, and answers whose fields failed.

use std::sync::atomic::AtomicU32;

use async_graphql::{EmptyMutation, EmptySubscription, Object, Request, Schema};
use serde_json::{Value as Json, json};

use super::*;
use crate::graphql::limits;

/// Items of 100 characters, which count how often they are read.
struct Items;

struct Item;

static READ: AtomicU32 = AtomicU32::new(0);

#[Object]
impl Items {
    async fn items(&self, count: usize) -> Vec<Item> {
        std::iter::repeat_with(|| Item).take(count).collect()
    }
}

#[Object]
impl Item {
    async fn text(&self) -> String {
        READ.fetch_add(1, Ordering::Relaxed);
        "x".repeat(100)
    }

    async fn fails(&self) -> Result<String, ApiError> {
        Err(ApiError::Forbidden("only an operator may"))
    }
}

#[tokio::test]
async fn an_answer_is_given_up_where_it_becomes_too_large() {
    let schema = Schema::build(Items, EmptyMutation, EmptySubscription)
        .extension(Answers { most: 10_000 })
        .finish();
    let fits = schema.execute("{ items(count: 50) { text } }").await;
    assert!(fits.errors.is_empty(), "{:?}", fits.errors);
    assert_eq!(READ.swap(0, Ordering::Relaxed), 50);
    for query in [
        "{ items(count: 5000) { text } }",
        "{ a: items(count: 50) { text } b: items(count: 50) { text other: text } }",
        "{ items(count: 5000) { fails } }",
        "{ items(count: 5000) { __typename } }",
    ] {
        let response = schema.execute(query).await;
        let written = serde_json::to_value(&response).unwrap();
        assert_eq!(written["data"], json!(null), "{query}");
        assert_eq!(written["errors"].as_array().map(Vec::len), Some(1), "{query}");
        assert_eq!(
            written["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED",
            "{query}"
        );
    }
    assert!(
        READ.load(Ordering::Relaxed) < 300,
        "nothing is read for an answer that is given up"
    );
}

/// Applies `work` to the plan of `query`.
fn with_plan(query: &str, work: impl FnOnce(&Plan) -> Value) -> Json {
    let mut request = Request::new(query);
    let rules = limits::Rules {
        introspection: false,
        wallets: 100,
    };
    limits::check(&mut request, rules).unwrap();
    let plan = request.data.get(&std::any::TypeId::of::<Plan>()).unwrap();
    serde_json::to_value(work(plan.downcast_ref().unwrap())).unwrap()
}

/// Returns what a client receives if the engine found `data` for `query`.
fn completed(query: &str, data: Json) -> String {
    let mut written = String::new();
    with_plan(query, |plan| {
        let value = complete::data(plan, Value::from_json(data).unwrap());
        written = serde_json::to_string(&value).unwrap();
        value
    });
    written
}

#[test]
fn a_field_that_failed_is_null_or_nulls_its_parent() {
    let one = "{ wallet(id: \"x\") { id transactions(first: 0) { nodes { id } } } }";
    assert_eq!(
        completed(one, json!({ "wallet": { "__exists": "Wallet", "id": "x" } })),
        r#"{"wallet":null}"#
    );
    assert_eq!(
        completed(one, json!({ "wallet": { "__exists": "Wallet" } })),
        r#"{"wallet":null}"#
    );
    assert_eq!(completed(one, json!({ "wallet": null })), r#"{"wallet":null}"#);
    assert_eq!(completed(one, json!({})), r#"{"wallet":null}"#);
    // Of a list of non-null items: the list, and since that may not be null either, all.
    let list = "{ __typename wallets { id transactions(first: 0) { nodes { id } } } }";
    let found = json!({ "__typename": "Query", "wallets": [{ "__exists": "Wallet", "id": "x" }, { "__exists": "Wallet", "id": "y" }] });
    assert_eq!(completed(list, found), "null");
    let both = "{ a: wallet(id: \"x\") { id } b: wallet(id: \"y\") { balance } }";
    let found = json!({ "b": { "__exists": "Wallet" }, "a": { "id": "x", "__exists": "Wallet" } });
    assert_eq!(completed(both, found), r#"{"a":{"id":"x"},"b":null}"#);
    // A field that may be null stays in its object.
    let secret = "{ transaction(id: \"x\") { clientSecret } }";
    assert_eq!(
        completed(
            secret,
            json!({ "transaction": { "__exists": "WalletTransaction" } })
        ),
        r#"{"transaction":{"clientSecret":null}}"#
    );
    let nested = "{ transaction(id: \"x\") { id timeline { at message } } }";
    let found = json!({ "transaction": { "id": "x", "timeline": [{ "at": "now", "message": "m" }, { "at": "now" }] } });
    assert_eq!(completed(nested, found), r#"{"transaction":null}"#);
}

#[test]
fn roots_of_mutations_and_subscriptions_are_nulled_like_others() {
    let call = |alias: &str| format!("{alias}: cancelTransaction(transactionId: \"x\") {{ id }}");
    let two = format!("mutation {{ {} {} }}", call("a"), call("b"));
    let found = json!({ "__exists": "Mutation", "a": { "__exists": "WalletTransaction", "id": "x" } });
    assert_eq!(completed(&two, found.clone()), "null", "both may not be null");
    let told = with_plan(&two, |plan| {
        assert!(plan.holds_several_mutations());
        complete::succeeded(plan, &Value::from_json(found).unwrap())
    });
    assert_eq!(
        told,
        json!({ "a": { "id": "x" } }),
        "and the one that was done is told"
    );
    let one = format!("mutation {{ {} }}", call("a"));
    with_plan(&one, |plan| {
        assert!(!plan.holds_several_mutations());
        Value::Null
    });
    let watched = "subscription { walletUpdated(id: \"x\") { id balance } }";
    assert_eq!(
        completed(watched, json!({ "walletUpdated": { "id": "x" } })),
        "null"
    );
    assert_eq!(
        completed(
            watched,
            json!({ "walletUpdated": { "balance": "1.00", "id": "x" } })
        ),
        r#"{"walletUpdated":{"id":"x","balance":"1.00"}}"#
    );
    assert_eq!(completed(watched, json!(null)), "null");
}

#[test]
fn fields_come_in_the_order_of_the_selection_and_what_is_skipped_is_left_out() {
    let query = "{ wallet(id: \"x\") { updatedAt ...F id @skip(if: true) ... { balance } } } fragment F on Wallet { currency }";
    let found = json!({ "wallet": { "balance": "1.00", "currency": "usd", "updatedAt": "now", "__exists": "Wallet" } });
    assert_eq!(
        completed(query, found),
        r#"{"wallet":{"updatedAt":"now","currency":"usd","balance":"1.00"}}"#
    );
    let none = "{ wallets { id @skip(if: true) } }";
    assert_eq!(
        completed(
            none,
            json!({ "wallets": [{ "__exists": "Wallet" }, { "__exists": "Wallet" }] })
        ),
        r#"{"wallets":[{},{}]}"#
    );
    assert_eq!(
        completed(
            "{ wallets @skip(if: true) { id } }",
            json!({ "__exists": "Query" })
        ),
        "{}"
    );
    // The client's own data is given as it is.
    let data = "{ transaction(id: \"x\") { metadata } }";
    let found = json!({ "transaction": { "metadata": { "a": [null], "b": null } } });
    assert_eq!(
        completed(data, found),
        r#"{"transaction":{"metadata":{"a":[null],"b":null}}}"#
    );
}
