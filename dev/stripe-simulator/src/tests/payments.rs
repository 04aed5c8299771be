//! Customers, payment intents and paging.

use super::*;

#[tokio::test]
async fn a_customer_keeps_its_metadata_and_can_be_changed_and_listed() {
    let stripe = Fixture::new().await;
    let made = stripe
        .post(
            "/v1/customers",
            &[("email", "a@example.com"), ("metadata[user_id]", "u1")],
        )
        .await
        .ok();
    let path = format!("/v1/customers/{}", made["id"].as_str().unwrap());
    stripe
        .post(&path, &[("name", "Ada"), ("metadata[plan]", "gold")])
        .await
        .ok();
    let read = stripe.get(&path).await.ok();
    assert_eq!(read["metadata"], json!({ "user_id": "u1", "plan": "gold" }));
    assert_eq!(read["name"], "Ada");
    let listed = stripe.get("/v1/customers?email=a@example.com").await.ok();
    assert_eq!(listed["data"][0]["id"], made["id"]);
    assert_eq!(
        stripe.event_types(None).await,
        ["customer.created", "customer.updated"]
    );
    assert_eq!(stripe.effects("customer.create").await.len(), 1);
}

#[tokio::test]
async fn a_server_side_payment_succeeds_and_its_money_is_available() {
    let stripe = Fixture::new().await;
    let intent = stripe.paid("12345", "pm_card_visa").await;
    assert_eq!(intent["status"], "succeeded");
    assert_eq!(intent["amount_received"], 12_345);
    assert_eq!(stripe.available(None).await, 12_345);
    let charge = stripe
        .get(&format!(
            "/v1/charges/{}",
            intent["latest_charge"].as_str().unwrap()
        ))
        .await
        .ok();
    assert_eq!(charge["payment_intent"], intent["id"]);
    assert_eq!(
        stripe.event_types(None).await,
        [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.succeeded"
        ]
    );
    let effects = stripe.effects("payment_intent.succeed").await;
    assert_eq!(effects.len(), 1);
    assert_eq!(effects[0]["platform_change"], 12_345);
}

#[tokio::test]
async fn stripe_s_fee_leaves_the_net_amount() {
    let stripe = Fixture::new().await;
    stripe
        .control("settings", json!({ "fee_basis_points": 290, "fee_fixed": 30 }))
        .await;
    let intent = stripe.paid("10000", "pm_card_visa").await;
    let path = format!(
        "/v1/payment_intents/{}?expand[]=latest_charge.balance_transaction",
        intent["id"].as_str().unwrap()
    );
    let transaction = stripe.get(&path).await.ok()["latest_charge"]["balance_transaction"].clone();
    assert_eq!(
        (&transaction["fee"], &transaction["net"]),
        (&json!(320), &json!(9_680))
    );
    assert_eq!(stripe.available(None).await, 9_680);
}

#[tokio::test]
async fn pending_money_becomes_available_when_the_clock_moves() {
    let stripe = Fixture::new().await;
    stripe
        .control("settings", json!({ "card_pending_ms": 2 * 86_400_000_u64 }))
        .await;
    stripe.paid("5000", "pm_card_visa").await;
    assert_eq!(stripe.available(None).await, 0);
    stripe.paid("700", "pm_card_bypassPending").await;
    assert_eq!(stripe.available(None).await, 700);
    stripe
        .control("clock", json!({ "advance_seconds": 2 * 86_400 }))
        .await;
    assert_eq!(stripe.available(None).await, 5_700);
    assert!(
        stripe
            .event_types(None)
            .await
            .contains(&"balance.available".to_owned())
    );
}

/// <https://docs.stripe.com/api/errors>
#[tokio::test]
async fn a_decline_is_a_402_that_shows_the_intent_and_the_intent_can_still_succeed() {
    let stripe = Fixture::new().await;
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_chargeDeclinedInsufficientFunds"),
        ("payment_method_types[]", "card"),
    ];
    let refused = stripe.post("/v1/payment_intents", &form).await;
    assert_eq!(refused.status, 402);
    assert_eq!(
        (refused.error("type"), refused.error("code")),
        ("card_error", "card_declined")
    );
    assert_eq!(refused.error("decline_code"), "insufficient_funds");
    let intent = &refused.body["error"]["payment_intent"];
    assert_eq!(intent["status"], "requires_payment_method");
    assert_eq!(intent["last_payment_error"]["decline_code"], "insufficient_funds");
    let id = intent["id"].as_str().unwrap();
    let paid = stripe
        .post(
            &format!("/v1/payment_intents/{id}/confirm"),
            &[("payment_method", "pm_card_visa")],
        )
        .await
        .ok();
    assert_eq!(paid["status"], "succeeded");
    assert_eq!(paid["last_payment_error"], Value::Null);
}

