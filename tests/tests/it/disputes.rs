//! Disputes: what is held, what is owed, and how both end.

use serde_json::json;
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::{TestApp, User};

/// A dispute of so much of a deposit: the Stripe object, and our transaction.
async fn disputed(
    app: &TestApp,
    user: &User,
    deposit: &str,
    amount: i64,
    more: &serde_json::Value,
) -> (String, String) {
    let intent: String = app.stripe_id(deposit, "stripe_payment_intent_id").await;
    let mut body = json!({ "payment_intent": intent, "amount": amount, "reason": "fraudulent" });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let dispute = app.stripe.control("disputes", body).await;
    let ours = app.relative(user, deposit).await;
    (dispute["id"].as_str().unwrap().to_owned(), id_of(&ours))
}

async fn decided(app: &TestApp, dispute: &str, status: &str) {
    app.stripe
        .control(&format!("disputes/{dispute}"), json!({ "status": status }))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_that_is_won_gives_back_what_was_frozen_and_forgives_the_rest() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (_, other) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let spent = app.send(&alice, &wallet, &other, 4_000).await;
    app.completed(&alice, &spent).await;
    let (dispute, ours) = disputed(&app, &alice, &deposit, 10_000, &json!({})).await;
    app.at_stage(&ours, "disputed").await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 6_000));
    assert_eq!(app.owed(&wallet).await, 4_000);
    let refused = app.refund(&alice, &deposit, json!({ "amount": "1.00" })).await;
    assert_eq!(refused.code(), Some("INVALID_STATE"), "{refused:?}");
    // A credit meanwhile is collected, as far as it is owed.
    app.deposited(&alice, &wallet, 2_500, "pm_card_visa").await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 6_000));
    assert_eq!(app.owed(&wallet).await, 1_500);
    decided(&app, &dispute, "won").await;
    let ended = app.ended(&alice, &ours).await;
    assert_eq!(ended["status"], "CANCELLED", "{ended:#}");
    assert_eq!(app.balances(&alice, &wallet).await, (8_500, 0));
    assert_eq!(app.owed(&wallet).await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_that_is_lost_takes_what_was_frozen_and_later_credits_pay_the_rest() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (_, other) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let spent = app.send(&alice, &wallet, &other, 9_000).await;
    app.completed(&alice, &spent).await;
    let (dispute, ours) = disputed(&app, &alice, &deposit, 6_000, &json!({})).await;
    app.at_stage(&ours, "disputed").await;
    decided(&app, &dispute, "lost").await;
    app.completed(&alice, &ours).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    assert_eq!(app.owed(&wallet).await, 5_000);
    app.deposited(&alice, &wallet, 8_000, "pm_card_visa").await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    assert_eq!(app.owed(&wallet).await, 0);
    app.at_rest().await;
    // Nothing is receivable any more, and the platform bears the fee of the dispute.
    let sum = "SELECT coalesce(100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = $1";
    assert_eq!(app.db.value::<i64>(sum, &[&"platform:receivable"]).await, 0);
    assert_eq!(app.db.value::<i64>(sum, &[&"stripe:fees"]).await, -1_500);
    let refunded = app.refund(&alice, &deposit, json!({ "amount": "40.01" })).await;
    assert_eq!(refunded.code(), Some("INVALID_STATE"), "{refunded:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_decides_and_not_the_name_of_the_event() {
    // hyperswitch #11653: funds_reinstated marked a lost dispute as won.
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let (dispute, ours) = disputed(&app, &alice, &deposit, 6_000, &json!({})).await;
    app.at_stage(&ours, "disputed").await;
    // Money comes back in part before the decision: that is no decision.
    app.stripe
        .control(&format!("disputes/{dispute}/funds"), json!({ "amount": 300 }))
        .await;
    app.at_rest().await;
    assert_eq!(app.transaction(&alice, &ours).await["status"], "PROCESSING");
    assert_eq!(app.balances(&alice, &wallet).await, (4_000, 6_000));
    decided(&app, &dispute, "lost").await;
    app.completed(&alice, &ours).await;
    // What came back is not lost.
    assert_eq!(app.balances(&alice, &wallet).await, (4_300, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inquiry_freezes_nothing_and_may_be_closed_or_become_a_dispute() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let inquiry = json!({ "status": "warning_needs_response" });
    let first = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let (dispute, ours) = disputed(&app, &alice, &first, 10_000, &inquiry).await;
    app.at_rest().await;
    assert_eq!(app.transaction(&alice, &ours).await["status"], "PENDING");
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    decided(&app, &dispute, "warning_closed").await;
    assert_eq!(app.ended(&alice, &ours).await["status"], "CANCELLED");
    let second = app.deposited(&alice, &wallet, 5_000, "pm_card_visa").await;
    let (dispute, ours) = disputed(&app, &alice, &second, 5_000, &inquiry).await;
    app.at_rest().await;
    decided(&app, &dispute, "needs_response").await;
    app.at_stage(&ours, "disputed").await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 5_000));
    decided(&app, &dispute, "won").await;
    app.ended(&alice, &ours).await;
    assert_eq!(app.balances(&alice, &wallet).await, (15_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_of_more_than_was_paid_is_held_as_it_is_and_told_to_a_person() {
    // polar #8344
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 5_000, "pm_card_visa").await;
    let (dispute, ours) = disputed(&app, &alice, &deposit, 6_500, &json!({})).await;
    app.at_stage(&ours, "disputed").await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 5_000));
    assert_eq!(app.owed(&wallet).await, 1_500);
    decided(&app, &dispute, "won").await;
    app.ended(&alice, &ours).await;
    assert_eq!(app.balances(&alice, &wallet).await, (5_000, 0));
    app.finish_with(Leftovers {
        alarms: &["dispute_exceeds_payment"],
        ..Leftovers::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_during_a_refund_during_a_withdrawal_leaves_the_sum_right_and_nothing_negative() {
    let app = TestApp::start().await;
    let by_hand = json!({ "payout_mode": "manual", "refund_pending_ms": 3_600_000 });
    app.stripe.settings(by_hand).await;
    let (alice, wallet) = app.payee(0).await;
    let deposit = app
        .deposited(&alice, &wallet, 10_000, "pm_card_pendingRefund")
        .await;
    app.top_up(10_000).await;
    let withdrawal = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "50.00" }))
            .await
            .data(),
    );
    app.at_stage(&withdrawal, "paying_out").await;
    let refund = id_of(
        &app.refund(&alice, &deposit, json!({ "amount": "30.00" }))
            .await
            .data(),
    );
    app.at_stage(&refund, "refunding").await;
    let intent: String = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    let dispute = app
        .stripe
        .control("disputes", json!({ "payment_intent": intent, "amount": 10_000 }))
        .await;
    let find = "SELECT id::text FROM wallet_transactions WHERE flow = 'dispute'";
    wallet_tests::eventually("the dispute", async || !app.db.rows(find, &[]).await.is_empty()).await;
    let ours: String = app.db.value(find, &[]).await;
    app.at_stage(&ours, "disputed").await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 10_000));
    assert_eq!(app.owed(&wallet).await, 8_000);
    let payout: String = app.stripe_id(&withdrawal, "stripe_payout_id").await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "failed" }))
        .await;
    app.failed(&alice, &withdrawal).await;
    // What the bank returned is collected.
    assert_eq!(app.balances(&alice, &wallet).await, (0, 5_000));
    assert_eq!(app.owed(&wallet).await, 3_000);
    let object: String = app.stripe_id(&refund, "stripe_refund_id").await;
    app.stripe
        .control(&format!("refunds/{object}"), json!({ "status": "succeeded" }))
        .await;
    app.completed(&alice, &refund).await;
    decided(&app, dispute["id"].as_str().unwrap(), "lost").await;
    app.completed(&alice, &ours).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    assert_eq!(app.owed(&wallet).await, 3_000);
    // More is disputed than the refund had left of the deposit.
    app.finish_with(Leftovers {
        alarms: &["dispute_exceeds_payment"],
        ..Leftovers::default()
    })
    .await;
}
