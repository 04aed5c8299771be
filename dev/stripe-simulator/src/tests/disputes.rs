//! Disputes and inquiries: their money, their decisions, and when they come.

use super::*;

/// Amount, fee and net of each movement of a dispute's money.
fn moved(dispute: &Value) -> Vec<(i64, i64, i64)> {
    let number = |value: &Value| value.as_i64().unwrap();
    let rows = dispute["balance_transactions"].as_array().unwrap();
    rows.iter()
        .map(|row| (number(&row["amount"]), number(&row["fee"]), number(&row["net"])))
        .collect()
}

impl Fixture {
    /// A simulator whose platform owns 50.00, and a payment of 10.00 for transaction `t1`.
    async fn with_a_payment() -> (Self, Value) {
        let stripe = Self::new().await;
        stripe.control("balance/top_up", json!({ "amount": 5_000 })).await;
        let form = [
            ("amount", "1000"),
            ("currency", "usd"),
            ("confirm", "true"),
            ("payment_method", "pm_card_visa"),
            ("metadata[transaction_id]", "t1"),
        ];
        let intent = stripe.post("/v1/payment_intents", &form).await.ok();
        (stripe, intent)
    }

    async fn dispute(&self, order: Value) -> String {
        self.control("disputes", order).await["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn decide(&self, dispute: &str, status: &str) -> Value {
        self.control(&format!("disputes/{dispute}"), json!({ "status": status }))
            .await
    }

    async fn dispute_events(&self) -> Vec<String> {
        let all = self.event_types(None).await;
        all.iter()
            .filter_map(|kind| kind.strip_prefix("charge.dispute."))
            .map(str::to_owned)
            .collect()
    }
}

/// <https://docs.stripe.com/disputes/how-disputes-work>
#[tokio::test]
async fn an_inquiry_moves_no_money_until_it_becomes_a_dispute() {
    let (stripe, intent) = Fixture::with_a_payment().await;
    let order = json!({ "payment_intent": intent["id"], "status": "warning_needs_response" });
    let id = stripe.dispute(order).await;
    assert_eq!(stripe.available(None).await, 6_000);
    let inquiry = stripe.get(&format!("/v1/disputes/{id}")).await.ok();
    assert_eq!(
        (&inquiry["is_charge_refundable"], moved(&inquiry)),
        (&json!(true), vec![])
    );
    let dispute = stripe.decide(&id, "needs_response").await;
    assert_eq!(moved(&dispute), [(-1_000, 1_500, -2_500)]);
    assert_eq!(stripe.available(None).await, 3_500);
    assert_eq!(
        stripe.dispute_events().await,
        ["created", "updated", "funds_withdrawn"]
    );
}

/// <https://docs.stripe.com/api/disputes/object#dispute_object-is_charge_refundable>
#[tokio::test]
async fn a_payment_under_inquiry_can_be_refunded_and_the_inquiry_is_closed_without_money() {
    let stripe = Fixture::new().await;
    let intent = stripe.paid("1000", "pm_card_createDisputeInquiry").await;
    let id = intent["id"].as_str().unwrap();
    stripe.post("/v1/refunds", &[("payment_intent", id)]).await.ok();
    let listed = stripe
        .get(&format!("/v1/disputes?payment_intent={id}"))
        .await
        .ok();
    let inquiry = listed["data"][0]["id"].as_str().unwrap();
    let closed = stripe.decide(inquiry, "warning_closed").await;
    assert_eq!(
        (&closed["status"], moved(&closed)),
        (&json!("warning_closed"), vec![])
    );
    let reopened = stripe
        .control_refused(
            &format!("disputes/{inquiry}"),
            json!({ "status": "needs_response" }),
        )
        .await;
    assert_eq!(reopened, 400);
    assert_eq!(stripe.dispute_events().await, ["created", "closed"]);
}

/// <https://docs.stripe.com/api/disputes/object#dispute_object-amount>
#[tokio::test]
async fn a_dispute_can_be_larger_than_the_payment_and_make_the_balance_negative() {
    let stripe = Fixture::new().await;
    let intent = stripe.paid("1000", "pm_card_visa").await;
    let order = json!({ "payment_intent": intent["id"], "amount": 1_200 });
    let id = stripe.dispute(order).await;
    let dispute = stripe.get(&format!("/v1/disputes/{id}")).await.ok();
    assert_eq!(
        (&dispute["amount"], moved(&dispute)),
        (&json!(1_200), vec![(-1_200, 1_500, -2_700)])
    );
    assert_eq!(stripe.available(None).await, -1_700);
}

/// <https://docs.stripe.com/disputes/how-disputes-work>
#[tokio::test]
async fn a_dispute_s_fee_comes_back_only_if_the_settings_say_so() {
    for (returned, movement) in [(false, (1_000, 0, 1_000)), (true, (1_000, -1_500, 2_500))] {
        let (stripe, intent) = Fixture::with_a_payment().await;
        stripe
            .control("settings", json!({ "dispute_fee_returned": returned }))
            .await;
        let id = stripe.dispute(json!({ "payment_intent": intent["id"] })).await;
        let won = stripe.decide(&id, "won").await;
        assert_eq!(moved(&won)[1], movement, "{returned}");
        let fee = if returned { 0 } else { 1_500 };
        assert_eq!(stripe.available(None).await, 6_000 - fee, "{returned}");
    }
}

/// <https://docs.stripe.com/api/disputes/object#dispute_object-status>
#[tokio::test]
async fn a_decision_can_be_turned_round_and_the_money_follows_it() {
    let (stripe, intent) = Fixture::with_a_payment().await;
    let id = stripe.dispute(json!({ "payment_intent": intent["id"] })).await;
    assert_eq!(
        moved(&stripe.decide(&id, "lost").await).len(),
        1,
        "it was taken when the dispute came"
    );
    assert_eq!(
        moved(&stripe.decide(&id, "won").await).last(),
        Some(&(1_000, 0, 1_000))
    );
    let lost = stripe.decide(&id, "lost").await;
    assert_eq!(
        moved(&lost).last(),
        Some(&(-1_000, 0, -1_000)),
        "the fee is taken once"
    );
    assert_eq!(stripe.available(None).await, 3_500);
    let closed = stripe.post(&format!("/v1/disputes/{id}/close"), &[]).await;
    assert_eq!(closed.error("code"), "dispute_closed");
}

/// <https://docs.stripe.com/api/events/types#event_types-charge.dispute.funds_reinstated>
#[tokio::test]
async fn money_can_come_back_in_part_before_a_dispute_is_lost() {
    let (stripe, intent) = Fixture::with_a_payment().await;
    let id = stripe.dispute(json!({ "payment_intent": intent["id"] })).await;
    stripe
        .control(&format!("disputes/{id}/funds"), json!({ "amount": 300 }))
        .await;
    let lost = stripe.decide(&id, "lost").await;
    assert_eq!(moved(&lost), [(-1_000, 1_500, -2_500), (300, 0, 300)]);
    assert_eq!(stripe.available(None).await, 3_800);
    let events = stripe.dispute_events().await;
    assert_eq!(
        events,
        ["created", "funds_withdrawn", "funds_reinstated", "closed"]
    );
    stripe
        .control(&format!("disputes/{id}/funds"), json!({ "amount": -300 }))
        .await;
    assert_eq!(stripe.available(None).await, 3_500);
}

#[tokio::test]
async fn a_dispute_comes_when_the_clock_says_so() {
    let (stripe, intent) = Fixture::with_a_payment().await;
    let later = stripe
        .control(
            "disputes",
            json!({ "payment_intent": intent["id"], "after_seconds": 3 * 86_400 }),
        )
        .await;
    assert!(later["planned_for"].is_string());
    stripe
        .control("settings", json!({ "dispute_after_ms": 86_400_000 }))
        .await;
    stripe.paid("2000", "pm_card_createDispute").await;
    for (days, disputes) in [(0, 0), (2, 1), (2, 2)] {
        stripe
            .control("clock", json!({ "advance_seconds": days * 86_400 }))
            .await;
        let listed = stripe.get("/v1/disputes").await.ok();
        assert_eq!(listed["data"].as_array().unwrap().len(), disputes);
    }
}

#[tokio::test]
async fn the_effects_of_a_dispute_name_the_payment_s_transaction() {
    let (stripe, intent) = Fixture::with_a_payment().await;
    let before = stripe.effects("*").await.len();
    let id = stripe.dispute(json!({ "payment_intent": intent["id"] })).await;
    stripe
        .control(&format!("disputes/{id}/funds"), json!({ "amount": 300 }))
        .await;
    stripe.decide(&id, "lost").await;
    let done = |operation: &str| (operation.to_owned(), Some("t1".to_owned()));
    assert_eq!(
        stripe.done_since(before).await,
        [
            done("dispute.create"),
            done("dispute.reinstate"),
            done("dispute.lost")
        ]
    );
}
