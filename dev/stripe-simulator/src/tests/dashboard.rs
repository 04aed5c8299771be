//! What happens at Stripe without us: in the dashboard, at the payer's and the payee's bank, and days later.

use super::*;

const DAY: u64 = 86_400;

impl Fixture {
    /// A payment of 10.00 for transaction `t1`, made with this method.
    async fn payment(&self, method: &str) -> String {
        let form = [
            ("amount", "1000"),
            ("currency", "usd"),
            ("confirm", "true"),
            ("payment_method", method),
            ("metadata[transaction_id]", "t1"),
        ];
        let intent = self.post("/v1/payment_intents", &form).await.ok();
        intent["id"].as_str().unwrap().to_owned()
    }

    /// An intent over 10.00 that nobody has paid yet.
    async fn unpaid(&self) -> String {
        let form = [
            ("amount", "1000"),
            ("currency", "usd"),
            ("metadata[transaction_id]", "t1"),
        ];
        let intent = self.post("/v1/payment_intents", &form).await.ok();
        intent["id"].as_str().unwrap().to_owned()
    }
}

/// <https://docs.stripe.com/api/payment_intents/object#payment_intent_object-amount_received>
#[tokio::test]
async fn less_or_more_than_asked_for_can_arrive() {
    for received in [300, 1_300] {
        let stripe = Fixture::new().await;
        let id = stripe.unpaid().await;
        let path = format!("payment_intents/{id}/receive");
        let intent = stripe.control(&path, json!({ "amount": received })).await;
        assert_eq!(
            (&intent["status"], &intent["amount"], &intent["amount_received"]),
            (&json!("succeeded"), &json!(1_000), &json!(received))
        );
        assert_eq!(stripe.available(None).await, received);
        let succeeded = stripe.effects("payment_intent.succeed").await;
        assert_eq!(
            (&succeeded[0]["amount"], &succeeded[0]["platform_change"]),
            (&json!(received), &json!(received))
        );
        let charge = intent["latest_charge"].as_str().unwrap();
        let charge = stripe.get(&format!("/v1/charges/{charge}")).await.ok();
        assert_eq!(charge["amount_captured"], received);
        assert_eq!(
            stripe.control_refused(&path, json!({ "amount": 1 })).await,
            400,
            "it is over"
        );
        let refund = stripe.post("/v1/refunds", &[("payment_intent", &id)]).await.ok();
        assert_eq!(refund["amount"], received, "what came can go back");
    }
}

/// <https://docs.stripe.com/api/charges/object>
#[tokio::test]
async fn money_in_another_currency_can_arrive() {
    let stripe = Fixture::new().await;
    let id = stripe.unpaid().await;
    let path = format!("payment_intents/{id}/receive");
    assert_eq!(
        stripe
            .control_refused(&path, json!({ "amount": 900, "currency": "xyz" }))
            .await,
        400
    );
    let intent = stripe
        .control(&path, json!({ "amount": 900, "currency": "eur" }))
        .await;
    assert_eq!(
        (&intent["currency"], &intent["amount_received"]),
        (&json!("eur"), &json!(900))
    );
    let charge = intent["latest_charge"].as_str().unwrap();
    let rows = stripe
        .get(&format!("/v1/balance_transactions?source={charge}"))
        .await
        .ok();
    assert_eq!(
        (&rows["data"][0]["currency"], &rows["data"][0]["net"]),
        (&json!("eur"), &json!(900))
    );
}

/// <https://docs.stripe.com/payments/bank-debits>
#[tokio::test]
async fn a_bank_debit_under_way_can_bring_another_amount() {
    let stripe = Fixture::new().await;
    let id = stripe.payment("pm_usBankAccount_processing").await;
    let intent = stripe
        .control(&format!("payment_intents/{id}/receive"), json!({ "amount": 700 }))
        .await;
    assert_eq!(intent["amount_received"], 700);
    assert_eq!(stripe.get("/v1/charges").await.ok()["data"][0]["amount"], 1_000);
}

