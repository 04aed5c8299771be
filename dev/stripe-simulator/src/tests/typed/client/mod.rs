//! The wallet's own client against the simulator: what it asks and what it understands of the answers.

mod accounts;
mod balance;

use secrecy::SecretString;
use wallet_core::ids::TransactionId;
use wallet_core::money::{Currency, Money};
use wallet_core::stripe::{
    ClientOptions, CreateRefund, DisputeStatus, ErrorClass, PaymentIntentId, RefundStatus, StripeClient,
    Tags, Ticket,
};

use super::*;

fn client(stripe: &Fixture) -> StripeClient {
    let key = SecretString::from("sk_test_123".to_owned());
    StripeClient::new(&ClientOptions::new(key, stripe.simulator.url())).unwrap()
}

fn money(minor: i64, code: &str) -> Money {
    Money::from_minor(minor, code.parse::<Currency>().unwrap()).unwrap()
}

fn transaction() -> TransactionId {
    "018f2f5e-7b3c-7000-8000-000000000001".parse().unwrap()
}

fn refund(payment: &PaymentIntentId, amount: Money) -> CreateRefund {
    CreateRefund {
        payment_intent: payment.clone(),
        amount,
        tags: Tags {
            transaction_id: transaction(),
            wallet_id: "018f2f5e-7b3c-7000-8000-000000000002".parse().unwrap(),
        },
    }
}

fn key(number: u32) -> Ticket {
    let key = format!("test:1:{number}").parse().unwrap();
    Ticket::lasting(key, Duration::from_secs(60))
}

/// The id of a paid intent of 10 dollars.
async fn paid(stripe: &Fixture, method: &str) -> PaymentIntentId {
    let intent = stripe.paid("1000", method).await;
    intent["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_refund_is_made_once_under_its_key_and_found_by_its_payment() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    let payment = paid(&stripe, "pm_card_visa").await;
    let part = refund(&payment, money(400, "usd"));
    let made = client.create_refund(&key(1), &part).await.unwrap();
    let again = client.create_refund(&key(1), &part).await.unwrap();
    assert_eq!(made.id, again.id);
    assert_eq!(made.status, RefundStatus::Succeeded);
    assert_eq!(made.amount, money(400, "usd"));
    assert_eq!(made.payment_intent.as_ref(), Some(&payment));
    assert_eq!(made.metadata.transaction_id, Some(transaction()));
    assert!(made.charge.is_some() && made.balance_transaction.is_some());
    assert!(made.failure_balance_transaction.is_none() && made.pending_reason.is_none());

    let rest = refund(&payment, money(600, "usd"));
    let rest = client.create_refund(&key(2), &rest).await.unwrap();
    let listed = client.list_refunds(&payment).await.unwrap();
    let ids: Vec<_> = listed.into_iter().map(|refund| refund.id).collect();
    assert_eq!(ids, [rest.id, made.id], "newest first");

    let more = refund(&payment, money(1, "usd"));
    let refused = client.create_refund(&key(3), &more).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Refused);
    assert_eq!(refused.code.as_deref(), Some("charge_already_refunded"));
}

#[tokio::test]
async fn a_refund_that_fails_later_names_the_movement_that_brought_the_money_back() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    let payment = paid(&stripe, "pm_card_visa").await;
    let made = client
        .create_refund(&key(1), &refund(&payment, money(1000, "usd")))
        .await
        .unwrap();
    let order = json!({ "status": "failed", "failure_reason": "expired_or_canceled_card" });
    stripe.control(&format!("refunds/{}", made.id), order).await;
    let failed = client.retrieve_refund(&made.id).await.unwrap();
    assert_eq!(failed.status, RefundStatus::Failed);
    assert_eq!(failed.failure_reason.as_deref(), Some("expired_or_canceled_card"));
    let back = failed.failure_balance_transaction.unwrap();
    let back = client.retrieve_balance_transaction(&back).await.unwrap();
    assert_eq!(
        (back.kind.as_str(), back.net),
        ("refund_failure", money(1000, "usd"))
    );
}

