//! Programs that are ended or killed in the middle of their work. Each test starts programs of its own.

use std::time::Duration;

use chrono::TimeDelta;
use futures::future::join_all;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use wallet_dev::stack::{port, wait_until_ready};
use wallet_tests::app::{id_of, uuid};
use wallet_tests::money::major;
use wallet_tests::programs::{Program, start};
use wallet_tests::{TestApp, eventually};

use crate::flows::begin;

async fn worker_of(app: &TestApp) -> Program {
    let port = port::free().unwrap().to_string();
    let variables = app.variables.with(&[("METRICS_PORT", &port)]);
    let mut worker = start("wallet-worker", &["run"], &variables);
    wait_until_ready(
        &format!("http://127.0.0.1:{port}/readyz"),
        &mut worker.process,
        Duration::from_secs(30),
    )
    .await
    .unwrap();
    worker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_asked_to_end_finishes_what_it_has_begun() {
    let mut app = TestApp::with_workers(0).await;
    // Every call takes a second: the signal comes while they are under way.
    app.stripe
        .fault(json!({ "operation": "payment_intents.create", "latency_ms": 1_000 }))
        .await;
    let mut worker = worker_of(&app).await;
    let (alice, wallet) = app.owner(0).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let input = json!({ "amount": "10.00", "stripePaymentMethodId": "pm_card_visa" });
        ids.push(id_of(&app.deposit(&alice, &wallet, input).await.data()));
    }
    eventually("the calls to be under way", async || {
        app.db
            .count("stripe_calls WHERE operation = 'payment_intent' AND tries > 0 AND outcome <> 'succeeded'")
            .await
            >= 3
    })
    .await;
    worker.process.signal(Signal::SIGTERM);
    let ended = worker
        .process
        .wait(Duration::from_secs(20))
        .await
        .unwrap()
        .expect("it ends within its grace");
    assert!(ended.success(), "{ended:?}: {:?}", worker.process.log_tail(10));
    assert_eq!(
        app.db.count("jobs WHERE lease_until > now()").await,
        0,
        "it holds nothing any more"
    );
    assert_eq!(
        app.db.count("stripe_calls WHERE outcome = 'unknown'").await,
        0,
        "every answer was waited for"
    );
    app.start_worker();
    for id in &ids {
        app.completed(&alice, id).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_between_an_effect_and_its_record_is_replaced_without_a_second_effect() {
    let mut app = TestApp::with_workers(0).await;
    for operation in ["payment_intents.create", "transfers.create"] {
        app.stripe
            .fault(json!({ "operation": operation, "nth": 1, "outcome": "hang_after" }))
            .await;
    }
    let mut worker = worker_of(&app).await;
    let story = begin(&app).await;
    eventually("both effects to have happened", async || {
        app.stripe.fault_hits().await == [1, 1]
    })
    .await;
    worker.process.kill().await.unwrap();
    assert_eq!(
        app.stripe.effects("transfer.create").await.len()
            + app.stripe.effects("payment_intent.create").await.len(),
        2
    );
    // Its leases run out; whoever comes after sends the same key and gets the same answer.
    app.db
        .execute(
            "UPDATE jobs SET lease_until = now() - interval '1 s' WHERE lease_until IS NOT NULL",
            &[],
        )
        .await;
    app.start_worker();
    story.end(&app, TimeDelta::seconds(5)).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_again_and_again_lose_and_double_nothing() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(100_000).await;
    let (_, his) = app.owner(0).await;
    for round in 0..4 {
        let mut worker = worker_of(&app).await;
        for _ in 0..25 {
            app.send(&alice, &hers, &his, 10).await;
        }
        // At another moment of its work each time.
        tokio::time::sleep(Duration::from_millis(20 * round)).await;
        worker.process.kill().await.unwrap();
        app.db
            .execute(
                "UPDATE jobs SET lease_until = now() - interval '1 s' WHERE lease_until IS NOT NULL",
                &[],
            )
            .await;
    }
    // What was being worked on when its worker died has been started more often than others, not too often.
    app.db
        .execute("UPDATE jobs SET starts = least(starts, 1)", &[])
        .await;
    app.start_worker();
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &hers).await, (99_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_is_asked_to_end_answers_what_it_has_accepted() {
    let app = TestApp::start().await;
    let port = port::free().unwrap().to_string();
    let mut api = start("wallet-api", &[], &app.variables.with(&[("PORT", &port)]));
    let base = format!("http://127.0.0.1:{port}");
    wait_until_ready(
        &format!("{base}/readyz"),
        &mut api.process,
        Duration::from_secs(30),
    )
    .await
    .unwrap();
    let (alice, hers) = app.owner(100_000).await;
    let (_, his) = app.owner(0).await;
    let send = async |n: usize| -> Option<Value> {
        let query = "mutation($w: String!, $i: TransferInput!) { transfer(fromWalletId: $w, input: $i) { id amount } }";
        let input = json!({ "toWalletId": his, "amount": major(1), "idempotencyKey": format!("k{n}") });
        let body = json!({ "query": query, "variables": { "w": hers, "i": input } });
        let request = app
            .client()
            .post(format!("{base}/graphql"))
            .bearer_auth(&alice.token)
            .json(&body);
        request.send().await.ok()?.json().await.ok()
    };
    let (answers, ended) = tokio::join!(join_all((0..60).map(send)), async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        api.process.signal(Signal::SIGTERM);
        api.process
            .wait(Duration::from_secs(20))
            .await
            .unwrap()
            .expect("it ends within its grace")
    });
    assert!(ended.success(), "{ended:?}");
    let mut accepted = 0;
    for answer in answers.into_iter().flatten() {
        let id = id_of(&answer["data"]["transfer"]);
        let there = "SELECT count(*) FROM wallet_transactions WHERE id = $1";
        assert_eq!(
            app.db.value::<i64>(there, &[&uuid(&id)]).await,
            1,
            "what was accepted is there"
        );
        accepted += 1;
    }
    assert!(accepted > 0, "some were answered before the end");
    app.at_rest().await;
    let stored = app
        .db
        .count("wallet_transactions WHERE transaction_type = 'transfer'")
        .await;
    assert!(stored >= accepted);
    assert_eq!(app.balances(&alice, &hers).await, (100_000 - stored, 0));
    app.finish().await;
}
