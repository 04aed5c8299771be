//! Refunds of deposits: to the payer's card, back from it, and those that are made at Stripe by others.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::{TestApp, eventually};

/// <https://docs.stripe.com/refunds>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_goes_back_to_its_payer_in_parts_and_never_more_than_was_paid() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let part = id_of(
        &app.refund(&alice, &deposit, json!({ "amount": "30.00" }))
            .await
            .data(),
    );
    let part = app.completed(&alice, &part).await;
    assert_eq!(
        (&part["direction"], &part["relatedTransactionId"]),
        (&json!("OUT"), &json!(deposit))
    );
    assert_eq!(app.balances(&alice, &wallet).await, (7_000, 0));
    assert_eq!(app.stripe.effects("refund.create").await.len(), 1);
    let too_much = app.refund(&alice, &deposit, json!({ "amount": "70.01" })).await;
    assert_eq!(too_much.code(), Some("INVALID_STATE"), "{too_much:?}");
    let rest = id_of(&app.refund(&alice, &deposit, json!({})).await.data());
    assert_eq!(app.completed(&alice, &rest).await["amount"], "70.00");
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish().await;
}

/// <https://docs.stripe.com/api/refunds/object>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_is_pending_holds_the_money_until_it_is_final() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    // Only by hand.
    app.stripe
        .settings(json!({ "refund_pending_ms": 3_600_000 }))
        .await;
    let deposit = app
        .deposited(&alice, &wallet, 10_000, "pm_card_pendingRefund")
        .await;
    let ids = [
        id_of(
            &app.refund(&alice, &deposit, json!({ "amount": "40.00" }))
                .await
                .data(),
        ),
        id_of(
            &app.refund(&alice, &deposit, json!({ "amount": "60.00" }))
                .await
                .data(),
        ),
    ];
    for (id, status) in ids.iter().zip(["succeeded", "failed"]) {
        app.at_stage(id, "refunding").await;
        let refund: String = app.stripe_id(id, "stripe_refund_id").await;
        app.stripe
            .control(&format!("refunds/{refund}"), json!({ "status": status }))
            .await;
    }
    app.completed(&alice, &ids[0]).await;
    let failed = app.failed(&alice, &ids[1]).await;
    assert!(
        failed["failureReason"]
            .as_str()
            .unwrap()
            .starts_with("REFUND_FAILED: "),
        "{failed:#}"
    );
    assert_eq!(app.balances(&alice, &wallet).await, (6_000, 0));
    app.finish().await;
}

/// <https://docs.stripe.com/refunds#failed-refunds>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_fails_after_it_had_succeeded_is_credited_again_once() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let refund = id_of(&app.refund(&alice, &deposit, json!({})).await.data());
    app.completed(&alice, &refund).await;
    let object: String = app.stripe_id(&refund, "stripe_refund_id").await;
    let body = json!({ "status": "failed", "failure_reason": "expired_or_canceled_card" });
    app.stripe
        .webhook_fault(json!({ "event": "refund.*", "duplicate": 3 }))
        .await;
    app.stripe.control(&format!("refunds/{object}"), body).await;
    let back = app.relative(&alice, &refund).await;
    let back = app.completed(&alice, &id_of(&back)).await;
    assert_eq!(
        (&back["transactionType"], &back["direction"], &back["amount"]),
        (&json!("REFUND"), &json!("IN"), &json!("100.00"))
    );
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    assert_eq!(app.transaction(&alice, &refund).await["status"], "COMPLETED");
    app.finish().await;
}

/// `failure_balance_transaction` can be null for a while: however and in whatever order it is reported, one refund comes back once.
/// <https://docs.stripe.com/api/refunds/object#refund_object-failure_balance_transaction>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_came_back_is_credited_once_whenever_its_movement_is_named() {
    for named in [[false, true], [true, false], [true, true], [false, false]] {
        let app = TestApp::with_workers(2).await;
        let (alice, wallet) = app.owner(0).await;
        let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
        let refund = id_of(
            &app.refund(&alice, &deposit, json!({ "amount": "60.00" }))
                .await
                .data(),
        );
        app.completed(&alice, &refund).await;
        let object: String = app.stripe_id(&refund, "stripe_refund_id").await;
        app.stripe
            .settings(json!({ "names_failure_movements": named[0] }))
            .await;
        app.stripe
            .control(&format!("refunds/{object}"), json!({ "status": "failed" }))
            .await;
        eventually("the refund to come back", async || {
            app.balances(&alice, &wallet).await == (10_000, 0)
        })
        .await;
        app.stripe
            .settings(json!({ "names_failure_movements": named[1] }))
            .await;
        // Two events at once, each tells of the refund as it is now.
        for note in ["one", "two"] {
            let path = format!("/v1/refunds/{object}");
            app.stripe.form(&path, &[("metadata[note]", note)]).await;
        }
        eventually("the events", async || {
            app.db.count("stripe_events WHERE type = 'refund.updated'").await >= 3
        })
        .await;
        app.at_rest().await;
        assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0), "{named:?}");
        let credits = "wallet_transactions WHERE flow = 'refund_return'";
        assert_eq!(app.db.count(credits).await, 1, "{named:?}");
        app.finish().await;
    }
}

