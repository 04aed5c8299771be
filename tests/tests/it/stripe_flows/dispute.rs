//! A dispute: its state comes from its status, its money from its movements, and it ends even if nothing reports it.

use chrono::TimeDelta;
use serde_json::{Value, json};
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::{TestApp, User, eventually};

use super::{awaiting, event, understood};

/// A dispute of all of a deposit that has held its amount: the Stripe object, and our transaction.
async fn disputed(app: &TestApp, user: &User, deposit: &str) -> (String, String) {
    let intent = app.stripe_id(deposit, "stripe_payment_intent_id").await;
    let dispute = app
        .stripe
        .control(
            "disputes",
            json!({ "payment_intent": intent, "reason": "fraudulent" }),
        )
        .await;
    let ours = id_of(&app.relative(user, deposit).await);
    app.at_stage(&ours, "disputed").await;
    (id_of(&dispute), ours)
}

async fn decided(app: &TestApp, dispute: &str, status: &str) {
    app.stripe
        .control(&format!("disputes/{dispute}"), json!({ "status": status }))
        .await;
}

/// Bullet "state from `dispute.status`, never from the event's name" (hyperswitch #11653, #11687): every event of the family, each with
/// a body that claims an end, leaves an open dispute as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_of_a_dispute_event_decides_anything() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let (dispute, ours) = disputed(&app, &alice, &deposit).await;
    app.at_rest().await;
    for (n, (kind, status)) in [
        ("funds_reinstated", "won"),
        ("closed", "won"),
        ("closed", "lost"),
        ("funds_withdrawn", "lost"),
        ("updated", "won"),
        ("created", "warning_closed"),
    ]
    .iter()
    .enumerate()
    {
        let object = json!({ "id": dispute, "object": "dispute", "status": status, "amount": 10_000 });
        let name = format!("evt_1named{n}");
        let told = event(&name, &format!("charge.dispute.{kind}"), object);
        assert_eq!(app.deliver_signed(&told).await, 200);
        understood(&app, &name, "processed").await;
    }
    assert_eq!(app.transaction(&alice, &ours).await["status"], "PROCESSING");
    assert_eq!(app.balances(&alice, &wallet).await, (0, 10_000));
    decided(&app, &dispute, "under_review").await;
    decided(&app, &dispute, "lost").await;
    app.completed(&alice, &ours).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish().await;
}

/// Bullet "a refund during a dispute must be refused" (gumroad #4372: deducted twice): also one that was accepted before the dispute was
/// reported, and one of which nothing has reached Stripe yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_accepted_before_the_dispute_was_heard_of_is_refused_and_deducted_once() {
    let mut app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    // More than the dispute takes, so that only the dispute stands in the way.
    app.plant(&wallet, 10_000).await;
    app.at_rest().await;
    app.stop_workers().await;
    let input = json!({ "amount": "100.00" });
    let refund = id_of(&app.refund(&alice, &deposit, input).await.data());
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    let dispute = app
        .stripe
        .control("disputes", json!({ "payment_intent": intent }))
        .await;
    let held = "wallet_transactions WHERE flow = 'dispute' AND stage = 'disputed'";
    eventually("the dispute to be held", async || app.db.count(held).await == 1).await;
    app.start_worker();
    let failed = app.failed(&alice, &refund).await;
    let reason = failed["failureReason"].as_str().unwrap();
    assert!(reason.starts_with("DISPUTED: "), "{reason}");
    let again = app.refund(&alice, &deposit, json!({ "amount": "1.00" })).await;
    assert_eq!(again.code(), Some("INVALID_STATE"), "{again:?}");
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 10_000));
    decided(&app, &id_of(&dispute), "lost").await;
    eventually("the dispute to end", async || app.db.count(held).await == 0).await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    assert_eq!(app.stripe.effects("refund.create").await, Vec::<Value>::new());
    app.finish().await;
}

