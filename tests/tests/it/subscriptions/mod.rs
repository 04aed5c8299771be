//! Subscriptions: a subscriber receives every change, whoever made it, and nothing that belongs to others.

mod changes;
mod library;
mod shares;
mod sockets;

use serde_json::{Value, json};
use wallet_tests::app::Options;
use wallet_tests::socket::Socket;
use wallet_tests::{TestApp, User};

/// A system in which no change is found by polling: what reaches a subscriber was announced.
async fn never_looking() -> TestApp {
    TestApp::with(Options {
        workers: 0,
        variables: vec![("SUBSCRIPTION_POLL_SECONDS", "3600".to_owned())],
        ..Options::default()
    })
    .await
}

/// Watches a transaction over a websocket of its own, and returns the websocket with the first result.
async fn watch_transaction(base: &str, user: &User, id: &str) -> (Socket, Value) {
    let query =
        "subscription($id: String!) { transactionUpdated(id: $id) { id status timeline { kind message } } }";
    watch(base, user, query, id).await
}

/// Watches a wallet over a websocket of its own, and returns the websocket with the first result.
async fn watch_wallet(base: &str, user: &User, id: &str) -> (Socket, Value) {
    let query = "subscription($id: String!) { walletUpdated(id: $id) { balance frozenBalance isActive } }";
    watch(base, user, query, id).await
}

async fn watch(base: &str, user: &User, query: &str, id: &str) -> (Socket, Value) {
    let mut socket = Socket::of(base, user).await;
    socket.begin("watch", query, json!({ "id": id })).await;
    let first = row(&socket.result_of("watch").await);
    (socket, first)
}

/// The next result of a watch.
async fn next(socket: &mut Socket) -> Value {
    row(&socket.result_of("watch").await)
}

/// The only field of a result.
fn row(result: &Value) -> Value {
    assert!(result.get("errors").is_none(), "{result}");
    let fields = result["data"].as_object().unwrap();
    fields.values().next().unwrap().clone()
}