/// The previous version booked it with the movement as the reference: the refund does not book it again.
/// <https://docs.stripe.com/api/refunds/object#refund_object-failure_balance_transaction>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_whose_return_was_booked_by_its_movement_alone_is_not_booked_by_the_refund() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let refund = id_of(&app.refund(&alice, &deposit, json!({})).await.data());
    app.completed(&alice, &refund).await;
    let object: String = app.stripe_id(&refund, "stripe_refund_id").await;
    app.stripe
        .control(&format!("refunds/{object}"), json!({ "status": "failed" }))
        .await;
    eventually("the refund to come back", async || {
        app.balances(&alice, &wallet).await == (10_000, 0)
    })
    .await;
    app.at_rest().await;
    app.db
        .execute(
            &format!("DELETE FROM external_refs WHERE external_id = '{object}' AND kind = 'return'"),
            &[],
        )
        .await;
    let path = format!("/v1/refunds/{object}");
    app.stripe.form(&path, &[("metadata[note]", "again")]).await;
    eventually("the event", async || {
        app.db.count("stripe_events WHERE type = 'refund.updated'").await >= 2
    })
    .await;
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    let by_the_refund = format!("external_refs WHERE external_id = '{object}' AND kind = 'return'");
    assert_eq!(app.db.count(&by_the_refund).await, 1);
    app.finish().await;
}

/// <https://docs.stripe.com/refunds>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_made_in_the_dashboard_is_booked_and_what_is_missing_is_caught_from_later_credits() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (_, other) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let spent = app.send(&alice, &wallet, &other, 7_000).await;
    app.completed(&alice, &spent).await;
    let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    app.stripe
        .control("refunds", json!({ "payment_intent": intent, "amount": 5_000 }))
        .await;
    let refund = app.relative(&alice, &deposit).await;
    app.completed(&alice, &id_of(&refund)).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    assert_eq!(app.owed(&wallet).await, 2_000);
    // The next credit pays the debt first.
    app.deposited(&alice, &wallet, 5_000, "pm_card_visa").await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    assert_eq!(app.owed(&wallet).await, 0);
    let told = app.relative(&alice, &id_of(&refund)).await;
    assert!(
        told["timeline"].to_string().contains("kept for what was owed"),
        "{told:#}"
    );
    // What the dashboard took counts.
    let more = app.refund(&alice, &deposit, json!({ "amount": "50.01" })).await;
    assert_eq!(more.code(), Some("INVALID_STATE"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_whose_answer_and_webhooks_are_lost_happens_once_and_is_found() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    app.stripe
        .webhook_fault(json!({ "event": "*", "drop": true }))
        .await;
    app.stripe
        .fault(json!({ "operation": "refunds.create", "times": 2, "outcome": "drop_after" }))
        .await;
    let refund = id_of(
        &app.refund(&alice, &deposit, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    app.hurry_until("the refund to end", TimeDelta::seconds(61), async || {
        app.transaction(&alice, &refund).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.stripe.effects_of(&refund, "refund.create").await, 1);
    app.stripe.clear_faults().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_that_is_not_completed_and_what_is_no_deposit_cannot_be_refunded() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(1_000).await;
    let (_, other) = app.owner(0).await;
    let waiting = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    let transfer = app.send(&alice, &wallet, &other, 500).await;
    app.completed(&alice, &transfer).await;
    for id in [&waiting, &transfer] {
        let refused = app.refund(&alice, id, json!({ "amount": "1.00" })).await;
        assert_eq!(refused.code(), Some("INVALID_STATE"), "{refused:?}");
    }
    let unknown = app
        .refund(&alice, &uuid::Uuid::now_v7().to_string(), json!({}))
        .await;
    assert_eq!(unknown.code(), Some("TRANSACTION_NOT_FOUND"));
    app.finish().await;
}

/// <https://docs.stripe.com/api/balance_transactions/object>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripes_fee_is_booked_when_it_is_known_and_the_books_are_stripes_balance() {
    let app = TestApp::start().await;
    app.stripe
        .settings(json!({ "fee_basis_points": 290, "fee_fixed": 30 }))
        .await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    eventually("the fee to be booked", async || {
        let booked = "SELECT coalesce(sum(amount), 0)::float8 FROM ledger_entries WHERE account = 'stripe:fees' AND transaction_id = $1";
        let booked: f64 = app.db.value(booked, &[&uuid(&deposit)]).await;
        (booked + 3.2).abs() < 0.001
    })
    .await;
    let known = "SELECT available_on IS NOT NULL FROM wallet_transactions WHERE id = $1";
    assert!(app.db.value::<bool>(known, &[&uuid(&deposit)]).await);
    app.finish_with(Leftovers::default()).await;
}

/// A part of the payment was refunded by others, which has not been reported yet.
/// <https://docs.stripe.com/error-codes#charge-already-refunded>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_of_more_than_is_left_at_stripe_says_so() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    app.at_rest().await;
    app.stripe
        .webhook_fault(json!({ "event": "refund.*", "delay_ms": 6_000 }))
        .await;
    app.stripe
        .webhook_fault(json!({ "event": "charge.refund*", "delay_ms": 6_000 }))
        .await;
    let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    let part = json!({ "payment_intent": intent, "amount": 6_000 });
    app.stripe.control("refunds", part).await;
    let id = id_of(
        &app.refund(&alice, &deposit, json!({ "amount": "60.00" }))
            .await
            .data(),
    );
    let failed = app.failed(&alice, &id).await;
    let reason = failed["failureReason"].as_str().unwrap();
    assert!(
        reason.contains("less than that is left of the payment"),
        "{failed:#}"
    );
    app.hurry_until(
        "the other refund to be booked",
        TimeDelta::seconds(10),
        async || app.balances(&alice, &wallet).await == (4_000, 0),
    )
    .await;
    app.abandon().await;
}
