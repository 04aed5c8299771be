//! Deposits that are not paid in time, and the way of money that arrives too late or otherwise than requested.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::TestApp;
use wallet_tests::app::{Leftovers, id_of};

use crate::cancel::{awaiting, cancelled, status_of};

async fn suspense(app: &TestApp) -> i64 {
    let sum = "SELECT coalesce(100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'platform:suspense'";
    app.db.value(sum, &[]).await
}

/// Refunds all or so many cents of a payment to its payer, as in Stripe's dashboard.
async fn returned_in_dashboard(app: &TestApp, intent: &str, amount: Option<i64>) {
    let mut body = json!({ "payment_intent": intent });
    if let Some(amount) = amount {
        body["amount"] = json!(amount);
    }
    app.stripe.control("refunds", body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_that_nobody_pays_expires_after_a_day_at_stripe_first() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (unpaid, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    app.at_rest().await;
    app.advance(TimeDelta::hours(23)).await;
    app.at_rest().await;
    assert_eq!(app.transaction(&alice, &unpaid).await["status"], "PROCESSING");
    assert_eq!(status_of(&app, &intent).await, "requires_payment_method");
    // Stripe does not take our cancelling yet: so it is not cancelled here either.
    app.stripe
        .fault(json!({ "operation": "payment_intents.cancel", "outcome": "error_503" }))
        .await;
    app.advance(TimeDelta::hours(2)).await;
    app.hurry_until("a cancelling that fails", TimeDelta::seconds(61), async || {
        app.stripe.fault_hits().await[0] > 0
    })
    .await;
    assert_eq!(app.transaction(&alice, &unpaid).await["status"], "PROCESSING");
    app.stripe.clear_faults().await;
    app.hurry_until("the end", TimeDelta::seconds(61), async || {
        app.transaction(&alice, &unpaid).await["status"] == "CANCELLED"
    })
    .await;
    let ended = app.transaction(&alice, &unpaid).await;
    let reason = ended["failureReason"].as_str().unwrap();
    assert!(reason.starts_with("PAYMENT_EXPIRED: "), "{reason}");
    assert_eq!(status_of(&app, &intent).await, "canceled");
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_wins_the_race_against_expiry_is_booked() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (id, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    app.at_rest().await;
    // Nobody tells of the payment, and it comes while our cancelling is on its way.
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    app.stripe
        .fault(json!({ "operation": "payment_intents.cancel", "outcome": "normal", "latency_ms": 1_000 }))
        .await;
    app.advance(TimeDelta::hours(25)).await;
    app.hurry_until(
        "our cancelling to be on its way",
        TimeDelta::seconds(61),
        async || app.stripe.fault_hits().await == [1],
    )
    .await;
    assert_eq!(app.stripe.confirm(&intent, "pm_card_visa").await, 200);
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    assert_eq!(status_of(&app, &intent).await, "succeeded");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_after_the_cancellation_lies_in_suspense_until_it_is_returned_to_its_payer() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("WORKER_QUEUES", "maintenance,webhooks")]);
    let (alice, wallet) = app.owner(1_000).await;
    let id = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    cancelled(&app, &alice, &id).await;
    // An intent of this deposit all the same, as of a worker that was cut off from our database, and its payer pays.
    let params = [
        ("amount", "2500"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("payment_method_types[]", "card"),
        ("metadata[transaction_id]", &id),
    ];
    let intent = id_of(&app.stripe.form("/v1/payment_intents", &params).await);
    let told = app
        .told(&alice, &id, "was paid after the deposit had ended")
        .await;
    assert_eq!(told["status"], "CANCELLED");
    assert_eq!(suspense(&app).await, 2_500);
    assert_eq!(app.balances(&alice, &wallet).await, (1_000, 0));
    returned_in_dashboard(&app, &intent, None).await;
    let told = app.told(&alice, &id, "25.00 usd refunded to the payer").await;
    assert_eq!(told["status"], "CANCELLED");
    assert_eq!(suspense(&app).await, 0);
    assert_eq!(app.balances(&alice, &wallet).await, (1_000, 0));
    app.start_worker();
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    app.finish_with(Leftovers {
        alarms: &["late_payment"],
        ..Leftovers::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_of_another_amount_or_currency_is_returned_from_suspense_to_its_payer() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(1_000).await;
    let (less, first) = awaiting(&app, &alice, &wallet, "25.00").await;
    let (other, second) = awaiting(&app, &alice, &wallet, "25.00").await;
    for (intent, body) in [
        (&first, json!({ "amount": 2_000 })),
        (&second, json!({ "amount": 2_500, "currency": "eur" })),
    ] {
        app.stripe
            .control(&format!("payment_intents/{intent}/receive"), body)
            .await;
    }
    for id in [&less, &other] {
        app.at_stage(id, "in_review").await;
    }
    assert_eq!(suspense(&app).await, 4_500);
    // One in two parts, one at once; nothing of either comes from the wallet.
    returned_in_dashboard(&app, &first, Some(500)).await;
    app.told(&alice, &less, "5.00 usd refunded to the payer").await;
    assert_eq!(suspense(&app).await, 4_000);
    returned_in_dashboard(&app, &first, Some(1_500)).await;
    returned_in_dashboard(&app, &second, None).await;
    app.told(&alice, &less, "15.00 usd refunded to the payer").await;
    app.told(&alice, &other, "25.00 eur refunded to the payer").await;
    for id in [&less, &other] {
        let ended = app.failed(&alice, id).await;
        let reason = ended["failureReason"].as_str().unwrap();
        assert!(reason.starts_with("RETURNED_TO_PAYER: "), "{reason}");
        let refused = app.refund(&alice, id, json!({})).await;
        assert_eq!(refused.code(), Some("INVALID_STATE"), "{refused:?}");
    }
    assert_eq!(suspense(&app).await, 0);
    assert_eq!(app.balances(&alice, &wallet).await, (1_000, 0));
    assert_eq!(
        app.db
            .count("wallet_transactions WHERE flow = 'outside_refund'")
            .await,
        0
    );
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch", "payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}