#[tokio::test]
async fn a_refund_without_funds_says_that_it_waits_for_them() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    let account = stripe.account().await;
    let payment = paid(&stripe, "pm_card_visa").await;
    let form = [
        ("amount", "900"),
        ("currency", "usd"),
        ("destination", account.as_str()),
    ];
    stripe.post("/v1/transfers", &form).await.ok();
    let made = client
        .create_refund(&key(1), &refund(&payment, money(1000, "usd")))
        .await
        .unwrap();
    assert_eq!(made.status, RefundStatus::Pending);
    assert_eq!(made.pending_reason.as_deref(), Some("insufficient_funds"));
    assert!(made.balance_transaction.is_none());
}

#[tokio::test]
async fn a_currency_without_decimals_is_refunded_in_its_own_units() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    let form = [
        ("amount", "500"),
        ("currency", "jpy"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("payment_method_types[]", "card"),
    ];
    let intent = stripe.post("/v1/payment_intents", &form).await.ok();
    let payment = intent["id"].as_str().unwrap().parse().unwrap();
    let made = client
        .create_refund(&key(1), &refund(&payment, money(500, "jpy")))
        .await
        .unwrap();
    assert_eq!(made.amount.amount().to_string(), "500");
    let moved = client
        .retrieve_balance_transaction(&made.balance_transaction.unwrap())
        .await
        .unwrap();
    assert_eq!(moved.net.amount().to_string(), "-500");
}

#[tokio::test]
async fn a_dispute_brings_its_movements_and_keeps_its_payment_from_being_refunded() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    let payment = paid(&stripe, "pm_card_visa").await;
    assert!(client.list_disputes(&payment).await.unwrap().is_empty());
    let opened = stripe
        .control(
            "disputes",
            json!({ "payment_intent": payment.as_str(), "amount": 700 }),
        )
        .await;
    let id = opened["id"].as_str().unwrap().parse().unwrap();
    let dispute = client.retrieve_dispute(&id).await.unwrap();
    assert_eq!(dispute.status, DisputeStatus::NeedsResponse);
    assert_eq!(dispute.amount, money(700, "usd"));
    assert_eq!(dispute.payment_intent.as_ref(), Some(&payment));
    assert_eq!(dispute.reason, "fraudulent");
    let [taken] = dispute.balance_transactions.as_slice() else {
        panic!("{dispute:?}");
    };
    assert_eq!(
        (taken.amount, taken.fee, taken.net),
        (money(-700, "usd"), money(1500, "usd"), money(-2200, "usd"))
    );
    let refused = client
        .create_refund(&key(1), &refund(&payment, money(100, "usd")))
        .await
        .unwrap_err();
    assert_eq!(refused.class, ErrorClass::Refused);
    assert_eq!(refused.code.as_deref(), Some("charge_disputed"));

    stripe
        .control(&format!("disputes/{id}"), json!({ "status": "won" }))
        .await;
    let won = client.list_disputes(&payment).await.unwrap();
    assert_eq!((won.len(), &won[0].status), (1, &DisputeStatus::Won));
    let net: Vec<Money> = won[0].balance_transactions.iter().map(|row| row.net).collect();
    assert_eq!(net, [money(-2200, "usd"), money(700, "usd")]);
}

#[tokio::test]
async fn an_inquiry_moves_no_money() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    let payment = paid(&stripe, "pm_card_visa").await;
    let order = json!({ "payment_intent": payment.as_str(), "status": "warning_needs_response" });
    stripe.control("disputes", order).await;
    let inquiry = client.list_disputes(&payment).await.unwrap().remove(0);
    assert_eq!(inquiry.status, DisputeStatus::WarningNeedsResponse);
    assert!(inquiry.balance_transactions.is_empty());
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let stripe = Fixture::new().await;
    let client = client(&stripe);
    let class = |error: wallet_core::stripe::StripeError| error.class;
    let refund = client.retrieve_refund(&"re_none".parse().unwrap()).await;
    assert_eq!(refund.map_err(class).unwrap_err(), ErrorClass::NotFound);
    let dispute = client.retrieve_dispute(&"du_none".parse().unwrap()).await;
    assert_eq!(dispute.map_err(class).unwrap_err(), ErrorClass::NotFound);
    let charge = client.retrieve_charge(&"ch_none".parse().unwrap()).await;
    assert_eq!(charge.map_err(class).unwrap_err(), ErrorClass::NotFound);
}
