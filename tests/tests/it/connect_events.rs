//! What comes to a Connect endpoint and is none of ours: ignored and counted, without an alarm.

use serde_json::{Value, json};
use wallet_tests::app::Leftovers;
use wallet_tests::{TestApp, eventually};

async fn state_of(app: &TestApp, id: &str) -> Option<String> {
    let state = "SELECT max(state::text) FROM stripe_events WHERE id = $1";
    app.db.value(state, &[&id]).await
}

/// A live Connect endpoint gets its accounts' test events too (<https://docs.stripe.com/connect/webhooks>); here the modes are the other way round.
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

/// An account that is also used for a shop of its own (<https://docs.stripe.com/connect/direct-charges>) tells of its payments.
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
