//! Idempotency keys: of the operation, its transaction and the attempt; stored before anything is sent.

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use wallet_tests::app::id_of;
use wallet_tests::{TestApp, eventually};

use crate::flows::begin;

/// The key that made the effect.
async fn key_of(app: &TestApp, id: &str, operation: &str) -> String {
    let path = format!("/_control/effects?operation={operation}&transaction_id={id}");
    let effects = app.stripe.get(&path).await;
    effects[0]["idempotency_key"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Derived from our operation's id and the attempt, not from the moment, the process, the amount or the day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_creating_request_carries_the_key_of_its_operation_transaction_and_attempt() {
    let app = TestApp::start().await;
    let story = begin(&app).await;
    story.end(&app, TimeDelta::seconds(5)).await;
    for (id, effect, operation) in [
        (&story.deposit, "payment_intent.create", "payment_intent"),
        (&story.paid, "transfer.create", "transfer"),
        (&story.paid, "payout.create", "payout"),
        (&story.returned, "transfer_reversal.create", "reversal"),
    ] {
        assert_eq!(
            key_of(&app, id, effect).await,
            format!("{operation}:{id}:1"),
            "{effect}"
        );
    }
    let keyless = "stripe_calls WHERE idempotency_key <> operation || ':' || subject_id || ':' || attempt";
    assert_eq!(app.db.count(keyless).await, 0);
    app.finish().await;
}

/// Made and committed before the call; the same after a restart (tempoxyz/pympp #155: a key that contained the token of the process
/// changed with it, and the charge was made twice).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_stored_before_anything_is_sent_and_outlives_its_process() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("SHUTDOWN_GRACE_SECONDS", "1")]);
    let (alice, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "nth": 1, "outcome": "hang_after" }))
        .await;
    let id = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "70.00" }))
            .await
            .data(),
    );
    eventually("the request to be at Stripe", async || {
        app.stripe.fault_hits().await == [1]
    })
    .await;
    let stored = format!(
        "stripe_calls WHERE idempotency_key = 'transfer:{id}:1' AND outcome = 'unknown' AND encrypted_params IS NOT NULL"
    );
    assert_eq!(app.db.count(&stored).await, 1, "while it is under way");
    app.stop_workers().await;
    app.db
        .execute(
            "UPDATE jobs SET lease_until = now() - interval '1 s' WHERE lease_until IS NOT NULL",
            &[],
        )
        .await;
    app.start_worker();
    app.completed(&alice, &id).await;
    assert_eq!(
        key_of(&app, &id, "transfer.create").await,
        format!("transfer:{id}:1")
    );
    assert_eq!(app.stripe.effects("transfer.create").await.len(), 1);
    assert_eq!(app.db.count("stripe_calls WHERE operation = 'transfer'").await, 1);
    app.finish().await;
}

/// instructure/canvas #243: a key of day and user locked the payer out for a day after a decline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_decline_the_same_person_pays_the_same_amount_at_once() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let input = |method: &str| json!({ "amount": "25.00", "stripePaymentMethodId": method });
    let declined = id_of(
        &app.deposit(&alice, &wallet, input("pm_card_chargeDeclined"))
            .await
            .data(),
    );
    let failed = app.failed(&alice, &declined).await;
    assert!(
        failed["failureReason"]
            .as_str()
            .unwrap()
            .starts_with("PAYMENT_DECLINED: "),
        "{failed:#}"
    );
    let paid = id_of(&app.deposit(&alice, &wallet, input("pm_card_visa")).await.data());
    app.completed(&alice, &paid).await;
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    app.finish().await;
}

/// saleor #2446: a key of the amount took two payments of the same amount for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_requests_of_the_same_amount_are_two() {
    let app = TestApp::with_workers(2).await;
    let (alice, wallet) = app.payee(0).await;
    let (app_, alice_, wallet_) = (&app, &alice, &wallet);
    let paid = json!({ "amount": "25.00", "stripePaymentMethodId": "pm_card_visa" });
    let deposits = join_all((0..2).map(|_| app_.deposit(alice_, wallet_, paid.clone()))).await;
    for deposit in deposits {
        app.completed(&alice, &id_of(&deposit.data())).await;
    }
    assert_eq!(app.balances(&alice, &wallet).await, (5_000, 0));
    let withdrawals =
        join_all((0..2).map(|_| app_.withdraw(alice_, wallet_, json!({ "amount": "25.00" })))).await;
    for withdrawal in withdrawals {
        app.completed(&alice, &id_of(&withdrawal.data())).await;
    }
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    for operation in ["payment_intent.succeed", "transfer.create", "payout.create"] {
        assert_eq!(app.stripe.effects(operation).await.len(), 2, "{operation}");
    }
    app.finish().await;
}

/// spree #14500: a key was built from a new row at each sweep, and money released on a failure that said nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ambiguous_failure_releases_nothing_and_a_cancellation_comes_too_late() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "nth": 1, "outcome": "drop_after" }))
        .await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "outcome": "rate_limit" }))
        .await;
    let id = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "70.00" }))
            .await
            .data(),
    );
    app.told(&alice, &id, "has not confirmed the outcome yet").await;
    let _ = app.cancel(&alice, &id).await.data();
    eventually("the cancellation to be decided", async || {
        app.db.count("jobs WHERE kind = 'cancel'").await == 0
    })
    .await;
    assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000));
    app.stripe.clear_faults().await;
    app.hurry_until("the withdrawal to end", TimeDelta::seconds(5), async || {
        app.transaction(&alice, &id).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 1);
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    app.finish().await;
}

/// elizaOS #11022: debit, transfer answered 429, refund; then again with the same key: the debit counted as done, the transfer was
/// made afresh, and the money was paid for nothing. Here a 429 ends nothing; and what has failed stays failed under its key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_that_failed_is_dead_under_its_key_and_a_new_one_debits_again() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(7_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "nth": 1, "outcome": "rate_limit" }))
        .await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "times": 1, "outcome": "error_400" }))
        .await;
    let input = |key: &str| json!({ "amount": "70.00", "idempotencyKey": key });
    let asked = async |key: &str| -> Value { app.withdraw(&alice, &wallet, input(key)).await.data() };
    let first = id_of(&asked("once").await);
    app.told(&alice, &first, "the payment provider is busy").await;
    assert_eq!(
        app.balances(&alice, &wallet).await,
        (0, 7_000),
        "a 429 gives nothing back"
    );
    let again = asked("once").await;
    assert_eq!(
        (id_of(&again), &again["status"]),
        (first.clone(), &json!("PROCESSING"))
    );
    app.hurry_until("the refusal", TimeDelta::seconds(5), async || {
        app.transaction(&alice, &first).await["status"] == "FAILED"
    })
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (7_000, 0));
    for _ in 0..3 {
        let dead = asked("once").await;
        assert_eq!((id_of(&dead), &dead["status"]), (first.clone(), &json!("FAILED")));
    }
    app.at_rest().await;
    assert_eq!(app.stripe.effects("transfer.create").await.len(), 0);
    let second = id_of(&asked("twice").await);
    app.completed(&alice, &second).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    assert_eq!(app.stripe.effects("transfer.create").await.len(), 1);
    assert_eq!(
        app.withdraw(&alice, &wallet, input("thrice")).await.code(),
        Some("INSUFFICIENT_FUNDS")
    );
    app.finish().await;
}