/// <https://docs.stripe.com/error-codes>
#[tokio::test]
async fn off_session_authentication_is_a_decline_and_on_session_a_question() {
    let stripe = Fixture::new().await;
    let mut form = vec![
        ("amount", "1000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_authenticationRequired"),
        ("payment_method_types[]", "card"),
    ];
    let asked = stripe.post("/v1/payment_intents", &form).await.ok();
    assert_eq!(asked["status"], "requires_action");
    let path = format!("payment_intents/{}/authenticate", asked["id"].as_str().unwrap());
    assert_eq!(stripe.control(&path, json!({})).await["status"], "succeeded");

    form.push(("off_session", "true"));
    let refused = stripe.post("/v1/payment_intents", &form).await;
    assert_eq!(
        (refused.status.as_u16(), refused.error("code")),
        (402, "authentication_required")
    );
    let id = refused.body["error"]["payment_intent"]["id"].as_str().unwrap();
    let paid = stripe
        .control(
            &format!("payment_intents/{id}/confirm"),
            json!({ "payment_method": "pm_card_authenticationRequired" }),
        )
        .await;
    assert_eq!(paid["status"], "succeeded");
}

#[tokio::test]
async fn a_client_confirms_with_the_publishable_key_and_the_client_secret() {
    let stripe = Fixture::new().await;
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("payment_method_types[]", "card"),
        ("metadata[a]", "b"),
    ];
    let intent = stripe.post("/v1/payment_intents", &form).await.ok();
    let path = format!(
        "{}/v1/payment_intents/{}/confirm",
        stripe.simulator.url(),
        intent["id"].as_str().unwrap()
    );
    let confirm = |secret: &str| {
        let form = [
            ("client_secret", secret.to_owned()),
            ("payment_method", "pm_card_visa".to_owned()),
        ];
        stripe.client.post(&path).bearer_auth("pk_test_1").form(&form)
    };
    assert_eq!(stripe.send(confirm("pi_1_secret_2")).await.status, 400);
    let paid = stripe
        .send(confirm(intent["client_secret"].as_str().unwrap()))
        .await
        .ok();
    assert_eq!(paid["status"], "succeeded");
    assert_eq!(
        paid["metadata"],
        Value::Null,
        "a client does not see the platform's metadata"
    );
    let create = stripe
        .client
        .post(format!("{}/v1/payment_intents", stripe.simulator.url()))
        .bearer_auth("pk_test_1");
    assert_eq!(stripe.send(create.form(&form)).await.status, 403);
}

/// <https://docs.stripe.com/payments/bank-debits>
#[tokio::test]
async fn a_bank_debit_is_processing_first_and_then_ends_as_its_bank_says() {
    let stripe = Fixture::new().await;
    let pay = |method| {
        let form = [
            ("amount", "2000"),
            ("currency", "usd"),
            ("confirm", "true"),
            ("payment_method", method),
            ("payment_method_types[]", "us_bank_account"),
        ];
        let stripe = &stripe;
        async move {
            let intent = stripe.post("/v1/payment_intents", &form).await.ok();
            assert_eq!(intent["status"], "processing");
            format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap())
        }
    };
    let good = pay("pm_usBankAccount_success").await;
    stripe.until(None, &good, "status", "succeeded").await;
    let bad = pay("pm_usBankAccount_insufficientFunds").await;
    let failed = stripe
        .until(None, &bad, "status", "requires_payment_method")
        .await;
    assert_eq!(failed["last_payment_error"]["code"], "insufficient_funds");
    let stays = pay("pm_usBankAccount_processing").await;
    assert_eq!(
        stripe.post(&format!("{stays}/cancel"), &[]).await.error("code"),
        "payment_intent_unexpected_state"
    );
    let id = stays.rsplit('/').next().unwrap();
    let settled = stripe
        .control(
            &format!("payment_intents/{id}/settle"),
            json!({ "succeeds": false }),
        )
        .await;
    assert_eq!(settled["status"], "requires_payment_method");
    assert_eq!(stripe.available(None).await, 2_000);
}

/// <https://docs.stripe.com/api/payment_intents/cancel>
#[tokio::test]
async fn a_succeeded_intent_cannot_be_cancelled_and_a_cancelled_one_not_confirmed() {
    let stripe = Fixture::new().await;
    let paid = stripe.paid("1000", "pm_card_visa").await;
    let refused = stripe
        .post(
            &format!("/v1/payment_intents/{}/cancel", paid["id"].as_str().unwrap()),
            &[],
        )
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.error("code")),
        (400, "payment_intent_unexpected_state")
    );
    assert_eq!(refused.body["error"]["payment_intent"]["status"], "succeeded");

    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("payment_method_types[]", "card"),
    ];
    let intent = stripe.post("/v1/payment_intents", &form).await.ok();
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    assert_eq!(
        stripe.post(&format!("{path}/cancel"), &[]).await.ok()["status"],
        "canceled"
    );
    let refused = stripe
        .post(&format!("{path}/confirm"), &[("payment_method", "pm_card_visa")])
        .await;
    assert_eq!(refused.error("code"), "payment_intent_unexpected_state");
    assert_eq!(stripe.available(None).await, 1_000);
}

