//! Faults that tests order.

use super::*;

const FORM: [(&str, &str); 5] = [
    ("amount", "1000"),
    ("currency", "usd"),
    ("confirm", "true"),
    ("payment_method", "pm_card_visa"),
    ("payment_method_types[]", "card"),
];

impl Fixture {
    async fn pay(&self, key: &str) -> Result<reqwest::Response, reqwest::Error> {
        let request = self.request(Method::POST, "/v1/payment_intents").form(&FORM);
        request
            .header("idempotency-key", key)
            .timeout(Duration::from_millis(500))
            .send()
            .await
    }

    async fn order(&self, outcome: &str) {
        self.control(
            "faults",
            json!({ "method": "POST", "path": "/v1/payment_intents", "nth": 1, "outcome": outcome }),
        )
        .await;
    }

    async fn payments(&self) -> usize {
        self.effects("payment_intent.succeed").await.len()
    }
}

#[tokio::test]
async fn an_answer_lost_after_the_effect_is_found_again_by_the_same_key() {
    for outcome in ["drop_after", "hang_after"] {
        let stripe = Fixture::new().await;
        stripe.order(outcome).await;
        let lost = stripe.pay("k").await.unwrap_err();
        assert_eq!(lost.is_timeout(), outcome == "hang_after", "{outcome}: {lost:?}");
        assert_eq!(stripe.payments().await, 1, "{outcome}");
        let again = stripe.pay("k").await.unwrap();
        assert_eq!(
            (again.status().as_u16(), &again.headers()["idempotent-replayed"]),
            (200, &"true".parse().unwrap())
        );
        assert_eq!(stripe.payments().await, 1, "{outcome}");
    }
}

#[tokio::test]
async fn a_request_lost_before_the_effect_has_none() {
    for outcome in ["drop_before", "hang_before"] {
        let stripe = Fixture::new().await;
        stripe.order(outcome).await;
        stripe.pay("k").await.unwrap_err();
        assert_eq!(stripe.payments().await, 0, "{outcome}");
        assert_eq!(stripe.pay("k").await.unwrap().status(), 200);
    }
}

/// <https://docs.stripe.com/api/idempotent_requests>, <https://docs.stripe.com/error-low-level>
#[tokio::test]
async fn a_500_is_stored_with_and_without_the_effect() {
    for (outcome, effects) in [("error_500", 0), ("error_500_after_effect", 1)] {
        let stripe = Fixture::new().await;
        stripe.order(outcome).await;
        for _ in 0..3 {
            assert_eq!(stripe.pay("k").await.unwrap().status(), 500, "{outcome}");
        }
        assert_eq!(stripe.payments().await, effects, "{outcome}");
    }
}

/// <https://docs.stripe.com/rate-limits>, <https://docs.stripe.com/rate-limits#object-lock-timeouts>
#[tokio::test]
async fn refusals_by_rate_lock_and_outage_are_not_stored() {
    let cases = [
        ("rate_limit", 429, "rate_limit"),
        ("lock_timeout", 429, "lock_timeout"),
        ("key_in_use", 409, "idempotency_key_in_use"),
        ("error_500_unsaved", 500, ""),
        ("error_503", 503, ""),
    ];
    for (outcome, status, code) in cases {
        let stripe = Fixture::new().await;
        stripe.order(outcome).await;
        let refused = stripe.pay("k").await.unwrap();
        assert_eq!(refused.status().as_u16(), status);
        let body: Value = refused.json().await.unwrap();
        assert_eq!(body["error"]["code"].as_str().unwrap_or_default(), code);
        assert_eq!(
            (
                stripe.payments().await,
                stripe.pay("k").await.unwrap().status().as_u16()
            ),
            (0, 200),
            "{outcome}"
        );
    }
}

