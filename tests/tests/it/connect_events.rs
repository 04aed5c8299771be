//! What arrives at a Connect endpoint and is about nothing of this system is ignored and counted, without an alarm.

use serde_json::{Value, json};
use wallet_core::clock::Clock;
use wallet_core::inbox::{self, EventState, Replay};
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::{TestApp, eventually};

async fn state_of(app: &TestApp, id: &str) -> Option<String> {
    let state = "SELECT max(state::text) FROM stripe_events WHERE id = $1";
    app.db.value(state, &[&id]).await
}

/// A live Connect endpoint gets its accounts' test events too (<https://docs.stripe.com/connect/webhooks>); here the modes are reversed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_the_other_mode_is_ignored_from_a_connected_account_and_an_alarm_from_the_platform() {
    let app = TestApp::start().await;
    let (_, wallet) = app.payee(0).await;
    let account = app.account_of(&wallet).await;
    for (n, kind) in [
        "payment_intent.succeeded",
        "payout.paid",
        "account.updated",
        "of.tomorrow",
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("evt_1other{n}");
        let event = json!({
            "id": id, "object": "event", "type": kind, "livemode": true, "account": account,
            "data": { "object": { "id": format!("x_1{n}"), "object": "x" } },
        });
        assert_eq!(app.deliver_signed(&event).await, 200);
        assert_eq!(state_of(&app, &id).await.as_deref(), Some("ignored"), "{kind}");
    }
    assert_eq!(app.alarms().await, Vec::<String>::new());
    let ours = json!({ "id": "evt_1ours", "object": "event", "type": "payout.paid", "livemode": true, "data": { "object": { "id": "po_1" } } });
    assert_eq!(app.deliver_signed(&ours).await, 200);
    assert_eq!(state_of(&app, "evt_1ours").await.as_deref(), Some("parked"));
    app.finish_with(Leftovers {
        alarms: &["event_parked"],
        ..Leftovers::default()
    })
    .await;
}

/// An account that is also used for a shop of its own (<https://docs.stripe.com/connect/direct-charges>) sends events of its payments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_of_connected_accounts_are_ignored_without_an_alarm() {
    let app = TestApp::start().await;
    let (_, wallet) = app.payee(0).await;
    let account = app.account_of(&wallet).await;
    let objects: [(&str, Value); 6] = [
        (
            "payment_intent.succeeded",
            json!({ "id": "pi_1theirs", "object": "payment_intent" }),
        ),
        (
            "charge.succeeded",
            json!({ "id": "ch_1theirs", "object": "charge" }),
        ),
        (
            "charge.refunded",
            json!({ "id": "ch_1theirs", "object": "charge" }),
        ),
        (
            "refund.created",
            json!({ "id": "re_1theirs", "object": "refund" }),
        ),
        (
            "charge.dispute.created",
            json!({ "id": "du_1theirs", "object": "dispute" }),
        ),
        (
            "transfer.created",
            json!({ "id": "tr_1theirs", "object": "transfer" }),
        ),
    ];
    for (n, (kind, object)) in objects.iter().enumerate() {
        let event = json!({
            "id": format!("evt_1theirs{n}"), "object": "event", "type": kind, "livemode": false, "account": account,
            "data": { "object": object },
        });
        assert_eq!(app.deliver_signed(&event).await, 200);
    }
    for (n, (kind, _)) in objects.iter().enumerate() {
        eventually(kind, async || {
            state_of(&app, &format!("evt_1theirs{n}")).await.as_deref() == Some("ignored")
        })
        .await;
    }
    app.finish().await;
}

/// An event that an operator has processed again is still of the other mode: its objects do not belong to this one, whatever their ids are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_events_of_the_other_mode_end_as_they_did_and_settle_nothing() {
    let mut app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(1_000).await;
    let account = app.account_of(&wallet).await;
    let paid = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    app.at_stage(&paid, "paying_out").await;
    let payout = app.stripe_id(&paid, "stripe_payout_id").await;
    app.at_rest().await;
    // The payout has arrived, and nobody but the events of the other mode says so.
    app.stripe
        .control("webhook_faults", json!({ "event": "*", "drop": true }))
        .await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "paid" }))
        .await;
    let event = |id: &str, kind: &str, account: Option<&str>, object: &str| {
        let mut event = json!({
            "id": id, "object": "event", "type": kind, "livemode": true, "data": { "object": { "id": object, "object": "x" } },
        });
        if let Some(account) = account {
            event["account"] = json!(account);
        }
        event
    };
    for (id, kind, of, object) in [
        (
            "evt_1otherpaid",
            "payout.paid",
            Some(account.as_str()),
            payout.as_str(),
        ),
        (
            "evt_1otherfailed",
            "payout.failed",
            Some(account.as_str()),
            payout.as_str(),
        ),
        (
            "evt_1otheraccount",
            "account.updated",
            Some(account.as_str()),
            account.as_str(),
        ),
        ("evt_1ourpaid", "payment_intent.succeeded", None, "pi_1other"),
    ] {
        assert_eq!(app.deliver_signed(&event(id, kind, of, object)).await, 200);
    }
    for state in [EventState::Ignored, EventState::Parked] {
        let which = Replay {
            state: Some(state),
            ..Replay::default()
        };
        let conn = &mut app.db.pool().await.conn().await.unwrap();
        assert!(
            !inbox::replay(conn, &which, app.clock.now())
                .await
                .unwrap()
                .is_empty()
        );
    }
    app.at_rest().await;
    for (id, ended) in [
        ("evt_1otherpaid", "ignored"),
        ("evt_1otherfailed", "ignored"),
        ("evt_1otheraccount", "ignored"),
        ("evt_1ourpaid", "parked"),
    ] {
        assert_eq!(state_of(&app, id).await.as_deref(), Some(ended), "{id}");
    }
    app.stop_workers().await;
    assert_eq!(app.transaction(&alice, &paid).await["status"], "PROCESSING");
    assert_eq!(
        app.db
            .count("alarms WHERE kind = 'event_parked' AND subject = 'evt_1ourpaid' AND closed_at IS NULL")
            .await,
        1,
        "raised anew"
    );
    app.abandon().await;
}
