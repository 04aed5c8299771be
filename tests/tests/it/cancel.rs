//! Taking back: what may be cancelled at which stage, what expires, what comes too late, and the way of money that nobody asked for.

use std::time::Duration;

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::{Answer, TestApp, User, eventually};

/// A deposit that waits for its payer, and its intent.
async fn awaiting(app: &TestApp, user: &User, wallet: &str, amount: &str) -> (String, String) {
    let id = id_of(
        &app.deposit(user, wallet, json!({ "amount": amount }))
            .await
            .data(),
    );
    app.at_stage(&id, "awaiting_payment").await;
    let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
    (id, intent)
}

async fn status_of(app: &TestApp, intent: &str) -> Value {
    app.stripe.get(&format!("/v1/payment_intents/{intent}")).await["status"].clone()
}

/// Cancels it and waits until it is.
async fn cancelled(app: &TestApp, user: &User, id: &str) {
    let _ = app.cancel(user, id).await.data();
    let ended = app.ended(user, id).await;
    assert_eq!(ended["status"], "CANCELLED", "{ended:#}");
    let reason = ended["failureReason"].as_str().unwrap();
    assert!(reason.starts_with("CANCELLED_BY_OWNER: "), "{reason}");
    // Asked again it is what it is.
    assert_eq!(app.cancel(user, id).await.data()["status"], "CANCELLED");
}

fn assert_too_late(answer: &Answer, mend: &str) {
    assert_eq!(answer.code(), Some("INVALID_STATE"), "{answer:?}");
    let message = answer.message();
    assert!(
        message.contains("cannot be cancelled") && message.contains(mend),
        "{message}"
    );
}

async fn suspense(app: &TestApp) -> i64 {
    let sum = "SELECT coalesce(100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'platform:suspense'";
    app.db.value(sum, &[]).await
}