/// <https://docs.stripe.com/refunds>
#[tokio::test]
async fn a_refund_made_in_the_dashboard_has_none_of_our_metadata() {
    let stripe = Fixture::new().await;
    let id = stripe.payment("pm_card_visa").await;
    let before = stripe.effects("*").await.len();
    let refund = stripe
        .control("refunds", json!({ "payment_intent": id, "amount": 400 }))
        .await;
    assert_eq!(
        (&refund["status"], &refund["metadata"]),
        (&json!("succeeded"), &json!({}))
    );
    assert_eq!(
        stripe
            .control_refused("refunds", json!({ "payment_intent": id, "amount": 601 }))
            .await,
        400
    );
    let events = stripe.event_types(None).await;
    assert!(
        events.ends_with(&["refund.created".to_owned(), "charge.refunded".to_owned()]),
        "{events:?}"
    );
    let last = stripe.get("/v1/events?limit=2").await.ok();
    assert_eq!(last["data"][1]["request"]["id"], Value::Null);
    let t1 = Some("t1".to_owned());
    assert_eq!(
        stripe.done_since(before).await,
        [
            ("refund.create".to_owned(), t1.clone()),
            ("refund.succeed".to_owned(), t1)
        ],
        "they name the payment's transaction"
    );
}

/// <https://docs.stripe.com/api/events/object#event_object-data-previous_attributes>
#[tokio::test]
async fn a_refund_says_what_the_charge_was_before() {
    let stripe = Fixture::new().await;
    let id = stripe.payment("pm_card_visa").await;
    stripe.post("/v1/refunds", &[("payment_intent", &id)]).await.ok();
    let refunded = stripe.get("/v1/events?type=charge.refunded").await.ok();
    let previous = &refunded["data"][0]["data"]["previous_attributes"];
    assert_eq!(
        (&previous["amount_refunded"], &previous["refunded"]),
        (&json!(0), &json!(false))
    );
}

/// <https://docs.stripe.com/api/refunds/object#refund_object-failure_balance_transaction>
#[tokio::test]
async fn a_refund_of_our_own_keeps_its_own_transaction_when_it_fails() {
    let stripe = Fixture::new().await;
    let id = stripe.payment("pm_card_visa").await;
    let form = [
        ("payment_intent", id.as_str()),
        ("metadata[transaction_id]", "t2"),
    ];
    let refund = stripe.post("/v1/refunds", &form).await.ok();
    let before = stripe.effects("*").await.len();
    let path = format!("refunds/{}", refund["id"].as_str().unwrap());
    stripe
        .control(&path, json!({ "status": "failed", "after_seconds": 5 * DAY }))
        .await;
    assert_eq!(stripe.available(None).await, 0);
    stripe
        .control("clock", json!({ "advance_seconds": 6 * DAY }))
        .await;
    assert_eq!(
        (stripe.available(None).await, stripe.done_since(before).await),
        (1_000, vec![("refund.fail".to_owned(), Some("t2".to_owned()))])
    );
}

#[tokio::test]
async fn a_decline_is_an_effect_without_money() {
    let stripe = Fixture::new().await;
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_chargeDeclined"),
        ("metadata[transaction_id]", "t1"),
    ];
    stripe.post("/v1/payment_intents", &form).await;
    let failed = stripe.effects("payment_intent.fail").await;
    assert_eq!(
        (&failed[0]["transaction_id"], &failed[0]["platform_change"]),
        (&json!("t1"), &json!(0))
    );
}

/// <https://docs.stripe.com/api/transfer_reversals/create>
#[tokio::test]
async fn a_transfer_can_be_reversed_from_outside() {
    let stripe = Fixture::new().await;
    let account = stripe.account().await;
    stripe.control("balance/top_up", json!({ "amount": 4_000 })).await;
    let form = [
        ("amount", "4000"),
        ("currency", "usd"),
        ("destination", account.as_str()),
        ("metadata[transaction_id]", "t1"),
    ];
    let transfer = stripe.post("/v1/transfers", &form).await.ok();
    let path = format!("transfers/{}/reverse", transfer["id"].as_str().unwrap());
    let reversal = stripe.control(&path, json!({ "amount": 1_500 })).await;
    assert_eq!(reversal["metadata"], json!({}));
    stripe.control(&path, json!({})).await;
    assert_eq!(stripe.control_refused(&path, json!({})).await, 400);
    assert_eq!(
        (
            stripe.available(None).await,
            stripe.available(Some(&account)).await
        ),
        (4_000, 0)
    );
    let effects = stripe.effects("transfer_reversal.create").await;
    assert_eq!(effects.len(), 2);
    assert_eq!(
        (&effects[0]["transaction_id"], &effects[0]["request_id"]),
        (&json!("t1"), &Value::Null)
    );
    let last = stripe.get("/v1/events?type=transfer.reversed&limit=1").await.ok();
    assert_eq!(last["data"][0]["data"]["object"]["reversed"], true);
}

