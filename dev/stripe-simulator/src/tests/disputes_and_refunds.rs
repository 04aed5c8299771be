//! Money that goes back.

use super::*;

/// <https://docs.stripe.com/refunds>, <https://docs.stripe.com/error-codes#charge-already-refunded>
#[tokio::test]
async fn refunds_never_exceed_the_charge() {
    let stripe = Fixture::new().await;
    let intent = stripe.paid("1000", "pm_card_visa").await;
    let id = intent["id"].as_str().unwrap();
    let first = stripe
        .post("/v1/refunds", &[("payment_intent", id), ("amount", "400")])
        .await
        .ok();
    assert_eq!(first["status"], "succeeded");
    let refused = stripe
        .post("/v1/refunds", &[("payment_intent", id), ("amount", "601")])
        .await;
    assert_eq!((refused.status.as_u16(), refused.error("param")), (400, "amount"));
    stripe.post("/v1/refunds", &[("payment_intent", id)]).await.ok();
    assert_eq!(
        stripe
            .post("/v1/refunds", &[("payment_intent", id)])
            .await
            .error("code"),
        "charge_already_refunded"
    );
    assert_eq!(stripe.available(None).await, 0);
    let listed = stripe.get(&format!("/v1/refunds?payment_intent={id}")).await.ok();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
}

/// <https://support.stripe.com/questions/understanding-fees-for-refunded-payments>
#[tokio::test]
async fn a_refund_s_fee_is_taken_with_its_money_and_stays_when_it_fails() {
    let stripe = Fixture::new().await;
    stripe
        .control("settings", json!({ "refund_fee_fixed": 30 }))
        .await;
    let intent = stripe.paid("1000", "pm_card_visa").await;
    let id = intent["id"].as_str().unwrap();
    let form = [("payment_intent", id), ("expand[]", "balance_transaction")];
    let refund = stripe.post("/v1/refunds", &form).await.ok();
    let movement = &refund["balance_transaction"];
    assert_eq!(
        (&movement["amount"], &movement["fee"], &movement["net"]),
        (&json!(-1_000), &json!(30), &json!(-1_030))
    );
    let path = format!("refunds/{}", refund["id"].as_str().unwrap());
    stripe.control(&path, json!({ "status": "failed" })).await;
    assert_eq!(stripe.available(None).await, 970);
    let effects = stripe.effects("*").await;
    let changes = effects
        .iter()
        .filter_map(|effect| effect["platform_change"].as_i64());
    assert_eq!(changes.sum::<i64>(), 970);
}

/// <https://docs.stripe.com/refunds#failed-refunds>
#[tokio::test]
async fn a_succeeded_refund_can_fail_later_and_the_money_comes_back() {
    let stripe = Fixture::new().await;
    stripe.control("settings", json!({ "refund_fail_ms": 100 })).await;
    let intent = stripe.paid("1000", "pm_card_refundFail").await;
    let refund = stripe
        .post(
            "/v1/refunds",
            &[("payment_intent", intent["id"].as_str().unwrap())],
        )
        .await
        .ok();
    assert_eq!(
        (&refund["status"], stripe.available(None).await),
        (&json!("succeeded"), 0)
    );
    let path = format!("/v1/refunds/{}", refund["id"].as_str().unwrap());
    let failed = stripe.until(None, &path, "status", "failed").await;
    assert!(failed["failure_balance_transaction"].is_string());
    assert_eq!(stripe.available(None).await, 1_000);
    assert!(
        stripe
            .event_types(None)
            .await
            .contains(&"refund.failed".to_owned())
    );
}

/// <https://docs.stripe.com/changelog/basil/2025-04-30/refund-pending-reason>
#[tokio::test]
async fn a_refund_without_money_waits_until_money_comes() {
    let stripe = Fixture::new().await;
    let account = stripe.account().await;
    let intent = stripe.paid("1000", "pm_card_visa").await;
    stripe
        .post(
            "/v1/transfers",
            &[("amount", "900"), ("currency", "usd"), ("destination", &account)],
        )
        .await
        .ok();
    let refund = stripe
        .post(
            "/v1/refunds",
            &[("payment_intent", intent["id"].as_str().unwrap())],
        )
        .await
        .ok();
    assert_eq!(
        (&refund["status"], &refund["pending_reason"]),
        (&json!("pending"), &json!("insufficient_funds"))
    );
    stripe.control("balance/top_up", json!({ "amount": 1_000 })).await;
    let path = format!("/v1/refunds/{}", refund["id"].as_str().unwrap());
    stripe.until(None, &path, "status", "succeeded").await;
    assert_eq!(stripe.available(None).await, 100);
}