/// Somebody in Stripe's dashboard gives all or so many cents of a payment back to its payer.
async fn returned_in_dashboard(app: &TestApp, intent: &str, amount: Option<i64>) {
    let mut body = json!({ "payment_intent": intent });
    if let Some(amount) = amount {
        body["amount"] = json!(amount);
    }
    app.stripe.control("refunds", body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_accepted_is_cancelled_whatever_its_type_and_nothing_moves() {
    let mut app = TestApp::start().await;
    let (alice, hers) = app.payee(10_000).await;
    let (bob, his) = app.owner(10_000).await;
    let deposit = app.deposited(&alice, &hers, 5_000, "pm_card_visa").await;
    let input = json!({ "toWalletId": his, "amount": "20.00" });
    let payment = id_of(&app.pay(&alice, &hers, input.clone()).await.data());
    app.completed(&alice, &payment).await;
    app.at_rest().await;
    app.stop_workers().await;
    let waits = [
        (
            &alice,
            app.deposit(&alice, &hers, json!({ "amount": "25.00" })).await,
        ),
        (
            &alice,
            app.withdraw(&alice, &hers, json!({ "amount": "25.00" })).await,
        ),
        (&alice, app.transfer(&alice, &hers, input.clone()).await),
        (&alice, app.pay(&alice, &hers, input).await),
        (&bob, app.refund(&bob, &payment, json!({})).await),
        (&alice, app.refund(&alice, &deposit, json!({})).await),
    ];
    // Cancelling comes first; what was asked for is worked on after it.
    app.start_worker_with(&[("WORKER_QUEUES", "maintenance")]);
    for (user, answer) in waits {
        cancelled(&app, user, &id_of(&answer.data())).await;
    }
    app.start_worker();
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &hers).await, (13_000, 0));
    assert_eq!(app.balances(&bob, &his).await, (11_980, 0));
    for operation in ["transfer.create", "payout.create", "refund.create"] {
        assert_eq!(app.stripe.effects(operation).await, Vec::<Value>::new());
    }
    assert_eq!(app.stripe.effects("payment_intent.create").await.len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_is_cancelled_while_it_waits_for_its_payer_and_refused_at_every_later_stage() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (waiting, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    let stranger = app.cancel(&User::new(), &waiting).await;
    assert_eq!(stranger.code(), Some("TRANSACTION_NOT_FOUND"), "{stranger:?}");
    cancelled(&app, &alice, &waiting).await;
    assert_eq!(status_of(&app, &intent).await, "canceled");
    assert_eq!(
        app.stripe.confirm(&intent, "pm_card_visa").await,
        400,
        "nobody can pay it any more"
    );

    let paid = app.deposited(&alice, &wallet, 3_000, "pm_card_visa").await;
    assert_too_late(
        &app.cancel(&alice, &paid).await,
        "it is completed; ask for a refund instead",
    );
    let declined = json!({ "amount": "25.00", "stripePaymentMethodId": "pm_card_chargeDeclined" });
    let declined = id_of(&app.deposit(&alice, &wallet, declined).await.data());
    app.failed(&alice, &declined).await;
    assert_too_late(&app.cancel(&alice, &declined).await, "it has failed already");
    let (reviewed, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    app.stripe
        .control(
            &format!("payment_intents/{intent}/receive"),
            json!({ "amount": 2_000 }),
        )
        .await;
    app.at_stage(&reviewed, "in_review").await;
    assert_too_late(&app.cancel(&alice, &reviewed).await, "the money is on its way");
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_cancelled_in_the_moment_in_which_its_intent_is_made_is_cancelled_at_stripe_too() {
    let app = TestApp::with_workers(3).await;
    let (alice, wallet) = app.owner(0).await;
    let (app_, alice_, wallet_) = (&app, &alice, &wallet);
    let ids = join_all((0..40).map(|n| async move {
        let deposit = app_.deposit(alice_, wallet_, json!({ "amount": "25.00" })).await;
        let id = id_of(&deposit.data());
        // From before the call to after it was recorded.
        tokio::time::sleep(Duration::from_millis(5 * n)).await;
        let _ = app_.cancel(alice_, &id).await.data();
        id
    }))
    .await;
    for id in &ids {
        let open = "wallet_transactions WHERE status IN ('pending', 'processing')";
        app.hurry_until("every deposit to end", TimeDelta::seconds(5), async || {
            app.db.count(open).await == 0
        })
        .await;
        assert_eq!(app.transaction(&alice, id).await["status"], "CANCELLED");
    }
    let intents = app.stripe.get("/v1/payment_intents?limit=100").await;
    for intent in intents["data"].as_array().unwrap() {
        assert_eq!(intent["status"], "canceled");
    }
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_is_cancelled_while_nothing_was_sent_and_refused_at_every_later_stage() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "outcome": "balance_insufficient" }))
        .await;
    let withdraw = async || {
        let input = json!({ "amount": "40.00" });
        id_of(&app.withdraw(&alice, &wallet, input).await.data())
    };
    let held = withdraw().await;
    app.told(&alice, &held, "not available at the payment provider yet")
        .await;
    assert_eq!(app.balances(&alice, &wallet).await, (6_000, 4_000));
    cancelled(&app, &alice, &held).await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    assert_eq!(app.stripe.effects_of(&held, "transfer.create").await, 0);
    app.stripe.clear_faults().await;

    app.stripe
        .fault(json!({ "operation": "payouts.create", "outcome": "balance_insufficient" }))
        .await;
    let sent = withdraw().await;
    app.at_stage(&sent, "transferred").await;
    assert_too_late(&app.cancel(&alice, &sent).await, "the money is on its way");
    app.stripe.clear_faults().await;
    app.hurry_until("the payout", TimeDelta::seconds(61), async || {
        app.transaction(&alice, &sent).await["timeline"]
            .to_string()
            .contains("po_")
    })
    .await;
    app.at_stage(&sent, "paying_out").await;
    assert_too_late(&app.cancel(&alice, &sent).await, "the money is on its way");
    let payout = app.stripe_id(&sent, "stripe_payout_id").await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "paid" }))
        .await;
    app.completed(&alice, &sent).await;
    assert_too_late(&app.cancel(&alice, &sent).await, "it is completed");
    assert_eq!(app.balances(&alice, &wallet).await, (6_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_in_one_step_and_what_stripe_told_of_cannot_be_taken_back() {
    let app = TestApp::start().await;
    app.stripe
        .settings(json!({ "refund_pending_ms": 3_600_000 }))
        .await;
    let (alice, wallet) = app.owner(10_000).await;
    let (bob, his) = app.owner(0).await;
    let transfer = app.send(&alice, &wallet, &his, 1_000).await;
    app.completed(&alice, &transfer).await;
    assert_too_late(&app.cancel(&alice, &transfer).await, "it is completed");
    let input = json!({ "toWalletId": his, "amount": "20.00" });
    let payment = id_of(&app.pay(&alice, &wallet, input).await.data());
    app.completed(&alice, &payment).await;
    assert_too_late(
        &app.cancel(&alice, &payment).await,
        "it is completed; ask for a refund instead",
    );
    let refund = id_of(&app.refund(&bob, &payment, json!({})).await.data());
    app.completed(&bob, &refund).await;
    assert_too_late(&app.cancel(&bob, &refund).await, "it is completed");
    let of_payee = app.cancel(&bob, &payment).await;
    assert_eq!(of_payee.code(), Some("FORBIDDEN"), "{of_payee:?}");

    let deposit = app
        .deposited(&alice, &wallet, 5_000, "pm_card_pendingRefund")
        .await;
    let to_card = id_of(
        &app.refund(&alice, &deposit, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    app.at_stage(&to_card, "refunding").await;
    assert_too_late(&app.cancel(&alice, &to_card).await, "the money is on its way");
    let object = app.stripe_id(&to_card, "stripe_refund_id").await;
    app.stripe
        .control(&format!("refunds/{object}"), json!({ "status": "succeeded" }))
        .await;
    app.completed(&alice, &to_card).await;
    let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    let dispute = app
        .stripe
        .control("disputes", json!({ "payment_intent": intent, "amount": 4_000 }))
        .await;
    let disputed = "SELECT id::text FROM wallet_transactions WHERE flow = 'dispute' AND stage = 'disputed'";
    eventually("the dispute", async || {
        !app.db.rows(disputed, &[]).await.is_empty()
    })
    .await;
    let ours: String = app.db.value(disputed, &[]).await;
    assert_too_late(&app.cancel(&alice, &ours).await, "the money is on its way");
    app.stripe
        .control(
            &format!("disputes/{}", id_of(&dispute)),
            json!({ "status": "lost" }),
        )
        .await;
    app.completed(&alice, &ours).await;
    assert_eq!(app.balances(&alice, &wallet).await, (9_000, 0));
    assert_eq!(app.balances(&bob, &his).await, (1_000, 0));
    app.finish().await;
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
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch", "payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}
