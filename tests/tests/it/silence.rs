//! No webhook arrives at all: whatever happens at Stripe is polled, or read from its list of events.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::{TestApp, User, eventually, until};

/// A system that no webhook reaches.
async fn silent() -> TestApp {
    let app = TestApp::start().await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    app
}

async fn withdrawn(app: &TestApp, user: &User, wallet: &str) -> String {
    let id = id_of(
        &app.withdraw(user, wallet, json!({ "amount": "20.00" }))
            .await
            .data(),
    );
    app.at_stage(&id, "paying_out").await;
    id
}

async fn payout_becomes(app: &TestApp, withdrawal: &str, status: &str) {
    let payout = app.stripe_id(withdrawal, "stripe_payout_id").await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": status }))
        .await;
}

/// The transaction of an external movement, once it is found.
async fn found(app: &TestApp, flow: &str) -> String {
    let sql = format!("SELECT id::text FROM wallet_transactions WHERE flow = '{flow}'");
    until(&format!("a {flow}"), async || {
        app.db.rows(&sql, &[]).await.first().map(|row| row.get(0))
    })
    .await
}

async fn ends(app: &TestApp, user: &User, id: &str, status: &str) {
    app.hurry_until(
        &format!("{id} to be {status}"),
        TimeDelta::seconds(61),
        async || app.transaction(user, id).await["status"] == status,
    )
    .await;
}

async fn nothing_was_delivered(app: &TestApp) {
    assert_eq!(app.db.count("stripe_events WHERE source = 'webhook'").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deposits_withdrawals_and_refunds_are_asked_about_until_they_end() {
    let app = silent().await;
    app.stripe
        .settings(json!({ "payout_mode": "manual", "refund_pending_ms": 86_400_000 }))
        .await;
    let (alice, wallet) = app.payee(10_000).await;
    let deposit = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "30.00" }))
            .await
            .data(),
    );
    app.at_stage(&deposit, "awaiting_payment").await;
    let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    let (bob, his) = app.owner(0).await;
    let refunded = app.deposited(&bob, &his, 5_000, "pm_card_pendingRefund").await;
    let refund = id_of(
        &app.refund(&bob, &refunded, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    app.at_stage(&refund, "refunding").await;
    let paid = withdrawn(&app, &alice, &wallet).await;
    let failed = withdrawn(&app, &alice, &wallet).await;
    app.at_rest().await;

    assert_eq!(app.stripe.confirm(&intent, "pm_card_visa").await, 200);
    let object = app.stripe_id(&refund, "stripe_refund_id").await;
    app.stripe
        .control(&format!("refunds/{object}"), json!({ "status": "succeeded" }))
        .await;
    for status in ["in_transit", "paid"] {
        payout_becomes(&app, &paid, status).await;
    }
    payout_becomes(&app, &failed, "failed").await;
    app.advance(TimeDelta::seconds(61)).await;
    for (user, id, status) in [
        (&alice, &deposit, "COMPLETED"),
        (&bob, &refund, "COMPLETED"),
        (&alice, &paid, "COMPLETED"),
        (&alice, &failed, "FAILED"),
    ] {
        ends(&app, user, id, status).await;
    }
    assert_eq!(app.balances(&alice, &wallet).await, (11_000, 0));
    assert_eq!(app.balances(&bob, &his).await, (4_000, 0));
    nothing_was_delivered(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dashboard_refund_and_a_dispute_are_read_from_the_platforms_events() {
    let app = silent().await;
    let (alice, wallet) = app.owner(0).await;
    let first = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let second = app.deposited(&alice, &wallet, 6_000, "pm_card_visa").await;
    app.at_rest().await;
    let intent = app.stripe_id(&first, "stripe_payment_intent_id").await;
    app.stripe
        .control("refunds", json!({ "payment_intent": intent, "amount": 4_000 }))
        .await;
    let intent = app.stripe_id(&second, "stripe_payment_intent_id").await;
    let order = json!({ "payment_intent": intent, "amount": 6_000, "reason": "fraudulent" });
    let dispute = id_of(&app.stripe.control("disputes", order).await);
    app.advance(TimeDelta::seconds(61)).await;
    let refund = found(&app, "outside_refund").await;
    ends(&app, &alice, &refund, "COMPLETED").await;
    let ours = found(&app, "dispute").await;
    app.at_stage(&ours, "disputed").await;
    assert_eq!(app.balances(&alice, &wallet).await, (6_000, 6_000));
    app.stripe
        .control(&format!("disputes/{dispute}"), json!({ "status": "lost" }))
        .await;
    app.advance(TimeDelta::seconds(61)).await;
    ends(&app, &alice, &ours, "COMPLETED").await;
    assert_eq!(app.balances(&alice, &wallet).await, (6_000, 0));
    nothing_was_delivered(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returned_payout_a_reversed_transfer_and_a_disabled_account_are_read_from_the_events_of_account_and_platform()
 {
    let app = silent().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let account = app.account_of(&wallet).await;
    let returned = withdrawn(&app, &alice, &wallet).await;
    let reversed = withdrawn(&app, &alice, &wallet).await;
    for id in [&returned, &reversed] {
        for status in ["in_transit", "paid"] {
            payout_becomes(&app, id, status).await;
        }
    }
    app.advance(TimeDelta::seconds(61)).await;
    for id in [&returned, &reversed] {
        ends(&app, &alice, id, "COMPLETED").await;
    }
    // Days after it was paid, so that nothing but the list tells of it.
    app.advance(TimeDelta::days(5)).await;
    payout_becomes(&app, &returned, "failed").await;
    app.stripe
        .control("balance/top_up", json!({ "amount": 2_000, "account": account }))
        .await;
    let transfer = app.stripe_id(&reversed, "stripe_transfer_id").await;
    app.stripe
        .control(&format!("transfers/{transfer}/reverse"), json!({}))
        .await;
    let change = json!({ "payouts_enabled": false });
    app.stripe.control(&format!("accounts/{account}"), change).await;
    app.advance(TimeDelta::seconds(61)).await;
    let back = found(&app, "payout_return").await;
    ends(&app, &alice, &back, "COMPLETED").await;
    eventually("the rest to be read", async || {
        app.alarms().await == ["transfer_reversed_outside"]
            && app.db.count("stripe_accounts WHERE NOT payouts_enabled").await == 1
    })
    .await;
    let closed = app.withdraw(&alice, &wallet, json!({ "amount": "20.00" })).await;
    assert_eq!(closed.code(), Some("INVALID_STATE"));
    assert_eq!(app.balances(&alice, &wallet).await, (8_000, 0));
    nothing_was_delivered(&app).await;
    app.finish_with(Leftovers {
        alarms: &["transfer_reversed_outside"],
        ..Leftovers::default()
    })
    .await;
}
