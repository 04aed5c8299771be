//! Idempotency keys: one request, one effect.

use futures::future::join_all;
use serde_json::{Value, json};
use wallet_tests::app::id_of;
use wallet_tests::{Answer, TestApp, User};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_and_input_give_the_same_transaction_however_often_and_at_once() {
    let app = TestApp::start().await;
    let (alice, hers) = app.payee(10_000).await;
    let (_, his) = app.owner(0).await;
    let (app_, alice_) = (&app, &alice);
    let transfer = json!({ "toWalletId": his, "amount": "10.00", "idempotencyKey": "t" });
    let deposit =
        json!({ "amount": "20.00", "stripePaymentMethodId": "pm_card_visa", "idempotencyKey": "d" });
    let withdrawal = json!({ "amount": "30.00", "idempotencyKey": "w" });
    let twenty = join_all((0..20).map(|_| app_.transfer(alice_, &hers, transfer.clone()))).await;
    let ten = join_all((0..10).map(|_| app_.deposit(alice_, &hers, deposit.clone()))).await;
    let five = join_all((0..5).map(|_| app_.withdraw(alice_, &hers, withdrawal.clone()))).await;
    for answers in [twenty, ten, five] {
        let ids: Vec<String> = answers.into_iter().map(|answer| id_of(&answer.data())).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        app.completed(&alice, &ids[0]).await;
    }
    assert_eq!(app.balances(&alice, &hers).await, (8_000, 0));
    assert_eq!(app.db.count("idempotency_keys").await, 3);
    // Long after, written another way, and with the wallet deactivated meanwhile: the old answer.
    app.db.execute("UPDATE wallets SET is_active = false", &[]).await;
    let again = app
        .transfer(
            &alice,
            &hers,
            json!({ "toWalletId": his, "amount": 10, "idempotencyKey": "t" }),
        )
        .await
        .data();
    assert_eq!(again["status"], "COMPLETED");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_input_under_the_same_key_is_refused_and_changes_nothing() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.payee(10_000).await;
    let (_, his) = app.owner(0).await;
    let first = json!({ "toWalletId": his, "amount": "10.00", "reference": "A", "idempotencyKey": "k" });
    let accepted = id_of(&app.transfer(&alice, &hers, first.clone()).await.data());
    let before = app.db.digest().await;
    let with = |field: &str, value: Value| {
        let mut input = first.clone();
        input[field] = value;
        input
    };
    let others = [
        with("amount", json!("10.01")),
        with("reference", json!("B")),
        with("reference", Value::Null),
        with("metadata", json!({ "a": 1 })),
        with("toWalletId", json!(hers.replace('0', "1"))),
    ];
    for input in others {
        assert_eq!(
            app.transfer(&alice, &hers, input.clone()).await.code(),
            Some("IDEMPOTENCY_CONFLICT"),
            "{input}"
        );
    }
    let withdrawal = app
        .withdraw(&alice, &hers, json!({ "amount": "10.00", "idempotencyKey": "k" }))
        .await;
    assert_eq!(
        withdrawal.code(),
        Some("IDEMPOTENCY_CONFLICT"),
        "another operation"
    );
    assert_eq!(app.db.digest().await, before);
    assert_eq!(id_of(&app.transfer(&alice, &hers, first).await.data()), accepted);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_two_people_never_meet() {
    let app = TestApp::start().await;
    let (alice, hers) = app.owner(1_000).await;
    let (bob, his) = app.owner(1_000).await;
    let to_bob = app
        .transfer(
            &alice,
            &hers,
            json!({ "toWalletId": his, "amount": "1.00", "idempotencyKey": "k" }),
        )
        .await;
    let to_alice = app
        .transfer(
            &bob,
            &his,
            json!({ "toWalletId": hers, "amount": "2.00", "idempotencyKey": "k" }),
        )
        .await;
    let (one, other) = (id_of(&to_bob.data()), id_of(&to_alice.data()));
    assert_ne!(one, other);
    app.completed(&alice, &one).await;
    app.completed(&bob, &other).await;
    assert_eq!(app.balances(&alice, &hers).await, (1_100, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_leaves_no_key_so_it_may_be_repeated_once_its_cause_is_mended() {
    let app = TestApp::start().await;
    let (alice, hers) = app.owner(100).await;
    let (_, his) = app.owner(0).await;
    let input = json!({ "toWalletId": his, "amount": "5.00", "idempotencyKey": "k" });
    assert_eq!(
        app.transfer(&alice, &hers, input.clone()).await.code(),
        Some("INSUFFICIENT_FUNDS")
    );
    assert_eq!(app.db.count("idempotency_keys").await, 0);
    app.plant(&hers, 400).await;
    let sent = id_of(&app.transfer(&alice, &hers, input).await.data());
    app.completed(&alice, &sent).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_header_is_the_key_of_the_input() {
    let app = TestApp::with_workers(0).await;
    let user = User::new();
    let create = "mutation($i: CreateWalletInput!) { createWallet(input: $i) { id } }";
    let send = async |input: Value, header: &str| -> Answer {
        let body = json!({ "query": create, "variables": { "i": input } });
        app.post(Some(&user.token), &body, &[("Idempotency-Key", header)])
            .await
    };
    let by_header = id_of(&send(json!({}), "k").await.data());
    assert_eq!(
        id_of(&send(json!({ "idempotencyKey": "k" }), "k").await.data()),
        by_header
    );
    let differing = send(json!({ "idempotencyKey": "other" }), "k").await;
    assert_eq!(
        (differing.code(), differing.field()),
        (Some("VALIDATION_ERROR"), Some("idempotencyKey"))
    );
    let two = json!({ "query": "mutation { a: createWallet(input: {}) { id } b: createWallet(input: {}) { id } }" });
    let two = app
        .post(Some(&user.token), &two, &[("Idempotency-Key", "k2")])
        .await;
    assert_eq!(
        (two.code(), two.field()),
        (Some("VALIDATION_ERROR"), Some("idempotencyKey"))
    );
    assert_eq!(app.db.count("wallets").await, 1);
    app.finish().await;
}
