//! Events are hints: they come late, twice, under other ids, in future formats, or not at all.

use chrono::TimeDelta;
use serde_json::{Value, json};
use wallet_tests::app::id_of;
use wallet_tests::{TestApp, eventually, until};

use super::{awaiting, event, understood};

/// Dedupe on the event's id and on its effect (pollinations #10621, opencode #28402, open-saas #688, llmgateway #1713): two events
/// with ids of their own report one payment, and "Resend" reports it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_events_with_one_effect_credit_once() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (id, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    assert_eq!(app.stripe.confirm(&intent, "pm_card_visa").await, 200);
    app.completed(&alice, &id).await;
    let told = app.stripe.get("/v1/events?type=payment_intent.succeeded").await;
    app.stripe
        .control(&format!("events/{}/resend", id_of(&told["data"][0])), json!({}))
        .await;
    let object =
        json!({ "id": intent, "object": "payment_intent", "status": "succeeded", "amount_received": 2_500 });
    for (n, kind) in [
        "payment_intent.succeeded",
        "payment_intent.succeeded",
        "payment_intent.processing",
    ]
    .iter()
    .enumerate()
    {
        let other = format!("evt_1other{n}");
        assert_eq!(
            app.deliver_signed(&event(&other, kind, object.clone())).await,
            200
        );
        understood(&app, &other, "processed").await;
    }
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    let credits = "ledger_entries WHERE account = 'wallet:available'";
    assert_eq!(app.db.count(credits).await, 1);
    app.finish().await;
}

/// The same for money on its way out and back: a payout paid, then returned, reported twice under other ids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_events_of_one_payout_complete_and_return_it_once() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(1_000).await;
    let account = app.account_of(&wallet).await;
    let id = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    app.completed(&alice, &id).await;
    let payout = app.stripe_id(&id, "stripe_payout_id").await;
    let tell = async |name: &str, kind: &str| {
        let mut event = event(name, kind, json!({ "id": payout, "object": "payout" }));
        event["account"] = json!(account);
        assert_eq!(app.deliver_signed(&event).await, 200);
        understood(&app, name, "processed").await;
    };
    tell("evt_1paidAgain", "payout.paid").await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "failed" }))
        .await;
    let back = id_of(&app.relative(&alice, &id).await);
    app.completed(&alice, &back).await;
    tell("evt_1failedAgain", "payout.failed").await;
    // An old name for what is over: the payout's state decides, not the name.
    tell("evt_1paidLate", "payout.paid").await;
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (1_000, 0));
    assert_eq!(
        app.db
            .count("wallet_transactions WHERE flow = 'payout_return'")
            .await,
        1
    );
    app.finish().await;
}

/// openscience #475: a new shape of the event was rejected, so the payer had paid and the wallet had nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_in_a_shape_of_tomorrow_is_credited_all_the_same() {
    let app = TestApp::start().await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let (alice, wallet) = app.owner(0).await;
    let (id, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    assert_eq!(app.stripe.confirm(&intent, "pm_card_visa").await, 200);
    let mut tomorrow = event(
        "evt_1tomorrow",
        "payment_intent.succeeded",
        json!({
            "id": intent, "object": { "kind": "payment_intent", "version": 9 }, "status": ["succeeded"],
            "amount_received": { "value": "25.00", "unit": "usd" }, "metadata": [["transaction_id", id]],
        }),
    );
    tomorrow["api_version"] = json!("2031-01-01.future");
    tomorrow["livemode"] = Value::Null;
    tomorrow["created"] = json!("tomorrow");
    assert_eq!(app.deliver_signed(&tomorrow).await, 200);
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    app.finish().await;
}

/// An event is a hint: its object is fetched, so what the event says of the object does not count, and an old one cannot reverse anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_contradicts_its_object_changes_nothing() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (id, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    assert_eq!(app.stripe.confirm(&intent, "pm_card_visa").await, 200);
    app.completed(&alice, &id).await;
    for (n, (kind, status)) in [
        ("payment_intent.canceled", "canceled"),
        ("payment_intent.payment_failed", "requires_payment_method"),
        ("payment_intent.created", "requires_confirmation"),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("evt_1late{n}");
        let late = event(
            &name,
            kind,
            json!({ "id": intent, "object": "payment_intent", "status": status }),
        );
        assert_eq!(app.deliver_signed(&late).await, 200);
        understood(&app, &name, "processed").await;
    }
    assert_eq!(app.transaction(&alice, &id).await["status"], "COMPLETED");
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    app.finish().await;
}

/// Retried for three days, then lost, but listed for thirty: what was sent while the endpoint was down for a week is read from the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_the_endpoint_was_down_for_a_week_is_read_from_stripes_list() {
    let mut app = TestApp::start().await;
    // The list is empty when it is read for the first time.
    let read = "stripe_event_cursors WHERE read_until IS NOT NULL";
    eventually("the list to be read", async || app.db.count(read).await == 1).await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    // Nobody here: no webhook is taken, no worker works.
    app.at_rest().await;
    app.stop_workers().await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    app.stripe
        .control("refunds", json!({ "payment_intent": intent, "amount": 4_000 }))
        .await;
    app.advance(TimeDelta::days(7)).await;
    app.start_worker();
    let back = until("the refund to be found", async || {
        let sql = "SELECT id::text FROM wallet_transactions WHERE flow = 'outside_refund'";
        app.db
            .rows(sql, &[])
            .await
            .first()
            .map(|row| row.get::<_, String>(0))
    })
    .await;
    app.completed(&alice, &back).await;
    assert_eq!(app.balances(&alice, &wallet).await, (6_000, 0));
    assert!(app.db.count("stripe_events WHERE source = 'list'").await > 0);
    app.finish().await;
}
