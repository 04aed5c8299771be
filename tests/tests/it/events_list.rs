//! Stripe's list of events, read for what no webhook brought.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::{TestApp, eventually};

/// The list shows a hundred at once.
const EVENTS: usize = 230;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_that_fails_half_way_goes_on_where_it_was() {
    let mut app = TestApp::with_workers(0).await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    for _ in 0..EVENTS {
        let params = [("amount", "500"), ("currency", "usd")];
        app.stripe.form("/v1/payment_intents", &params).await;
    }
    let stored = "stripe_events WHERE type = 'payment_intent.created'";
    assert_eq!(app.db.count(stored).await, 0, "no webhook brought them");
    app.stripe
        .fault(json!({ "operation": "events.list", "outcome": "error_503", "nth": 2, "times": 3 }))
        .await;
    app.start_worker();
    eventually("every event to be stored", async || {
        app.db.count(stored).await == i64::try_from(EVENTS).unwrap()
    })
    .await;
    app.at_rest().await;
    let faults = app.stripe.get("/_control/faults").await;
    assert_eq!(faults[0]["hit"], 3);
    assert_eq!(
        faults[0]["matched"],
        3 + 3,
        "each of the three pages was read once"
    );
    app.finish().await;
}

/// The event from which a reading would continue may be gone at Stripe, which keeps events for thirty days
/// (<https://docs.stripe.com/api/events>): such a list is refused, every time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_whose_place_is_gone_begins_anew() {
    let mut app = TestApp::with_workers(0).await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    for _ in 0..EVENTS {
        let params = [("amount", "500"), ("currency", "usd")];
        app.stripe.form("/v1/payment_intents", &params).await;
    }
    app.stripe
        .fault(json!({ "operation": "events.list", "outcome": "error_400", "nth": 2, "times": 2 }))
        .await;
    app.start_worker();
    let stored = "stripe_events WHERE type = 'payment_intent.created'";
    app.hurry_until("every event to be stored", TimeDelta::seconds(30), async || {
        app.db.count(stored).await == i64::try_from(EVENTS).unwrap()
    })
    .await;
    app.at_rest().await;
    assert_eq!(app.alarms().await, Vec::<String>::new());
    app.finish().await;
}

/// A key without the right to read events, for example: nothing that webhooks lost would ever be found, so an alarm is raised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_stays_refused_calls_a_person_and_is_asked_for_ever_less_often() {
    for nth in [1, 2] {
        let mut app = TestApp::with_workers(0).await;
        app.stripe.webhook_fault(json!({ "drop": true })).await;
        for _ in 0..EVENTS {
            let params = [("amount", "500"), ("currency", "usd")];
            app.stripe.form("/v1/payment_intents", &params).await;
        }
        let operation = if nth == 1 {
            json!({ "operation": "events.list", "outcome": "error_403" })
        } else {
            json!({ "operation": "events.list", "outcome": "error_400", "nth": 2, "times": 1_000 })
        };
        app.stripe.fault(operation).await;
        app.start_worker();
        app.hurry_until("a person to be called", TimeDelta::seconds(30), async || {
            app.alarms().await.contains(&"job_parked".to_owned())
        })
        .await;
        let asked = app.stripe.fault_hits().await[0];
        assert!(asked <= 10, "asked {asked} times");
        app.abandon().await;
    }
}