/// <https://docs.stripe.com/disputes/how-disputes-work>
#[tokio::test]
async fn a_dispute_takes_the_money_and_a_fee_and_winning_gives_the_money_back() {
    let stripe = Fixture::new().await;
    stripe.control("balance/top_up", json!({ "amount": 5_000 })).await;
    let intent = stripe.paid("1000", "pm_card_visa").await;
    let dispute = stripe
        .control("disputes", json!({ "payment_intent": intent["id"] }))
        .await;
    assert_eq!(dispute["balance_transactions"][0]["net"], -2_500);
    assert_eq!(stripe.available(None).await, 3_500);
    let refused = stripe
        .post(
            "/v1/refunds",
            &[("payment_intent", intent["id"].as_str().unwrap())],
        )
        .await;
    assert_eq!(refused.error("code"), "charge_disputed");
    let path = format!("disputes/{}", dispute["id"].as_str().unwrap());
    let won = stripe.control(&path, json!({ "status": "won" })).await;
    assert_eq!(won["balance_transactions"].as_array().unwrap().len(), 2);
    assert_eq!(stripe.available(None).await, 4_500);
    let events = stripe.event_types(None).await;
    for wanted in ["created", "funds_withdrawn", "closed", "funds_reinstated"] {
        assert!(events.contains(&format!("charge.dispute.{wanted}")), "{wanted}");
    }
}

#[tokio::test]
async fn the_effect_log_adds_up_to_the_balances() {
    let stripe = Fixture::new().await;
    stripe
        .control("settings", json!({ "fee_basis_points": 290, "fee_fixed": 30 }))
        .await;
    let account = stripe.account().await;
    let intent = stripe.paid("90000", "pm_card_visa").await;
    stripe.paid("2000", "pm_card_createDispute").await;
    let transfer = [
        ("amount", "5000"),
        ("currency", "usd"),
        ("destination", account.as_str()),
    ];
    let transfer = stripe.post("/v1/transfers", &transfer).await.ok();
    stripe
        .post(
            &format!("/v1/transfers/{}/reversals", transfer["id"].as_str().unwrap()),
            &[("amount", "700")],
        )
        .await
        .ok();
    stripe
        .post_as(
            &account,
            "/v1/payouts",
            &[("amount", "1000"), ("currency", "usd")],
        )
        .await
        .ok();
    stripe
        .post(
            "/v1/refunds",
            &[
                ("payment_intent", intent["id"].as_str().unwrap()),
                ("amount", "333"),
            ],
        )
        .await
        .ok();
    let effects = stripe.effects("*").await;
    let sum = |field: &str| {
        effects
            .iter()
            .map(|effect| effect[field].as_i64().unwrap())
            .sum::<i64>()
    };
    assert_eq!(sum("platform_change"), stripe.available(None).await);
    assert_eq!(sum("connected_change"), stripe.available(Some(&account)).await);
}

#[tokio::test]
async fn the_effect_log_is_also_a_file_of_json_lines_and_grows_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("effects.jsonl");
    let config = SimulatorConfig {
        effects_file: Some(file.clone()),
        opening_balance: vec![("usd".to_owned(), 700)],
        ..SimulatorConfig::default()
    };
    let stripe = Fixture::with(config).await;
    stripe.paid("1000", "pm_card_visa").await;
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&file).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let before = lines();
    assert_eq!(before, stripe.effects("*").await);
    assert_eq!(before[0]["operation"], "balance.top_up");
    stripe.control("reset", json!({})).await;
    stripe.post("/v1/customers", &[]).await.ok();
    assert_eq!(
        (&lines()[..before.len()], lines().len()),
        (&before[..], before.len() + 1)
    );
}