/// Bullet "missed webhooks strand disputes for months" (gumroad #6852, liberapay #1421): the decision is not reported, and Stripe's list
/// of events forgets it after thirty days. An open dispute is still polled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_whose_end_nobody_told_of_is_asked_about_after_months() {
    let mut app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let lost = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let won = app.deposited(&alice, &wallet, 5_000, "pm_card_visa").await;
    let (first, gone) = disputed(&app, &alice, &lost).await;
    let (second, kept) = disputed(&app, &alice, &won).await;
    app.at_rest().await;
    app.stop_workers().await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    decided(&app, &first, "lost").await;
    decided(&app, &second, "won").await;
    app.advance(TimeDelta::days(60)).await;
    app.start_worker();
    app.hurry_until("both to end", TimeDelta::hours(1), async || {
        let open = "wallet_transactions WHERE status IN ('pending', 'processing')";
        app.db.count(open).await == 0
    })
    .await;
    assert_eq!(app.transaction(&alice, &gone).await["status"], "COMPLETED");
    assert_eq!(app.transaction(&alice, &kept).await["status"], "CANCELLED");
    assert_eq!(app.balances(&alice, &wallet).await, (5_000, 0));
    app.finish().await;
}

/// Bullet "unknown status: park, no loop of 5xx" (hyperswitch #11648): such an event is taken, and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_status_in_an_event_is_taken_once_and_changes_nothing() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let (dispute, ours) = disputed(&app, &alice, &deposit).await;
    for (n, (id, kind)) in [
        (dispute.as_str(), "charge.dispute.closed"),
        (dispute.as_str(), "charge.dispute.charge_refunded"),
    ]
    .iter()
    .enumerate()
    {
        let object = json!({ "id": id, "object": "dispute", "status": "charge_refunded" });
        let name = format!("evt_1strange{n}");
        assert_eq!(app.deliver_signed(&event(&name, kind, object)).await, 200);
        understood(&app, &name, "processed").await;
    }
    assert_eq!(app.transaction(&alice, &ours).await["status"], "PROCESSING");
    assert_eq!(app.balances(&alice, &wallet).await, (0, 10_000));
    decided(&app, &dispute, "won").await;
    assert_eq!(app.ended(&alice, &ours).await["status"], "CANCELLED");
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    app.finish().await;
}

/// What is disputed was never credited: it lies in suspense, so it is taken from there, and the wallet, whatever else it has, pays nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_dispute_of_a_deposit_in_review_is_taken_from_what_lies_in_suspense_and_ends_it() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(5_000).await;
    let (id, intent) = awaiting(&app, &alice, &wallet, "100.00").await;
    app.stripe
        .control(
            &format!("payment_intents/{intent}/receive"),
            json!({ "amount": 9_000, "currency": "usd" }),
        )
        .await;
    app.at_stage(&id, "in_review").await;
    let dispute = app
        .stripe
        .control("disputes", json!({ "payment_intent": intent, "amount": 9_000 }))
        .await;
    let of_it = "SELECT coalesce(100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'platform:suspense'";
    eventually("what was taken to leave suspense", async || {
        app.db.value::<i64>(of_it, &[]).await == 0
    })
    .await;
    // Until the bank has decided it may come back.
    assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
    decided(&app, &id_of(&dispute), "lost").await;
    let failed = app.failed(&alice, &id).await;
    let reason = failed["failureReason"].as_str().unwrap();
    assert!(reason.starts_with("DISPUTED: "), "{reason}");
    assert_eq!(app.balances(&alice, &wallet).await, (5_000, 0));
    assert_eq!(app.owed(&wallet).await, 0);
    assert_eq!(
        app.db.count("wallet_transactions WHERE flow = 'dispute'").await,
        0
    );
    app.at_rest().await;
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}

/// The same dispute, won: what came back lies in suspense again, and the deposit is still in review.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_won_dispute_of_a_deposit_in_review_leaves_it_in_review() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (id, intent) = awaiting(&app, &alice, &wallet, "100.00").await;
    app.stripe
        .control(
            &format!("payment_intents/{intent}/receive"),
            json!({ "amount": 9_000, "currency": "usd" }),
        )
        .await;
    app.at_stage(&id, "in_review").await;
    let dispute = app
        .stripe
        .control("disputes", json!({ "payment_intent": intent, "amount": 9_000 }))
        .await;
    decided(&app, &id_of(&dispute), "won").await;
    app.told(&alice, &id, "gave 90.00 usd of the disputed payment back")
        .await;
    app.at_stage(&id, "in_review").await;
    let of_it = "SELECT (100 * sum(amount))::bigint FROM ledger_entries WHERE account = 'platform:suspense'";
    assert_eq!(app.db.value::<i64>(of_it, &[]).await, 9_000);
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}
