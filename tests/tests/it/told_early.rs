//! Stripe reports a change of money before anything is recorded of the object that moved it: events come in no order
//! (<https://docs.stripe.com/webhooks#event-ordering>), and the answer to our own call may be the last to come.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::{TestApp, User, eventually};

const REFUNDED: &str = "wallet_transactions WHERE flow = 'outside_refund' AND status = 'completed'";
const DISPUTED: &str = "wallet_transactions WHERE flow = 'dispute' AND stage = 'disputed'";

/// A deposit of 100.00 whose intent was created and paid at Stripe, of which nothing has arrived here yet: neither the answer nor the events.
async fn paid_and_not_recorded(app: &TestApp) -> (User, String, String, String) {
    let (alice, wallet) = app.owner(0).await;
    app.stripe
        .webhook_fault(json!({ "event": "payment_intent.*", "delay_ms": 6_000 }))
        .await;
    app.stripe
        .fault(json!({ "operation": "payment_intents.create", "outcome": "drop_after" }))
        .await;
    let input = json!({ "amount": "100.00", "stripePaymentMethodId": "pm_card_visa" });
    let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
    eventually("the intent to be paid at Stripe", async || {
        app.stripe.effects_of(&id, "payment_intent.succeed").await == 1
    })
    .await;
    let made = app.stripe.effects("payment_intent.create").await;
    let intent = made[0]["object"].as_str().unwrap().to_owned();
    (alice, wallet, id, intent)
}

async fn looked_at(app: &TestApp, kind: &str) {
    let waits =
        "jobs WHERE kind = 'stripe_event' AND last_error = 'the call that may have made it is under way'";
    eventually("its event to be looked at", async || {
        app.db.count(waits).await > 0
    })
    .await;
    let ignored = format!("stripe_events WHERE type LIKE '{kind}%' AND state <> 'received'");
    assert_eq!(app.db.count(&ignored).await, 0, "it waits for the deposit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_is_told_of_before_its_payment_is_recorded_is_booked_after_it() {
    let app = TestApp::start().await;
    let (alice, wallet, id, intent) = paid_and_not_recorded(&app).await;
    let all = json!({ "payment_intent": intent });
    app.stripe.control("refunds", all).await;
    looked_at(&app, "refund.").await;
    app.stripe.clear_faults().await;
    app.hurry_until("the refund to be booked", TimeDelta::seconds(30), async || {
        app.db.count(REFUNDED).await == 1
    })
    .await;
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_that_is_told_of_before_its_payment_is_recorded_holds_the_money_after_it() {
    let app = TestApp::start().await;
    let (alice, wallet, id, intent) = paid_and_not_recorded(&app).await;
    app.stripe
        .control("disputes", json!({ "payment_intent": intent }))
        .await;
    looked_at(&app, "charge.dispute.").await;
    app.stripe.clear_faults().await;
    app.hurry_until("the dispute to be booked", TimeDelta::seconds(30), async || {
        app.db.count(DISPUTED).await == 1
    })
    .await;
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 10_000));
    app.finish_with(Leftovers::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_back_of_a_transfer_before_it_is_recorded_is_told() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "outcome": "drop_after" }))
        .await;
    let input = json!({ "amount": "70.00" });
    let id = id_of(&app.withdraw(&alice, &wallet, input).await.data());
    eventually("the transfer to be made at Stripe", async || {
        app.stripe.effects_of(&id, "transfer.create").await == 1
    })
    .await;
    let made = app.stripe.effects("transfer.create").await;
    let transfer = made[0]["object"].as_str().unwrap().to_owned();
    let taken = json!({ "amount": 7_000 });
    app.stripe
        .control(&format!("transfers/{transfer}/reverse"), taken)
        .await;
    looked_at(&app, "transfer.reversed").await;
    app.stripe.clear_faults().await;
    let told = "alarms WHERE kind = 'transfer_reversed_outside'";
    app.hurry_until("somebody to be told", TimeDelta::seconds(30), async || {
        app.db.count(told).await == 1
    })
    .await;
    app.abandon().await;
}
