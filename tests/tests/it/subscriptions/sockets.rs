//! Who may open a websocket, what may be requested over it, and when it ends.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use wallet_dev::token;
use wallet_tests::socket::{Frame, Socket};
use wallet_tests::system::{JWT_SECRET, PLATFORM_SECRET};
use wallet_tests::{Role, TestApp, User};

use super::{never_looking, next, watch_transaction, watch_wallet};

const WALLET: &str = "subscription($id: String!) { walletUpdated(id: $id) { balance } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_watches_anything_without_a_good_token() {
    let app = TestApp::with_workers(0).await;
    let id = User::new().id;
    let hour = Duration::from_secs(3_600);
    let expired = token::issue(JWT_SECRET, id, Role::User, hour).unwrap();
    app.clock.advance(TimeDelta::hours(2));
    let foreign = token::issue(PLATFORM_SECRET.repeat(2).as_str(), id, Role::User, 4 * hour).unwrap();
    for bad in ["", "no token", expired.as_str(), foreign.as_str()] {
        let mut socket = Socket::open(app.base()).await;
        socket.greet(bad).await;
        assert_eq!(socket.frame().await, Frame::Closed(4403), "{bad:?}");
    }
    let mut socket = Socket::open(app.base()).await;
    socket.begin("watch", WALLET, json!({ "id": id })).await;
    assert_eq!(socket.frame().await, Frame::Closed(4401), "no greeting at all");
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_ends_with_its_token() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(1_000).await;
    let hour = Duration::from_secs(3_600);
    let short = User {
        token: token::issue(JWT_SECRET, alice.id, Role::User, hour).unwrap(),
        ..alice.clone()
    };
    let (mut until_then, _) = watch_wallet(app.base(), &short, &hers).await;
    let (mut beyond, _) = watch_wallet(app.base(), &alice, &hers).await;
    app.clock.advance(TimeDelta::minutes(59));
    assert_eq!(until_then.frame_within(Duration::from_millis(1_500)).await, None);
    app.clock.advance(TimeDelta::minutes(2));
    assert_eq!(until_then.frame().await, Frame::Closed(4403));
    let closed = "UPDATE wallets SET is_active = false WHERE user_id = $1";
    assert_eq!(app.db.execute(closed, &[&alice.id]).await, 1);
    assert_eq!(
        next(&mut beyond).await["isActive"],
        false,
        "the other token lives on"
    );
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_somebody_elses_cannot_be_watched_and_nothing_but_watching_is_done() {
    let app = never_looking().await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    let mut stranger = Socket::of(app.base(), &User::new()).await;
    let transaction = "subscription($id: String!) { transactionUpdated(id: $id) { id } }";
    let wallets = "query($id: String!) { wallet(id: $id) { id } }";
    for (query, id, code) in [
        (transaction, sent.as_str(), "TRANSACTION_NOT_FOUND"),
        (transaction, "no id", "TRANSACTION_NOT_FOUND"),
        (WALLET, hers.as_str(), "WALLET_NOT_FOUND"),
        (WALLET, "no id", "WALLET_NOT_FOUND"),
        (wallets, hers.as_str(), "VALIDATION_ERROR"),
    ] {
        stranger.begin("watch", query, json!({ "id": id })).await;
        let Frame::Message(told) = stranger.frame().await else {
            panic!("{query}: closed")
        };
        assert!(told.to_string().contains(code), "{query} {id}: {told}");
        while let Some(frame) = stranger.frame_within(Duration::from_millis(100)).await {
            assert_eq!(
                frame,
                Frame::Message(json!({ "id": "watch", "type": "complete" }))
            );
        }
    }
    let staff = User::with_role(Role::Support);
    let (_, seen) = watch_transaction(app.base(), &staff, &sent).await;
    assert_eq!(seen["id"], sent, "support may");
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_over_the_websocket_are_read_as_strictly_as_over_http() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    let mut socket = Socket::of(app.base(), &alice).await;
    let query = "subscription($id: String!, $n: JSON) { walletUpdated(id: $id) { balance } }";
    for (variables, field) in [
        (format!("{{\"id\":\"{his}\",\"id\":\"{hers}\"}}"), "id"),
        (format!("{{\"id\":\"{hers}\",\"\\u0069d\":\"{hers}\"}}"), "id"),
        (format!("{{\"id\":\"{hers}\",\"n\":0.10000000000000000001}}"), "n"),
        (
            format!("{{\"id\":\"{hers}\",\"n\":{{\"a\":[18446744073709551616]}}}}"),
            "a",
        ),
        (format!("{{\"id\":\"{hers}\",\"n\":{{\"a\":1,\"a\":2}}}}"), "a"),
    ] {
        let payload = format!("{{\"query\":\"{query}\",\"variables\":{variables}}}");
        let text = format!("{{\"id\":\"s\",\"type\":\"subscribe\",\"payload\":{payload}}}");
        socket.say(&text).await;
        let Frame::Message(told) = socket.frame().await else {
            panic!("{variables}: closed")
        };
        assert_eq!(
            (&told["type"], &told["id"]),
            (&json!("error"), &json!("s")),
            "{told}"
        );
        let error = &told["payload"][0]["extensions"];
        assert_eq!(
            (&error["code"], &error["field"]),
            (&json!("VALIDATION_ERROR"), &json!(field)),
            "{told}"
        );
    }
    // The websocket and the name live on.
    socket.begin("s", WALLET, json!({ "id": hers })).await;
    assert_eq!(
        socket.result_of("s").await["data"]["walletUpdated"]["balance"],
        "10.00"
    );
    app.abandon().await;
}
