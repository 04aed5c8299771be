//! Webhooks as an endpoint receives them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;

use super::super::webhooks::signature;
use super::*;

/// An endpoint that refuses the first `refusals` webhooks.
#[derive(Clone, Default)]
struct Endpoint {
    received: Arc<Mutex<Vec<(String, Value)>>>,
    refusals: Arc<Mutex<u32>>,
}

impl Endpoint {
    async fn start(stripe: &Fixture, refusals: u32) -> Self {
        let endpoint = Self {
            refusals: Arc::new(Mutex::new(refusals)),
            ..Self::default()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/wallet/webhook", listener.local_addr().unwrap());
        let app = Router::new()
            .route("/wallet/webhook", post(receive))
            .with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let target =
            json!({ "url": url, "platform_secret": "whsec_platform", "connect_secret": "whsec_connect" });
        stripe.control("webhook", target).await;
        endpoint
    }

    fn types(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        received
            .iter()
            .map(|(_, event)| event["type"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn wait_for(&self, count: usize) -> Vec<(String, Value)> {
        for _ in 0..300 {
            if self.received.lock().unwrap().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let received = self.received.lock().unwrap().clone();
        assert_eq!(received.len(), count, "{:?}", self.types());
        received
    }
}

async fn receive(
    State(endpoint): State<Endpoint>,
    headers: HeaderMap,
    body: Bytes,
) -> axum::http::StatusCode {
    let header = headers["stripe-signature"].to_str().unwrap().to_owned();
    let event: Value = serde_json::from_slice(&body).unwrap();
    let timestamp: i64 = header
        .strip_prefix("t=")
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let secret = if event["account"].is_string() {
        "whsec_connect"
    } else {
        "whsec_platform"
    };
    let valid = header == signature(secret, timestamp, &body);
    let mut refusals = endpoint.refusals.lock().unwrap();
    if *refusals > 0 {
        *refusals -= 1;
        return axum::http::StatusCode::SERVICE_UNAVAILABLE;
    }
    endpoint
        .received
        .lock()
        .unwrap()
        .push((if valid { "valid" } else { "invalid" }.to_owned(), event));
    axum::http::StatusCode::OK
}

/// <https://docs.stripe.com/webhooks#verify-manually>
#[tokio::test]
async fn events_are_signed_with_the_secret_of_their_side() {
    let stripe = Fixture::new().await;
    let endpoint = Endpoint::start(&stripe, 0).await;
    stripe.post("/v1/customers", &[]).await.ok();
    let account = stripe.account().await;
    stripe
        .control(
            &format!("accounts/{account}"),
            json!({ "payouts_enabled": false }),
        )
        .await;
    let received = endpoint.wait_for(2).await;
    assert!(received.iter().all(|(signature, _)| signature == "valid"));
    assert!(
        received
            .iter()
            .any(|(_, event)| event["account"] == account.as_str())
    );
    let customer = received
        .iter()
        .find(|(_, event)| event["type"] == "customer.created")
        .unwrap();
    assert_eq!(customer.1["data"]["object"]["object"], "customer");
    assert!(customer.1["request"]["id"].as_str().unwrap().starts_with("req_"));
}

/// <https://docs.stripe.com/webhooks>
#[tokio::test]
async fn a_refused_webhook_is_sent_again_until_it_is_accepted() {
    let stripe = Fixture::new().await;
    stripe
        .control("settings", json!({ "webhook_retry_base_ms": 20 }))
        .await;
    let endpoint = Endpoint::start(&stripe, 3).await;
    stripe.post("/v1/customers", &[]).await.ok();
    let undelivered = stripe.get("/v1/events?delivery_success=false").await.ok();
    assert_eq!(undelivered["data"].as_array().unwrap().len(), 1);
    endpoint.wait_for(1).await;
    let undelivered = stripe.get("/v1/events?delivery_success=false").await.ok();
    assert!(undelivered["data"].as_array().unwrap().is_empty());
    let attempts = stripe.get("/_control/deliveries").await.ok();
    let statuses: Vec<&Value> = attempts
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| &attempt["status"])
        .collect();
    assert_eq!(statuses, [503, 503, 503, 200]);
}

/// <https://docs.stripe.com/webhooks>
#[tokio::test]
async fn a_webhook_that_nobody_took_for_three_days_is_given_up() {
    let stripe = Fixture::new().await;
    stripe
        .control(
            "webhook",
            json!({ "url": "http://127.0.0.1:1/nobody", "platform_secret": "whsec_1" }),
        )
        .await;
    stripe.post("/v1/customers", &[]).await.ok();
    tokio::time::sleep(Duration::from_millis(100)).await;
    stripe
        .control("clock", json!({ "advance_seconds": 4 * 86_400 }))
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let events = stripe.get("/v1/events?delivery_success=false").await.ok();
    assert_eq!(events["data"][0]["pending_webhooks"], 0);
    assert_eq!(stripe.get("/_control/state").await.ok()["timers"], 0);
}

#[tokio::test]
async fn webhooks_can_be_doubled_dropped_delayed_and_shuffled() {
    let stripe = Fixture::new().await;
    let endpoint = Endpoint::start(&stripe, 0).await;
    stripe
        .control(
            "webhook_faults",
            json!({ "event": "payment_intent.succeeded", "duplicate": 9 }),
        )
        .await;
    stripe
        .control("webhook_faults", json!({ "event": "charge.*", "drop": true }))
        .await;
    stripe
        .control(
            "webhook_faults",
            json!({ "event": "payment_intent.created", "delay_ms": 150 }),
        )
        .await;
    stripe.paid("1000", "pm_card_visa").await;
    endpoint.wait_for(11).await;
    assert_eq!(
        endpoint.types().last().unwrap(),
        "payment_intent.created",
        "the delayed one comes last"
    );
    let lost = stripe.get("/v1/events?delivery_success=false").await.ok();
    assert_eq!(
        (&lost["data"][0]["type"], lost["data"].as_array().unwrap().len()),
        (&json!("charge.succeeded"), 1)
    );
    stripe
        .control(
            &format!("events/{}/resend", lost["data"][0]["id"].as_str().unwrap()),
            json!({}),
        )
        .await;
    endpoint.wait_for(12).await;
}

#[tokio::test]
async fn any_event_can_be_made_and_a_bad_signature_ordered() {
    let stripe = Fixture::new().await;
    let endpoint = Endpoint::start(&stripe, 0).await;
    stripe
        .control(
            "webhook_faults",
            json!({ "event": "new.*", "bad_signature": true }),
        )
        .await;
    stripe
        .control(
            "events",
            json!({ "type": "new.thing", "object": { "object": "thing", "id": "th_1" } }),
        )
        .await;
    let received = endpoint.wait_for(1).await;
    assert_eq!(
        (received[0].0.as_str(), &received[0].1["data"]["object"]["id"]),
        ("invalid", &json!("th_1"))
    );
}

#[tokio::test]
async fn a_webhook_arrives_before_a_delayed_answer() {
    let stripe = Fixture::new().await;
    let endpoint = Endpoint::start(&stripe, 0).await;
    stripe
        .control(
            "faults",
            json!({ "operation": "customers.create", "answer_delay_ms": 300 }),
        )
        .await;
    let (answer, early) = tokio::join!(stripe.post("/v1/customers", &[]), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        endpoint.types()
    });
    answer.ok();
    assert_eq!(early, ["customer.created"]);
}

/// <https://docs.stripe.com/webhooks#event-ordering>
#[tokio::test]
async fn reordered_webhooks_all_arrive_but_in_another_order() {
    let stripe = Fixture::new().await;
    let endpoint = Endpoint::start(&stripe, 0).await;
    stripe
        .control(
            "webhook_faults",
            json!({ "event": "customer.created", "reorder_ms": 300 }),
        )
        .await;
    let mut made = Vec::new();
    for _ in 0..20 {
        made.push(stripe.post("/v1/customers", &[]).await.ok()["id"].clone());
    }
    let received = endpoint.wait_for(20).await;
    let mut arrived: Vec<Value> = received
        .iter()
        .map(|(_, event)| event["data"]["object"]["id"].clone())
        .collect();
    assert_ne!(arrived, made);
    arrived.sort_by_key(Value::to_string);
    made.sort_by_key(Value::to_string);
    assert_eq!(arrived, made);
}

/// <https://docs.stripe.com/api/webhook_endpoints/object>
#[tokio::test]
async fn an_endpoint_gets_only_the_events_it_wants() {
    let stripe = Fixture::new().await;
    let endpoint = Endpoint::start(&stripe, 0).await;
    let mut target = stripe.get("/_control/webhook").await.ok();
    target["enabled_events"] = json!(["payment_intent.*"]);
    stripe.control("webhook", target).await;
    stripe.paid("1000", "pm_card_visa").await;
    endpoint.wait_for(2).await;
    let undelivered = stripe.get("/v1/events?delivery_success=false").await.ok();
    assert!(
        undelivered["data"].as_array().unwrap().is_empty(),
        "the unwanted one was never to be sent"
    );
}
