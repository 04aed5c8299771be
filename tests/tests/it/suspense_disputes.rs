//! What a dispute leaves of a payment whose money lies in suspense.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::id_of;
use wallet_tests::{TestApp, eventually};

use crate::deposits::paid_at_stripe;
use crate::suspense_ends::{converted, converted_by, decided, gone, mismatch, parked, suspended};

/// <https://docs.stripe.com/currencies/conversions>: disputes of a converted payment are settled in the other currency.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_converted_payment_that_its_payers_bank_takes_ends() {
    for (rate, status) in [(10_800, "lost"), (10_760, "lost"), (10_760, "prevented")] {
        let mut app = TestApp::with_workers(0).await;
        let (ada, _, id) = converted(&mut app, rate).await;
        let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
        let mut what = json!({ "payment_intent": intent });
        if status == "prevented" {
            what["status"] = json!(status);
        }
        let dispute = id_of(&app.stripe.control("disputes", what).await);
        eventually("the money to be taken", async || {
            suspended(&app, &id).await != ["54 usd"]
        })
        .await;
        app.at_rest().await;
        if status == "lost" {
            let decided = json!({ "status": status });
            app.stripe.control(&format!("disputes/{dispute}"), decided).await;
            eventually("the decision to be told", async || {
                let told = "stripe_events WHERE type = 'charge.dispute.closed' AND state = 'processed'";
                app.db.count(told).await == 1
            })
            .await;
        }
        app.at_rest().await;
        if rate != 10_800 {
            decided(&app, "return", &id).await;
            parked(&app, "review close").await;
            decided(&app, "close", &id).await;
            gone(&app, &id).await;
        }
        app.failed(&ada, &id).await;
        app.abandon().await;
    }
}

/// After a dispute is lost, Stripe refuses to refund what it left (<https://docs.stripe.com/error-codes#charge-disputed>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_dispute_leaves_of_a_payment_can_be_closed() {
    let mut app = TestApp::with_workers(0).await;
    // Else its own intent might be made first, and then the payment is not its.
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let (ada, wallet) = app.owner(0).await;
    let asked = app.deposit(&ada, &wallet, json!({ "amount": "25.00" })).await;
    let id = id_of(&asked.data());
    let intent = paid_at_stripe(&app, "2000", "usd", &id).await;
    app.hurry_until(
        "the money to be in suspense",
        TimeDelta::seconds(10),
        async || suspended(&app, &id).await == ["20 usd"],
    )
    .await;
    app.at_stage(&id, "in_review").await;
    app.start_worker();
    let what = json!({ "payment_intent": intent, "amount": 1_500 });
    let dispute = id_of(&app.stripe.control("disputes", what).await);
    eventually("the part to be taken", async || {
        suspended(&app, &id).await == ["5 usd"]
    })
    .await;
    app.stripe
        .control(&format!("disputes/{dispute}"), json!({ "status": "lost" }))
        .await;
    eventually("the decision to be told", async || {
        app.db
            .count("stripe_events WHERE type = 'charge.dispute.closed' AND state = 'processed'")
            .await
            == 1
    })
    .await;
    decided(&app, "return", &id).await;
    parked(&app, "review close").await;
    decided(&app, "close", &id).await;
    gone(&app, &id).await;
    app.abandon().await;
}

/// A part of the payment is with its payer, another with the payer's bank: the rest belongs to nobody yet, and an operator decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_dispute_leaves_of_a_converted_payment_is_not_closed_by_itself() {
    let mut app = TestApp::with_workers(0).await;
    app.stripe
        .settings(json!({ "refund_pending_ms": 432_000_000_u64 }))
        .await;
    let (_, _, id) = converted_by(&mut app, "pm_card_pendingRefund", 10_800).await;
    let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
    let part = json!({ "payment_intent": intent, "amount": 1_000 });
    let refund = id_of(&app.stripe.control("refunds", part).await);
    eventually("the refund to be begun", async || {
        suspended(&app, &id).await == ["43.2 usd"]
    })
    .await;
    let what = json!({ "payment_intent": intent, "amount": 1_500 });
    let dispute = id_of(&app.stripe.control("disputes", what).await);
    eventually("the part to be taken", async || {
        suspended(&app, &id).await == ["27 usd"]
    })
    .await;
    app.stripe
        .control(&format!("disputes/{dispute}"), json!({ "status": "lost" }))
        .await;
    app.at_rest().await;
    let done = json!({ "status": "succeeded" });
    app.stripe.control(&format!("refunds/{refund}"), done).await;
    let told = "external_refs WHERE kind = 'refund'";
    eventually("its end to be booked", async || app.db.count(told).await == 1).await;
    app.at_rest().await;
    assert_eq!(suspended(&app, &id).await, ["27 usd"]);
    decided(&app, "close", &id).await;
    gone(&app, &id).await;
    app.abandon().await;
}

/// Stripe reports a decision before it moves the money
/// (<https://docs.stripe.com/api/events/types#event_types-charge.dispute.funds_reinstated>): a deposit in review is not given up because of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_that_is_won_before_its_money_is_back_leaves_its_deposit_in_review() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let (ada, wallet) = app.owner(0).await;
    let asked = app.deposit(&ada, &wallet, json!({ "amount": "25.00" })).await;
    let id = id_of(&asked.data());
    let intent = paid_at_stripe(&app, "2000", "usd", &id).await;
    app.at_stage(&id, "in_review").await;
    app.start_worker();
    app.at_rest().await;
    let what = json!({ "payment_intent": intent });
    let dispute = id_of(&app.stripe.control("disputes", what).await);
    eventually("the money to be taken", async || {
        suspended(&app, &id).await.is_empty()
    })
    .await;
    let alarm = mismatch(&app).await;
    assert!(
        alarm.contains("nothing is to be decided before the dispute has ended"),
        "{alarm}"
    );
    let won = json!({ "status": "won", "funds": false });
    app.stripe.control(&format!("disputes/{dispute}"), won).await;
    eventually("the money to be waited for", async || {
        let waits = "jobs WHERE last_error LIKE '%the money has not moved yet%'";
        app.db.count(waits).await >= 1
    })
    .await;
    let path = format!("disputes/{dispute}/funds");
    app.stripe.control(&path, json!({ "amount": 2_000 })).await;
    eventually("the money to be back", async || {
        suspended(&app, &id).await == ["20 usd"]
    })
    .await;
    app.hurry_until("the events to be done", TimeDelta::seconds(10), async || {
        app.db.count("jobs WHERE kind = 'stripe_event'").await == 0
    })
    .await;
    app.at_stage(&id, "in_review").await;
    let alarm = mismatch(&app).await;
    assert!(
        alarm.contains("20.00 usd lies in suspense; `wallet-worker review credit"),
        "{alarm}"
    );
    decided(&app, "credit", &id).await;
    app.completed(&ada, &id).await;
    assert_eq!(app.balances(&ada, &wallet).await, (2_000, 0));
    app.abandon().await;
}
