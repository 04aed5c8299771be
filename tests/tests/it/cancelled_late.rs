//! Cancelling what may have been sent already: Stripe's answer decides whether it was too late.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::id_of;
use wallet_tests::programs::run;
use wallet_tests::{TestApp, eventually};

/// The first try is under way when its owner cancels, and has no effect: refused for the moment, refused for good, or not made by what Stripe
/// shows. Nothing has left, so the cancellation is carried out, and nothing is sent a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cancelled_while_its_call_was_under_way_is_cancelled_when_the_call_comes_to_nothing() {
    for (operation, outcome, is_stopped) in [
        ("transfers.create", "rate_limit", false),
        ("transfers.create", "rate_limit", true),
        ("transfers.create", "balance_insufficient", false),
        ("refunds.create", "rate_limit", true),
        ("refunds.create", "error_500", false),
    ] {
        let app = TestApp::start().await;
        let (alice, wallet) = app.payee(0).await;
        let deposit = app.deposited(&alice, &wallet, 5_000, "pm_card_visa").await;
        app.at_rest().await;
        app.stripe
            .fault(json!({ "operation": operation, "nth": 1, "outcome": outcome, "latency_ms": 2_000 }))
            .await;
        let input = json!({ "amount": "20.00" });
        let (asked, sent) = if operation == "transfers.create" {
            (app.withdraw(&alice, &wallet, input).await, "transfer.create")
        } else {
            (app.refund(&alice, &deposit, input).await, "refund.create")
        };
        let id = id_of(&asked.data());
        eventually("the call to be under way", async || {
            let unknown = "stripe_calls WHERE outcome = 'unknown' AND operation IN ('transfer', 'refund')";
            app.db.count(unknown).await == 1
        })
        .await;
        let _ = app.cancel(&alice, &id).await.data();
        eventually("the wish to be answered", async || {
            app.db.count("jobs WHERE kind = 'cancel'").await == 0
        })
        .await;
        let told = app.transaction(&alice, &id).await;
        assert_eq!(told["status"], "PROCESSING", "{outcome}");
        if is_stopped {
            // It sends nothing, so it need not wait until money leaves again.
            let stop = ["money-out", "stop", "--reason", "a look"];
            let stopped = run("wallet-worker", &stop, &app.variables).await;
            assert_eq!(stopped.code, Some(0), "{stopped:?}");
        }
        assert!(
            told["timeline"]
                .to_string()
                .contains("may have been sent already"),
            "{told:#}"
        );
        app.hurry_until("it to be cancelled", TimeDelta::minutes(30), async || {
            app.transaction(&alice, &id).await["status"] == "CANCELLED"
        })
        .await;
        app.at_rest().await;
        assert_eq!(app.stripe.effects_of(&id, sent).await, 0, "{operation} {outcome}");
        assert_eq!(app.balances(&alice, &wallet).await, (5_000, 0));
        app.abandon().await;
    }
}

/// What Stripe has taken is no longer cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cancelled_while_its_call_was_under_way_is_completed_when_stripe_has_taken_it() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(5_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "nth": 1, "outcome": "drop_after", "latency_ms": 2_000 }))
        .await;
    let asked = app.withdraw(&alice, &wallet, json!({ "amount": "20.00" })).await;
    let id = id_of(&asked.data());
    eventually("the call to be under way", async || {
        let unknown = "stripe_calls WHERE outcome = 'unknown' AND operation = 'transfer'";
        app.db.count(unknown).await == 1
    })
    .await;
    let _ = app.cancel(&alice, &id).await.data();
    app.hurry_until("the withdrawal to end", TimeDelta::minutes(2), async || {
        app.transaction(&alice, &id).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 1);
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    app.finish().await;
}