#[tokio::test]
async fn an_outage_refuses_connections_and_ends() {
    let stripe = Fixture::new().await;
    stripe.control("outage", json!({ "ms": 400 })).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    let refused = stripe.pay("k").await.unwrap_err();
    assert!(!refused.is_timeout(), "{refused:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stripe.pay("k").await.unwrap().status(), 200);
    assert_eq!(stripe.payments().await, 1);
}

#[tokio::test]
async fn a_rule_is_listed_with_its_counters_and_can_be_called_off() {
    let stripe = Fixture::new().await;
    let rule = stripe
        .control(
            "faults",
            json!({ "operation": "payment_intents.*", "outcome": "error_503" }),
        )
        .await;
    assert_eq!(stripe.pay("k").await.unwrap().status(), 503);
    let listed = stripe.get("/_control/faults").await.ok();
    assert_eq!(
        (&listed[0]["hit"], &listed[0]["outcome"]),
        (&json!(1), &json!("error_503"))
    );
    let path = format!("/_control/faults/{}", rule["id"]);
    stripe.send(stripe.request(Method::DELETE, &path)).await.ok();
    assert_eq!(stripe.pay("k").await.unwrap().status(), 200);
    let misspelt = stripe
        .request(Method::POST, "/_control/faults")
        .json(&json!({ "outcom": "error_503" }));
    assert_eq!(stripe.send(misspelt).await.status, 400);
}

#[tokio::test]
async fn a_client_that_gives_up_does_not_stop_the_work() {
    let stripe = Fixture::new().await;
    stripe
        .control(
            "faults",
            json!({ "nth": 1, "latency_ms": 700, "path": "/v1/payment_intents" }),
        )
        .await;
    assert!(stripe.pay("k").await.unwrap_err().is_timeout());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(stripe.payments().await, 1);
}

#[tokio::test]
async fn a_reset_forgets_everything_but_the_settings() {
    let stripe = Fixture::new().await;
    stripe.pay("k").await.unwrap();
    let state = stripe.control("reset", json!({})).await;
    assert_eq!(
        (&state["payment_intents"], &state["effects"], &state["events"]),
        (&json!(0), &json!(0), &json!(0))
    );
    assert_eq!(stripe.get("/_control/settings").await.ok()["fee_fixed"], 0);
}

#[tokio::test]
async fn the_simulator_stops_also_when_a_request_hangs() {
    let stripe = Fixture::new().await;
    stripe.order("hang_before").await;
    let Fixture { simulator, client } = stripe;
    let hanging = client
        .post(format!("{}/v1/payment_intents", simulator.url()))
        .form(&FORM)
        .send();
    let hanging = tokio::spawn(hanging);
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::timeout(Duration::from_secs(3), simulator.shutdown())
        .await
        .unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(1), hanging)
        .await
        .unwrap()
        .unwrap();
    ended.unwrap_err();
}

/// What refuses more than a call: a key that has expired, a restricted key without a permission (which has no code), and an account that gives
/// an application less than it asks for (<https://docs.stripe.com/error-codes>, <https://docs.stripe.com/keys/restricted-api-keys>).
#[tokio::test]
async fn refusals_of_a_key_of_a_kind_of_object_and_of_an_account_are_told_apart() {
    let stripe = Fixture::new().await;
    for (outcome, status, code) in [
        ("error_401", 401, None),
        ("error_401_expired", 401, Some("api_key_expired")),
        ("error_403", 403, None),
        (
            "error_403_account",
            403,
            Some("more_permissions_required_for_application"),
        ),
    ] {
        stripe
            .control("faults", json!({ "nth": 1, "outcome": outcome }))
            .await;
        let refused = stripe.get("/v1/balance").await;
        assert_eq!(refused.status.as_u16(), status, "{outcome}");
        assert_eq!(refused.body["error"]["code"].as_str(), code, "{outcome}");
        assert_eq!(refused.error("type"), "invalid_request_error");
        stripe.get("/v1/balance").await.ok();
    }
}
