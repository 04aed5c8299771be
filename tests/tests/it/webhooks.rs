//! Stripe's events: early, late, twice, in any order, or not understood.

use futures::future::join_all;
use serde_json::{Value, json};
use wallet_core::clock::Clock;
use wallet_core::inbox;
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::{TestApp, eventually, until};

const EVENTS: &str = "SELECT id, state FROM stripe_events ORDER BY received_at";

async fn events(app: &TestApp) -> Vec<(String, String)> {
    app.db
        .rows(EVENTS, &[])
        .await
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_delivered_ten_times_at_once_counts_once() {
    let app = TestApp::with_workers(2).await;
    app.stripe.webhook_fault(json!({ "duplicate": 9 })).await;
    let (alice, wallet) = app.payee(0).await;
    let input = json!({ "amount": "60.00", "stripePaymentMethodId": "pm_card_visa" });
    let deposit = id_of(&app.deposit(&alice, &wallet, input).await.data());
    app.completed(&alice, &deposit).await;
    let withdrawal = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "60.00" }))
            .await
            .data(),
    );
    app.completed(&alice, &withdrawal).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.at_rest().await;
    let events = events(&app).await;
    eventually("every copy to be delivered", async || {
        app.stripe.deliveries().await.len() >= 10 * events.len()
    })
    .await;
    let deliveries = app.stripe.deliveries().await;
    assert!(
        deliveries.iter().all(|(_, status)| *status == Some(200)),
        "{deliveries:?}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_in_every_order_come_to_the_same_end() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    // Everything is held back; then the events of each deposit are delivered in another order.
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let kinds = [
        "payment_intent.created",
        "payment_intent.processing",
        "payment_intent.succeeded",
    ];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let input = json!({ "amount": "10.00", "paymentMethod": "BANK_TRANSFER", "stripePaymentMethodId": "pm_usBankAccount_success" });
        let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
        app.at_stage(&id, "awaiting_payment").await;
        let intent = app.transaction(&alice, &id).await["stripePaymentIntentId"]
            .as_str()
            .unwrap()
            .to_owned();
        let found: Vec<Value> = until("all three events", async || {
            let events = app.stripe.get("/v1/events?limit=100").await;
            let of = |kind: &&str| {
                let all = events["data"].as_array()?;
                all.iter()
                    .find(|event| event["type"] == **kind && event["data"]["object"]["id"] == intent)
                    .cloned()
            };
            kinds.iter().map(of).collect()
        })
        .await;
        for index in order {
            assert_eq!(app.deliver_signed(&found[index]).await, 200);
            app.at_rest().await;
        }
        app.completed(&alice, &id).await;
    }
    assert_eq!(app.balances(&alice, &wallet).await, (6_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_before_our_own_record_of_its_object_is_understood() {
    let app = TestApp::with_workers(2).await;
    let (alice, wallet) = app.payee(0).await;
    for operation in ["payment_intents.create", "payouts.create"] {
        app.stripe
            .fault(json!({ "operation": operation, "answer_delay_ms": 1_500 }))
            .await;
    }
    let input = json!({ "amount": "40.00", "stripePaymentMethodId": "pm_card_visa" });
    let deposit = id_of(&app.deposit(&alice, &wallet, input).await.data());
    app.completed(&alice, &deposit).await;
    let by_event =
        "SELECT count(*) FROM stripe_calls WHERE operation = 'payment_intent' AND outcome <> 'succeeded'";
    assert_eq!(
        app.db.value::<i64>(by_event, &[]).await,
        1,
        "the answer was still on its way when the event had done it"
    );
    let withdrawal = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "40.00" }))
            .await
            .data(),
    );
    app.completed(&alice, &withdrawal).await;
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_days_late_still_counts() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    app.stripe
        .webhook_fault(json!({ "event": "payment_intent.succeeded", "drop": true }))
        .await;
    let id = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    app.at_stage(&id, "awaiting_payment").await;
    let intent = app.transaction(&alice, &id).await["stripePaymentIntentId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(app.stripe.confirm(&intent, "pm_card_visa").await, 200);
    app.advance(chrono::TimeDelta::days(3)).await;
    app.at_rest().await;
    assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
    app.stripe.clear_faults().await;
    let events = app.stripe.get("/v1/events?type=payment_intent.succeeded").await;
    app.stripe
        .control(&format!("events/{}/resend", id_of(&events["data"][0])), json!({}))
        .await;
    app.completed(&alice, &id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_event_is_never_refused_whatever_it_says() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    app.at_stage(&deposit, "awaiting_payment").await;
    app.at_rest().await;
    let intent = app.transaction(&alice, &deposit).await["stripePaymentIntentId"].clone();
    let event = |id: &str, kind: &str, object: Value| json!({ "id": id, "object": "event", "type": kind, "livemode": false, "api_version": "2031-01-01.future", "data": { "object": object } });
    let succeeded = |metadata: Value| json!({ "id": "pi_1ofNobody", "object": "payment_intent", "status": "succeeded", "metadata": metadata });
    let parked = [
        ("no JSON", "this is no JSON".to_owned()),
        ("no object", "[1, 2, 3]".to_owned()),
        ("no id", json!({ "type": "x", "livemode": false }).to_string()),
        (
            "no type",
            json!({ "id": "evt_1typeless", "livemode": false }).to_string(),
        ),
        (
            "live",
            json!({ "id": "evt_1live", "type": "payment_intent.succeeded", "livemode": true }).to_string(),
        ),
        (
            "no intent",
            event(
                "evt_1objectless",
                "payment_intent.succeeded",
                json!({ "object": "payment_intent" }),
            )
            .to_string(),
        ),
        (
            "an intent of nobody",
            event(
                "evt_1nobody",
                "payment_intent.succeeded",
                succeeded(json!({ "transaction_id": deposit })),
            )
            .to_string(),
        ),
        (
            "SQL for an id",
            event(
                "evt_1sql",
                "payment_intent.succeeded",
                succeeded(json!({ "transaction_id": "'; DROP TABLE jobs; --" })),
            )
            .to_string(),
        ),
    ];
    for (what, body) in &parked {
        let header = wallet_tests::webhook::header(body.as_bytes());
        assert_eq!(app.deliver(Some(&header), body.clone()).await, 200, "{what}");
    }
    let ignored = [
        event(
            "evt_1unknown",
            "entitlements.of_tomorrow",
            json!({ "id": "x_1", "object": "thing", "new": [1] }),
        ),
        event(
            "evt_1transfer",
            "transfer.created",
            json!({ "id": "tr_1", "object": "transfer" }),
        ),
        event(
            "evt_1platform",
            "payout.paid",
            json!({ "id": "po_1", "object": "payout" }),
        ),
    ];
    for event in &ignored {
        assert_eq!(app.deliver_signed(event).await, 200);
    }
    // What the event itself claims about the intent does not matter: Stripe is asked.
    let lies = event(
        "evt_1lies",
        "payment_intent.succeeded",
        json!({ "id": intent, "status": "succeeded", "amount_received": 99_999_999 }),
    );
    assert_eq!(app.deliver_signed(&lies).await, 200);
    app.at_rest().await;
    let states = events(&app).await;
    assert_eq!(
        states.iter().filter(|(_, state)| state == "parked").count(),
        parked.len(),
        "{states:?}"
    );
    for event in &ignored {
        let id = id_of(event);
        assert!(
            states.contains(&(id.clone(), "ignored".to_owned())),
            "{id}: {states:?}"
        );
    }
    assert_eq!(
        app.transaction(&alice, &deposit).await["status"],
        "PROCESSING",
        "nobody was credited"
    );
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    // Processed again by their names, those that do not say what they are wait for a person again.
    let nameless = "SELECT id FROM stripe_events WHERE id LIKE 'sha256:%' OR type IS NULL";
    let nameless = app.db.rows(nameless, &[]).await;
    assert_eq!(nameless.len(), 4);
    for row in &nameless {
        let which = inbox::Replay {
            id: Some(row.get(0)),
            ..inbox::Replay::default()
        };
        let conn = &mut app.db.pool().await.conn().await.unwrap();
        inbox::replay(conn, &which, app.clock.now()).await.unwrap();
    }
    app.at_rest().await;
    let sorted = |mut all: Vec<(String, String)>| {
        all.sort();
        all
    };
    assert_eq!(sorted(events(&app).await), sorted(states));
    app.finish_with(Leftovers {
        alarms: &["event_parked"; 12],
        ..Leftovers::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_bodies_with_one_id_the_first_counts_and_a_person_is_told() {
    let app = TestApp::start().await;
    let event = |pending: u64, more: &str| json!({ "id": "evt_1twice", "type": "customer.updated", "livemode": false, "pending_webhooks": pending, "data": { "object": { "name": more } } });
    for (pending, name) in [(2, "A"), (1, "A"), (1, "B")] {
        assert_eq!(app.deliver_signed(&event(pending, name)).await, 200);
    }
    assert_eq!(events(&app).await.len(), 1);
    app.finish_with(Leftovers {
        alarms: &["event_body_differs"],
        ..Leftovers::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_another_account_settles_nobodys_withdrawal() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(5_000).await;
    let (_, _) = app.payee(0).await;
    let withdrawal = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "50.00" }))
            .await
            .data(),
    );
    app.at_stage(&withdrawal, "paying_out").await;
    // A payout of another connected account, which carries the withdrawal's id in its metadata.
    let accounts = app.stripe.get("/v1/accounts?limit=10").await;
    let payout = app
        .db
        .value::<String>(
            "SELECT stripe_payout_id FROM wallet_transactions WHERE stage = 'paying_out'",
            &[],
        )
        .await;
    let hers = app
        .db
        .value::<String>(
            "SELECT stripe_account_id FROM wallet_transactions WHERE stage = 'paying_out'",
            &[],
        )
        .await;
    let other = accounts["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(id_of)
        .find(|id| *id != hers)
        .unwrap();
    app.stripe
        .control("balance/top_up", json!({ "amount": 5_000, "account": other }))
        .await;
    let params = [
        ("amount", "5000"),
        ("currency", "usd"),
        ("metadata[transaction_id]", withdrawal.as_str()),
    ];
    let foreign = app.stripe.form_as(&other, "/v1/payouts", &params).await;
    app.stripe
        .control(
            &format!("payouts/{}", id_of(&foreign)),
            json!({ "status": "in_transit" }),
        )
        .await;
    app.stripe
        .control(
            &format!("payouts/{}", id_of(&foreign)),
            json!({ "status": "paid" }),
        )
        .await;
    eventually("the foreign event to come", async || {
        app.db
            .count(&format!(
                "stripe_events WHERE object_id = '{}' AND state = 'ignored' AND type = 'payout.paid'",
                id_of(&foreign)
            ))
            .await
            == 1
    })
    .await;
    assert_eq!(app.transaction(&alice, &withdrawal).await["status"], "PROCESSING");
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "in_transit" }))
        .await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "paid" }))
        .await;
    app.completed(&alice, &withdrawal).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.at_rest().await;
    // The planted payout is in the effect log under the withdrawal's id, so that log is not compared here.
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_of_events_is_stored_whole_before_it_is_worked_on() {
    let mut app = TestApp::with_workers(0).await;
    let app_ = &app;
    join_all((0..150).map(|n| async move {
        let event = json!({ "id": format!("evt_1wave{n}"), "type": "customer.updated", "livemode": false, "data": { "object": {} } });
        // As Stripe does: what is answered with 503 is sent again.
        until("the event to be taken", async || {
            let status = app_.deliver_signed(&event).await;
            assert!(matches!(status, 200 | 503), "{status}");
            (status == 200).then_some(())
        })
        .await;
    }))
    .await;
    assert_eq!(app.db.count("stripe_events WHERE state = 'received'").await, 150);
    app.start_worker();
    app.at_rest().await;
    assert_eq!(app.db.count("stripe_events WHERE state = 'ignored'").await, 150);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_events_can_be_processed_again_and_change_nothing_twice() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 2_500, "pm_card_visa").await;
    app.at_rest().await;
    let which = inbox::Replay {
        event_type: Some("payment_intent.*".to_owned()),
        state: Some(inbox::EventState::Processed),
        ..inbox::Replay::default()
    };
    let replayed = {
        let conn = &mut app.db.pool().await.conn().await.unwrap();
        inbox::replay(conn, &which, app.clock.now()).await.unwrap()
    };
    assert!(!replayed.is_empty());
    app.at_rest().await;
    assert_eq!(
        app.db.count("stripe_events WHERE state = 'received'").await,
        0,
        "processed again"
    );
    app.completed(&alice, &deposit).await;
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    app.finish().await;
}
