//! From a change in the database to the subscribers.

use chrono::TimeDelta;
use serde_json::json;
use tokio::net::TcpListener;
use wallet_tests::app::{Options, id_of, uuid};
use wallet_tests::programs::start;
use wallet_tests::servers::postgres;
use wallet_tests::system::Api;
use wallet_tests::{TestApp, eventually};

use super::{never_looking, next, watch_transaction, watch_wallet};

/// The connections by which APIs receive changes.
const LISTENING: &str =
    "pg_stat_activity WHERE datname = current_database() AND application_name = 'wallet-api-feed'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_in_another_process_does_reaches_the_subscribers_of_every_api() {
    let app = never_looking().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = Api::start(&app.variables, app.clock.clone(), listener).await;
    let other_base = format!("http://{}", other.address);
    let (alice, hers) = app.owner(1_000).await;
    let (bob, his) = app.owner(0).await;
    let sent = app.send(&alice, &hers, &his, 100).await;

    let mut watches = Vec::new();
    for (base, user, wallet, balance) in [
        (app.base(), &alice, &hers, "9.00"),
        (&other_base, &bob, &his, "1.00"),
    ] {
        let (transaction, first) = watch_transaction(base, user, &sent).await;
        assert_eq!(first["status"], "PENDING");
        let (wallet, first) = watch_wallet(base, user, wallet).await;
        assert_ne!(first["balance"], balance);
        watches.push((transaction, wallet, balance));
    }
    let mut worker = start("wallet-worker", &["run"], &app.variables);
    for (mut transaction, mut wallet, balance) in watches {
        assert_eq!(next(&mut transaction).await["status"], "COMPLETED");
        transaction.end_of("watch").await;
        assert_eq!(next(&mut wallet).await["balance"], balance);
    }
    app.at_rest().await;
    worker.process.kill().await.unwrap();
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_in_the_moment_of_the_first_look_is_not_missed() {
    let mut app = never_looking().await;
    app.start_worker();
    let (alice, hers) = app.owner(10_000).await;
    let (_, his) = app.owner(0).await;
    for _ in 0..40 {
        // The worker settles it while the subscription begins.
        let sent = app.send(&alice, &hers, &his, 1).await;
        let (mut socket, mut seen) = watch_transaction(app.base(), &alice, &sent).await;
        while seen["status"] != "COMPLETED" {
            seen = next(&mut socket).await;
        }
        socket.end_of("watch").await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_the_listening_connection_was_lost_is_told_once_it_is_back() {
    let app = never_looking().await;
    let (alice, hers) = app.owner(1_000).await;
    let (mut before, first) = watch_wallet(app.base(), &alice, &hers).await;
    assert_eq!(first["isActive"], true);
    eventually("the API to listen", async || app.db.count(LISTENING).await == 1).await;

    allow_connections(&app, false).await;
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name = 'wallet-api-feed'";
    assert_eq!(app.db.value::<i64>(ended, &[]).await, 1);
    eventually("nobody to listen", async || app.db.count(LISTENING).await == 0).await;
    // Somebody begins to watch meanwhile.
    let (mut meanwhile, first) = watch_wallet(app.base(), &alice, &hers).await;
    assert_eq!(first["isActive"], true);
    // Nobody announces this, and nobody could hear it.
    let closed = "UPDATE wallets SET is_active = false WHERE id = $1";
    assert_eq!(app.db.execute(closed, &[&uuid(&hers)]).await, 1);
    allow_connections(&app, true).await;

    for socket in [&mut before, &mut meanwhile] {
        assert_eq!(next(socket).await["isActive"], false);
    }
    app.finish().await;
}

async fn allow_connections(app: &TestApp, allowed: bool) {
    let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", app.db.name());
    postgres().await.execute("postgres", &sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_never_announced_is_found_by_looking() {
    let app = TestApp::with(Options {
        workers: 0,
        variables: vec![("SUBSCRIPTION_POLL_SECONDS", "1".to_owned())],
        ..Options::default()
    })
    .await;
    let (alice, hers) = app.owner(1_000).await;
    let (mut socket, first) = watch_wallet(app.base(), &alice, &hers).await;
    assert_eq!(first["isActive"], true);
    let closed = "UPDATE wallets SET is_active = false WHERE id = $1";
    assert_eq!(app.db.execute(closed, &[&uuid(&hers)]).await, 1);
    assert_eq!(next(&mut socket).await["isActive"], false);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_the_timeline_is_told_though_the_transaction_stands_still() {
    let mut app = never_looking().await;
    app.stripe.fault(json!({ "outcome": "error_503" })).await;
    let (alice, hers) = app.owner(0).await;
    let deposit = id_of(
        &app.deposit(&alice, &hers, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    let (mut socket, first) = watch_transaction(app.base(), &alice, &deposit).await;
    let lines = first["timeline"].as_array().unwrap().len();
    app.start_worker();
    let told = next(&mut socket).await;
    assert_eq!(told["status"], first["status"]);
    assert!(told["timeline"].as_array().unwrap().len() > lines, "{told}");
    app.stripe.clear_faults().await;
    app.hurry_until("the intent to be made", TimeDelta::seconds(30), async || {
        app.db
            .count("wallet_transactions WHERE stage = 'awaiting_payment'")
            .await
            == 1
    })
    .await;
    app.finish().await;
}