#[tokio::test]
async fn a_manual_capture_takes_the_money_when_it_is_captured() {
    let stripe = Fixture::new().await;
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("capture_method", "manual"),
        ("payment_method", "pm_card_visa"),
        ("payment_method_types[]", "card"),
    ];
    let held = stripe.post("/v1/payment_intents", &form).await.ok();
    assert_eq!(
        (held["status"].as_str(), held["amount_capturable"].as_i64()),
        (Some("requires_capture"), Some(1_000))
    );
    assert_eq!(stripe.available(None).await, 0);
    let path = format!("/v1/payment_intents/{}/capture", held["id"].as_str().unwrap());
    assert_eq!(
        stripe.post(&path, &[("amount_to_capture", "600")]).await.ok()["amount_received"],
        600
    );
    assert_eq!(stripe.available(None).await, 600);
}

/// <https://docs.stripe.com/error-codes>
#[tokio::test]
async fn wrong_parameters_are_refused_as_stripe_refuses_them() {
    let stripe = Fixture::new().await;
    let cases: [(Form<'_>, &str, &str); 7] = [
        (&[("currency", "usd")], "parameter_missing", "amount"),
        (
            &[("amount", "49"), ("currency", "usd")],
            "amount_too_small",
            "amount",
        ),
        (
            &[("amount", "100000000"), ("currency", "usd")],
            "amount_too_large",
            "amount",
        ),
        (
            &[("amount", "1.5"), ("currency", "usd")],
            "parameter_invalid_integer",
            "amount",
        ),
        (
            &[("amount", "100"), ("currency", "usd"), ("colour", "red")],
            "parameter_unknown",
            "colour",
        ),
        (
            &[("amount", "100"), ("currency", "usd"), ("customer", "cus_1")],
            "resource_missing",
            "customer",
        ),
        (&[("amount", "100"), ("currency", "xyz")], "", "currency"),
    ];
    for (form, code, param) in cases {
        let refused = stripe.post("/v1/payment_intents", form).await;
        assert_eq!(refused.status, 400, "{form:?}");
        assert_eq!(
            (
                refused.error("type"),
                refused.error("code"),
                refused.error("param")
            ),
            ("invalid_request_error", code, param)
        );
    }
    assert_eq!(stripe.get("/v1/payment_intents/pi_1").await.status, 404);
    assert_eq!(stripe.get("/v1/nothing").await.status, 404);
    assert!(stripe.effects("*").await.is_empty());
}

#[tokio::test]
async fn dashboard_methods_need_a_return_url_unless_redirects_are_off() {
    let stripe = Fixture::new().await;
    stripe
        .control("settings", json!({ "require_return_url": true }))
        .await;
    let mut form = vec![
        ("amount", "100"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
    ];
    assert_eq!(
        stripe.post("/v1/payment_intents", &form).await.error("param"),
        "return_url"
    );
    form.extend([
        ("automatic_payment_methods[enabled]", "true"),
        ("automatic_payment_methods[allow_redirects]", "never"),
    ]);
    assert_eq!(
        stripe.post("/v1/payment_intents", &form).await.ok()["status"],
        "succeeded"
    );
}

#[tokio::test]
async fn lists_are_newest_first_and_page_in_both_directions() {
    let stripe = Fixture::new().await;
    let customer = stripe.post("/v1/customers", &[]).await.ok()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut made = Vec::new();
    for amount in ["101", "102", "103", "104", "105"] {
        let form = [
            ("amount", amount),
            ("currency", "usd"),
            ("customer", customer.as_str()),
        ];
        made.push(stripe.post("/v1/payment_intents", &form).await.ok());
        stripe
            .post("/v1/payment_intents", &[("amount", "999"), ("currency", "usd")])
            .await
            .ok();
    }
    let id = |index: usize| made[index]["id"].as_str().unwrap();
    let amounts = |page: &Value| -> Vec<i64> {
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|intent| intent["amount"].as_i64().unwrap())
            .collect()
    };
    let base = format!("/v1/payment_intents?customer={customer}&limit=2");
    let first = stripe.get(&base).await.ok();
    assert_eq!(
        (amounts(&first), &first["has_more"]),
        (vec![105, 104], &json!(true))
    );
    let last = stripe.get(&format!("{base}&starting_after={}", id(1))).await.ok();
    assert_eq!((amounts(&last), &last["has_more"]), (vec![101], &json!(false)));
    let before = stripe.get(&format!("{base}&ending_before={}", id(1))).await.ok();
    assert_eq!(
        (amounts(&before), &before["has_more"]),
        (vec![104, 103], &json!(true))
    );
    let future = made[4]["created"].as_i64().unwrap() + 10;
    assert!(amounts(&stripe.get(&format!("{base}&created[gte]={future}")).await.ok()).is_empty());
    assert_eq!(stripe.get("/v1/payment_intents?limit=101").await.status, 400);
    assert_eq!(
        stripe
            .get("/v1/payment_intents?starting_after=pi_none")
            .await
            .status,
        400
    );
}
