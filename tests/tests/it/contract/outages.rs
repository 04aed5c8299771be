//! Requests while the database or Redis is unavailable.

use serde_json::{Value, json};
use wallet_tests::app::{Options, id_of};
use wallet_tests::money::major;
use wallet_tests::poll::until;
use wallet_tests::{TestApp, User, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_requests_are_refused_and_may_be_repeated_once_it_is_back() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(5_000).await;
    let (_, his) = app.owner(0).await;
    let cluster = wallet_tests::servers::postgres().await;
    let name = app.db.name().to_owned();
    cluster
        .execute(
            "postgres",
            &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
        )
        .await
        .unwrap();
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    cluster.execute("postgres", &end).await.unwrap();

    let input = json!({ "toWalletId": his, "amount": "20.00", "idempotencyKey": "once" });
    let refused = app.transfer(&alice, &hers, input.clone()).await;
    assert_eq!(refused.code(), Some("SERVICE_UNAVAILABLE"), "{}", refused.body);
    assert_eq!(
        app.deliver_signed(&json!({ "id": "evt_unstored", "type": "x", "livemode": false }))
            .await,
        503
    );
    let ready = app
        .client()
        .get(format!("{}/readyz", app.base()))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    assert_eq!(
        app.client()
            .get(format!("{}/healthz", app.base()))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );

    cluster
        .execute(
            "postgres",
            &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"),
        )
        .await
        .unwrap();
    app.db = app.db.reopened();
    eventually("the API to be ready again", async || {
        app.client()
            .get(format!("{}/readyz", app.base()))
            .send()
            .await
            .unwrap()
            .status()
            == 200
    })
    .await;
    let sent = id_of(&app.transfer(&alice, &hers, input).await.data());
    app.start_worker();
    app.completed(&alice, &sent).await;
    assert_eq!(app.balances(&alice, &hers).await, (3_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_writes_nothing_refuses_requests_and_loses_none() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(5_000).await;
    let (_, his) = app.owner(0).await;
    let accepted = app.send(&alice, &hers, &his, 100).await;
    app.start_worker();
    app.completed(&alice, &accepted).await;
    let cluster = wallet_tests::servers::postgres().await;
    let name = app.db.name().to_owned();
    let read_only = async |on: bool| {
        for sql in [
            format!("ALTER DATABASE {name} SET default_transaction_read_only = {on}"),
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
        ] {
            cluster.execute("postgres", &sql).await.unwrap();
        }
    };
    read_only(true).await;
    let input = json!({ "toWalletId": his, "amount": "20.00", "idempotencyKey": "once" });
    for _ in 0..3 {
        let refused = app.transfer(&alice, &hers, input.clone()).await;
        assert_eq!(refused.code(), Some("SERVICE_UNAVAILABLE"), "{}", refused.body);
    }
    assert_eq!(app.balances(&alice, &hers).await, (4_900, 0), "reading goes on");
    read_only(false).await;
    app.db = app.db.reopened();
    let sent = eventually_accepted(&app, &alice, &hers, &input).await;
    app.completed(&alice, &sent).await;
    assert_eq!(app.balances(&alice, &hers).await, (2_900, 0));
    app.finish().await;
}

/// Repeats a request under its key until it is accepted.
async fn eventually_accepted(app: &TestApp, user: &User, wallet: &str, input: &Value) -> String {
    until("the request to be accepted", async || {
        let answer = app.transfer(user, wallet, input.clone()).await;
        answer.code().is_none().then(|| id_of(&answer.data()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_requests_are_accepted_and_done() {
    let mut app = TestApp::with(Options {
        own_redis: true,
        ..Options::default()
    })
    .await;
    let (alice, hers) = app.owner(10_000).await;
    let (_, his) = app.owner(0).await;
    app.own_redis().queue.stop().await.unwrap();
    let ready = app
        .client()
        .get(format!("{}/readyz", app.base()))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 200, "Redis is reported and does not fail it");
    assert_ne!(ready.json::<Value>().await.unwrap()["redis"], "ok");
    let mut sent = Vec::new();
    for cents in [100, 200, 300] {
        sent.push(app.send(&alice, &hers, &his, cents).await);
    }
    let deposit = app
        .deposit(
            &alice,
            &hers,
            json!({ "amount": major(5_000), "stripePaymentMethodId": "pm_card_visa" }),
        )
        .await
        .data();
    for id in &sent {
        app.completed(&alice, id).await;
    }
    app.completed(&alice, &id_of(&deposit)).await;
    assert_eq!(app.balances(&alice, &hers).await, (14_400, 0));
    app.own_redis().queue.start_again().await.unwrap();
    let sent = app.send(&alice, &hers, &his, 100).await;
    app.completed(&alice, &sent).await;
    app.finish().await;
}
