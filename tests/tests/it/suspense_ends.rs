//! What lies in suspense comes to an end that leaves nothing there, even if Stripe has converted the payment, or took more than was paid.

use serde_json::json;
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::programs::{Ended, run};
use wallet_tests::{TestApp, User, eventually};

use crate::deposits::paid_at_stripe;

async fn command(app: &TestApp, args: &[&str]) -> Ended {
    run("wallet-worker", args, &app.variables).await
}

/// What lies in suspense for a transaction, as amount and currency.
pub(crate) async fn suspended(app: &TestApp, id: &str) -> Vec<String> {
    let sums = "SELECT trim_scale(sum(amount))::text || ' ' || currency FROM ledger_entries
                 WHERE account = 'platform:suspense' AND transaction_id = $1 GROUP BY currency HAVING sum(amount) <> 0";
    let rows = app.db.rows(sums, &[&uuid(id)]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The current message of the alarm about a payment that was not requested like this.
pub(crate) async fn mismatch(app: &TestApp) -> String {
    let message = "SELECT message FROM alarms WHERE kind = 'payment_mismatch'";
    app.db.value(message, &[]).await
}

/// A deposit of 50.00 eur by card on an account that is paid in dollars: 54.00 usd arrived. Then the rate changes.
pub(crate) async fn converted(app: &mut TestApp, later_rate: i64) -> (User, String, String) {
    converted_by(app, "pm_card_visa", later_rate).await
}

pub(crate) async fn converted_by(app: &mut TestApp, card: &str, later_rate: i64) -> (User, String, String) {
    let settings = json!({ "settlement_currencies": ["usd"], "exchange_rate": 10_800 });
    app.stripe.settings(settings).await;
    app.start_worker();
    let ada = User::new();
    let wallet = app.wallet(&ada, json!({ "currency": "eur" })).await;
    let input = json!({ "amount": "50.00", "stripePaymentMethodId": card });
    let id = id_of(&app.deposit(&ada, &wallet, input).await.data());
    app.at_stage(&id, "in_review").await;
    app.at_rest().await;
    assert_eq!(suspended(app, &id).await, ["54 usd"]);
    app.stripe.settings(json!({ "exchange_rate": later_rate })).await;
    (ada, wallet, id)
}

async fn refunded_at_stripe(app: &TestApp, deposit: &str, amount: Option<i64>) {
    let intent = app.stripe_id(deposit, "stripe_payment_intent_id").await;
    let what = json!({ "payment_intent": intent, "amount": amount });
    app.stripe.control("refunds", what).await;
}

/// The deposit has failed, nothing lies in suspense, no alarm is open, and what Stripe holds is what the ledger says.
async fn assert_ended(app: &TestApp, ada: &User, id: &str) {
    app.failed(ada, id).await;
    app.at_rest().await;
    assert!(suspended(app, id).await.is_empty());
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    let reconciled = command(app, &["reconcile"]).await;
    assert_eq!(reconciled.code, Some(0), "{reconciled:?}");
    let verified = command(app, &["verify"]).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

/// <https://docs.stripe.com/currencies/conversions>: a refund of a converted payment is converted at the rate of its own day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_converted_payment_that_is_refunded_at_another_rate_leaves_nothing_behind() {
    for (rate, in_parts) in [(10_760, false), (11_000, false), (10_800, false), (10_760, true)] {
        let mut app = TestApp::with_workers(0).await;
        let (ada, _, id) = converted(&mut app, rate).await;
        if in_parts {
            refunded_at_stripe(&app, &id, Some(2_000)).await;
            eventually("the part to be booked", async || {
                suspended(&app, &id).await == ["32.48 usd"]
            })
            .await;
            app.at_rest().await;
            assert_eq!(app.transaction(&ada, &id).await["status"], "PROCESSING");
            refunded_at_stripe(&app, &id, Some(3_000)).await;
        } else {
            refunded_at_stripe(&app, &id, None).await;
        }
        assert_ended(&app, &ada, &id).await;
        // The effects at Stripe are in other amounts than the requests here: the comparison above is the one that counts.
        app.abandon().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_converted_payment_is_given_back_by_a_command() {
    let mut app = TestApp::with_workers(0).await;
    let (ada, _, id) = converted(&mut app, 10_760).await;
    let early = command(&app, &["review", "close", &id, "--reason", "no patience"]).await;
    assert_eq!(early.code, Some(1), "{early:?}");
    assert!(
        early.err.contains("54.00 usd lies in suspense")
            && early.err.contains("`wallet-worker review return")
            && !early.err.contains("review credit"),
        "{early:?}"
    );
    let returned = command(&app, &["review", "return", &id, "--reason", "the payer wants it"]).await;
    assert_eq!(returned.code, Some(0), "{returned:?}");
    assert_ended(&app, &ada, &id).await;
    let refunds = app.stripe.effects_of(&id, "refund.create").await;
    assert_eq!(refunds, 1);
    app.abandon().await;
}

/// A dispute may be about more than was paid here: the bank's other fees, for example.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dispute_takes_beyond_the_payment_is_the_platforms_loss_when_an_operator_says_so() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let (ada, wallet) = app.owner(0).await;
    let id = id_of(
        &app.deposit(&ada, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    let intent = paid_at_stripe(&app, "2000", "usd", &id).await;
    app.at_stage(&id, "in_review").await;
    app.start_worker();
    app.at_rest().await;
    let what = json!({ "payment_intent": intent, "amount": 3_000 });
    let dispute = id_of(&app.stripe.control("disputes", what).await);
    eventually("the money to be taken", async || {
        suspended(&app, &id).await == ["-10 usd"]
    })
    .await;
    let alarm = mismatch(&app).await;
    assert!(
        alarm.contains("-10.00 usd lies in suspense")
            && alarm.contains(&format!("`wallet-worker review close {id}`"))
            && !alarm.contains("review credit")
            && !alarm.contains("review return"),
        "{alarm}"
    );
    app.stripe
        .control(&format!("disputes/{dispute}"), json!({ "status": "lost" }))
        .await;
    app.failed(&ada, &id).await;
    app.at_rest().await;
    let refused = command(&app, &["review", "return", &id, "--reason", "nobody"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.err.contains("-10.00 usd lies in suspense") && refused.err.contains("review close"),
        "{refused:?}"
    );
    let closed = command(&app, &["review", "close", &id, "--reason", "the bank's fee"]).await;
    assert_eq!(closed.code, Some(0), "{closed:?}");
    eventually("nothing to lie there", async || {
        suspended(&app, &id).await.is_empty()
    })
    .await;
    app.at_rest().await;
    assert_eq!(app.transaction(&ada, &id).await["status"], "FAILED");
    let again = command(&app, &["review", "close", &id, "--reason", "again"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    app.finish_with(Leftovers {
        alarms: &["dispute_exceeds_payment", "payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}

pub(crate) async fn parked(app: &TestApp, words: &str) {
    eventually(words, async || {
        let parked = "SELECT last_error FROM jobs WHERE parked_at IS NOT NULL";
        let rows = app.db.rows(parked, &[]).await;
        rows.iter().any(|row| row.get::<_, &str>(0).contains(words))
    })
    .await;
}

pub(crate) async fn decided(app: &TestApp, what: &str, id: &str) {
    let done = command(app, &["review", what, id, "--reason", "looked at"]).await;
    assert_eq!(done.code, Some(0), "{what}: {done:?}");
}

pub(crate) async fn gone(app: &TestApp, id: &str) {
    eventually("nothing to lie in suspense", async || {
        suspended(app, id).await.is_empty()
    })
    .await;
    app.at_rest().await;
}

/// <https://support.stripe.com/questions/pending-refunds-due-to-insufficient-funds-or-stripe-balance>: a refund that waits for funds has taken nothing, and can
/// still fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_closed_while_a_refund_of_the_payment_waits_for_funds() {
    let mut app = TestApp::with_workers(0).await;
    let (ada, _, id) = converted(&mut app, 10_800).await;
    let kept = wallet_tests::stripe::OPENING + 5_400 - 2_500;
    app.stripe
        .control("balance/keep_back", json!({ "amount": kept }))
        .await;
    let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
    let waiting = json!({ "payment_intent": intent, "amount": 3_000 });
    let waiting = id_of(&app.stripe.control("refunds", waiting).await);
    refunded_at_stripe(&app, &id, Some(2_000)).await;
    eventually("the other to be booked", async || {
        suspended(&app, &id).await == ["32.4 usd"]
    })
    .await;
    app.at_rest().await;
    assert_eq!(
        suspended(&app, &id).await,
        ["32.4 usd"],
        "the first has taken nothing"
    );
    let failed = json!({ "status": "failed", "failure_reason": "expired_or_canceled_card" });
    app.stripe.control(&format!("refunds/{waiting}"), failed).await;
    app.stripe
        .control("balance/keep_back", json!({ "amount": -kept }))
        .await;
    app.at_rest().await;
    decided(&app, "return", &id).await;
    gone(&app, &id).await;
    app.failed(&ada, &id).await;
    let made = app.stripe.effects_of(&id, "refund.create").await;
    assert_eq!(made, 3, "two in the dashboard, and what was left");
    app.abandon().await;
}

/// Several payments of one deposit: the end of one is not the end of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refunded_payment_takes_nothing_of_another_payment_of_its_deposit() {
    let app = TestApp::with_workers(0).await;
    let ada = User::new();
    let wallet = app.wallet(&ada, json!({})).await;
    let id = id_of(
        &app.deposit(&ada, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    app.cancel(&ada, &id).await;
    let mut app = app;
    app.start_worker();
    app.hurry_until("it to be cancelled", chrono::TimeDelta::seconds(10), async || {
        app.transaction(&ada, &id).await["status"] == "CANCELLED"
    })
    .await;
    paid_at_stripe(&app, "2000", "usd", &id).await;
    eventually("the first payment", async || {
        suspended(&app, &id).await == ["20 usd"]
    })
    .await;
    let settings = json!({ "settlement_currencies": ["usd"], "exchange_rate": 10_800 });
    app.stripe.settings(settings).await;
    let converted = paid_at_stripe(&app, "5000", "eur", &id).await;
    eventually("the second payment", async || {
        suspended(&app, &id).await == ["74 usd"]
    })
    .await;
    app.stripe.settings(json!({ "exchange_rate": 10_760 })).await;
    app.stripe
        .control("refunds", json!({ "payment_intent": converted }))
        .await;
    eventually("the second to be returned", async || {
        suspended(&app, &id).await == ["20.2 usd"]
    })
    .await;
    app.at_rest().await;
    assert_eq!(suspended(&app, &id).await, ["20.2 usd"]);
    decided(&app, "close", &id).await;
    parked(&app, "20.00 usd of the payment can still be refunded").await;
    refunds_all(&app, &id).await;
    decided(&app, "close", &id).await;
    gone(&app, &id).await;
    app.abandon().await;
}

/// Every payment that names the deposit goes back.
async fn refunds_all(app: &TestApp, id: &str) {
    let payments =
        "SELECT external_id::text FROM external_refs WHERE kind = 'late_payment' AND transaction_id = $1";
    for row in app.db.rows(payments, &[&uuid(id)]).await {
        let intent: String = row.get(0);
        let left = app
            .stripe
            .get(&format!("/v1/refunds?payment_intent={intent}"))
            .await;
        if left["data"].as_array().unwrap().is_empty() {
            app.stripe
                .control("refunds", json!({ "payment_intent": intent }))
                .await;
        }
    }
    eventually("all to be booked", async || {
        suspended(app, id).await == ["0.2 usd"]
    })
    .await;
}

/// The refund of an earlier decision is finished; what lies there again belongs to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_decision_to_return_says_that_nothing_is_left_or_returns_it() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let (ada, wallet) = app.owner(0).await;
    let asked = app.deposit(&ada, &wallet, json!({ "amount": "25.00" })).await;
    let id = id_of(&asked.data());
    let intent = paid_at_stripe(&app, "2000", "usd", &id).await;
    app.at_stage(&id, "in_review").await;
    app.start_worker();
    app.at_rest().await;
    decided(&app, "return", &id).await;
    gone(&app, &id).await;
    let what = json!({ "payment_intent": intent, "amount": 500 });
    let dispute = id_of(&app.stripe.control("disputes", what).await);
    eventually("the money to be taken", async || {
        suspended(&app, &id).await == ["-5 usd"]
    })
    .await;
    app.stripe
        .control(&format!("disputes/{dispute}"), json!({ "status": "lost" }))
        .await;
    app.at_rest().await;
    decided(&app, "close", &id).await;
    gone(&app, &id).await;
    app.stripe
        .control(&format!("disputes/{dispute}"), json!({ "status": "won" }))
        .await;
    eventually("the money to come back", async || {
        suspended(&app, &id).await == ["5 usd"]
    })
    .await;
    app.at_rest().await;
    decided(&app, "return", &id).await;
    parked(&app, "nothing of the payment is left to refund").await;
    decided(&app, "close", &id).await;
    gone(&app, &id).await;
    app.abandon().await;
}

/// Events come in no order (<https://docs.stripe.com/webhooks#event-ordering>): a second observation of a converted payment in review finds the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_converted_payment_in_review_is_looked_at_again_without_an_alarm() {
    let mut app = TestApp::with_workers(0).await;
    let late = json!({ "event": "payment_intent.created", "delay_ms": 1_500 });
    app.stripe.webhook_fault(late).await;
    let (_, _, id) = converted(&mut app, 10_800).await;
    eventually("the late event to be looked at", async || {
        let told = "stripe_events WHERE type = 'payment_intent.created' AND state <> 'received'";
        app.db.count(told).await == 1
    })
    .await;
    app.at_rest().await;
    assert_eq!(suspended(&app, &id).await, ["54 usd"]);
    let contradictions = "alarms WHERE kind = 'contradiction'";
    assert_eq!(app.db.count(contradictions).await, 0);
    app.abandon().await;
}

/// What comes back of a converted refund that failed is what its movement says, also when Stripe names that later
/// (<https://docs.stripe.com/api/refunds/object#refund_object-failure_balance_transaction>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_converted_refund_that_fails_is_booked_by_the_movement_that_brings_it_back() {
    let mut app = TestApp::with_workers(0).await;
    let (_, _, id) = converted(&mut app, 10_760).await;
    let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
    let refund = id_of(
        &app.stripe
            .control("refunds", json!({ "payment_intent": intent, "amount": 4_000 }))
            .await,
    );
    eventually("the refund to be booked", async || {
        suspended(&app, &id).await == ["10.96 usd"]
    })
    .await;
    app.stripe
        .settings(json!({ "names_failure_movements": false, "exchange_rate": 11_000 }))
        .await;
    let failed = json!({ "status": "failed", "failure_reason": "lost_or_stolen_card" });
    app.stripe.control(&format!("refunds/{refund}"), failed).await;
    eventually("the failure to be waited with", async || {
        let waits = "jobs WHERE last_error LIKE '%has not told yet what of the refund came back%'";
        app.db.count(waits).await >= 1
    })
    .await;
    app.stripe
        .settings(json!({ "names_failure_movements": true }))
        .await;
    app.hurry_until(
        "the money to be back",
        chrono::TimeDelta::seconds(30),
        async || suspended(&app, &id).await == ["54.96 usd"],
    )
    .await;
    app.at_rest().await;
    let reconciled = command(&app, &["reconcile"]).await;
    assert_eq!(reconciled.code, Some(0), "{reconciled:?}");
    app.abandon().await;
}