/// <https://docs.stripe.com/api/payouts/object#payout_object-status>
#[tokio::test]
async fn a_paid_payout_fails_days_later_by_the_clock() {
    let stripe = Fixture::new().await;
    let account = stripe.account().await;
    stripe
        .control("balance/top_up", json!({ "amount": 5_000, "account": account }))
        .await;
    let form = [
        ("amount", "3000"),
        ("currency", "usd"),
        ("metadata[transaction_id]", "t1"),
    ];
    let payout = stripe.post_as(&account, "/v1/payouts", &form).await.ok();
    let id = payout["id"].as_str().unwrap();
    let order = json!({ "status": "failed", "failure_code": "account_closed", "after_seconds": 3 * DAY });
    stripe.control(&format!("payouts/{id}"), order).await;
    let path = format!("/v1/payouts/{id}");
    stripe.until(Some(&account), &path, "status", "paid").await;
    stripe
        .control("clock", json!({ "advance_seconds": 3 * DAY + 1 }))
        .await;
    let failed = stripe.get_as(&account, &path).await.ok();
    assert_eq!(
        (&failed["status"], &failed["failure_code"]),
        (&json!("failed"), &json!("account_closed"))
    );
    assert_eq!(stripe.available(Some(&account)).await, 5_000);
    let effects = stripe.effects("payout.fail").await;
    assert_eq!((effects.len(), &effects[0]["transaction_id"]), (1, &json!("t1")));
    let events = stripe.event_types(Some(&account)).await;
    let paid = events.iter().position(|kind| kind == "payout.paid");
    assert!(paid < events.iter().position(|kind| kind == "payout.failed"));
}

#[tokio::test]
async fn what_was_planned_and_is_no_longer_possible_does_nothing() {
    let stripe = Fixture::new().await;
    let id = stripe.payment("pm_card_visa").await;
    let refund = stripe.post("/v1/refunds", &[("payment_intent", &id)]).await.ok();
    let path = format!("refunds/{}", refund["id"].as_str().unwrap());
    stripe
        .control(&path, json!({ "status": "failed", "after_seconds": 10 }))
        .await;
    stripe.control(&path, json!({ "status": "failed" })).await;
    stripe.control("clock", json!({ "advance_seconds": 11 })).await;
    assert_eq!(stripe.available(None).await, 1_000);
    assert_eq!(stripe.effects("refund.fail").await.len(), 1);
}

/// <https://docs.stripe.com/connect/standard-accounts#deauthorize>
#[tokio::test]
async fn an_account_that_took_our_access_away_does_not_exist_any_more() {
    let stripe = Fixture::new().await;
    let account = stripe.account().await;
    stripe
        .control("balance/top_up", json!({ "amount": 5_000, "account": account }))
        .await;
    let payout = stripe
        .post_as(
            &account,
            "/v1/payouts",
            &[("amount", "3000"), ("currency", "usd")],
        )
        .await
        .ok();
    stripe
        .control(&format!("accounts/{account}/deauthorize"), json!({}))
        .await;
    for refused in [
        stripe.get(&format!("/v1/accounts/{account}")).await,
        stripe.get_as(&account, "/v1/balance").await,
        stripe.get_as(&account, "/v1/events").await,
    ] {
        assert_eq!(
            (refused.status.as_u16(), refused.error("code")),
            (403, "account_invalid")
        );
    }
    let gone = stripe.effects("account.deauthorize").await;
    assert_eq!(gone[0]["object"], account.as_str());
    let mut paid = Vec::new();
    for _ in 0..200 {
        paid = stripe.effects("payout.paid").await;
        if !paid.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        paid[0]["object"], payout["id"],
        "what was under way there goes on"
    );
    let path = format!("accounts/{account}/deauthorize");
    assert_eq!(stripe.control_refused(&path, json!({})).await, 403);
}
