//! Every object the simulator returns is read by async-stripe's types, the ones the wallet reads them with.

mod client;

use serde::de::DeserializeOwned;

use super::*;

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error} in {value:#}"))
}

#[tokio::test]
async fn payments_and_refunds_are_read_by_async_stripe() {
    let stripe = Fixture::new().await;
    let customer = stripe
        .post(
            "/v1/customers",
            &[("email", "a@example.com"), ("metadata[user_id]", "u")],
        )
        .await
        .ok();
    read::<stripe_shared::Customer>(&customer);
    let id = customer["id"].as_str().unwrap();
    let methods = [
        ("pm_card_visa", "usd", "card"),
        ("pm_card_authenticationRequired", "usd", "card"),
        ("pm_usBankAccount_success", "usd", "us_bank_account"),
        ("pm_sepaDebit_success", "eur", "sepa_debit"),
        ("pm_bacsDebit_success", "gbp", "bacs_debit"),
        ("pm_acssDebit_success", "cad", "acss_debit"),
        ("pm_auBecsDebit_success", "aud", "au_becs_debit"),
    ];
    for (method, currency, kind) in methods {
        let mut form = vec![
            ("amount", "1000"),
            ("currency", currency),
            ("confirm", "true"),
            ("customer", id),
            ("payment_method", method),
            ("payment_method_types[]", kind),
            ("expand[]", "latest_charge"),
            ("expand[]", "payment_method"),
        ];
        if kind == "acss_debit" {
            // Without them Stripe does not know what the payer agrees to (<https://docs.stripe.com/payments/acss-debit/accept-a-payment>).
            let refused = stripe.post("/v1/payment_intents", &form).await;
            assert_eq!(
                (refused.status.as_u16(), refused.error("code")),
                (400, "parameter_missing")
            );
            form.push((
                "payment_method_options[acss_debit][mandate_options][payment_schedule]",
                "sporadic",
            ));
            form.push((
                "payment_method_options[acss_debit][mandate_options][transaction_type]",
                "personal",
            ));
        }
        let intent = stripe.post("/v1/payment_intents", &form).await.ok();
        read::<stripe_shared::PaymentIntent>(&intent);
        if intent["latest_charge"].is_object() {
            read::<stripe_shared::Charge>(&intent["latest_charge"]);
        }
        assert_eq!(intent["payment_method"]["type"], kind);
        read::<stripe_shared::PaymentMethod>(&intent["payment_method"]);
    }
    let unconfirmed = stripe
        .post("/v1/payment_intents", &[("amount", "100"), ("currency", "jpy")])
        .await
        .ok();
    read::<stripe_shared::PaymentIntent>(&unconfirmed);
    let paid = stripe.paid("1000", "pm_card_visa").await;
    let refund = stripe
        .post("/v1/refunds", &[("payment_intent", paid["id"].as_str().unwrap())])
        .await
        .ok();
    read::<stripe_shared::Refund>(&refund);
    read::<stripe_core::Balance>(&stripe.get("/v1/balance").await.ok());
    let transactions = stripe.get("/v1/balance_transactions").await.ok();
    read::<stripe_types::List<stripe_shared::BalanceTransaction>>(&transactions);
    let disputed = stripe.paid("1000", "pm_card_createDispute").await;
    let path = format!("/v1/disputes?payment_intent={}", disputed["id"].as_str().unwrap());
    let disputes: stripe_types::List<stripe_shared::Dispute> = read(&stripe.get(&path).await.ok());
    assert_eq!(disputes.data.len(), 1);
    let intents: stripe_types::List<stripe_shared::PaymentIntent> =
        read(&stripe.get("/v1/payment_intents?limit=100").await.ok());
    assert_eq!(intents.data.len(), 10);
}

#[tokio::test]
async fn declines_and_other_errors_are_read_by_async_stripe() {
    let stripe = Fixture::new().await;
    for method in [
        "pm_card_chargeDeclined",
        "pm_card_chargeDeclinedExpiredCard",
        "pm_card_authenticationRequired",
    ] {
        let form = [
            ("amount", "1000"),
            ("currency", "usd"),
            ("confirm", "true"),
            ("off_session", "true"),
            ("payment_method", method),
            ("payment_method_types[]", "card"),
        ];
        let refused = stripe.post("/v1/payment_intents", &form).await;
        let error = read::<stripe_shared::Error>(&refused.body).error;
        assert_eq!(error.type_, stripe_shared::ApiErrorsType::CardError);
        let intent = error.payment_intent.expect("the intent is shown");
        assert_eq!(
            intent.status,
            stripe_shared::PaymentIntentStatus::RequiresPaymentMethod
        );
    }
    read::<stripe_shared::Error>(&stripe.get("/v1/payment_intents/pi_1").await.body);
    read::<stripe_shared::Error>(&stripe.get_as("acct_none", "/v1/balance").await.body);
}

#[tokio::test]
async fn connect_objects_and_events_are_read_by_async_stripe() {
    let stripe = Fixture::new().await;
    read::<stripe_shared::Account>(&stripe.post("/v1/accounts", &[("type", "express")]).await.ok());
    let account = stripe.account().await;
    read::<stripe_shared::Account>(&stripe.get(&format!("/v1/accounts/{account}")).await.ok());
    let form = [
        ("account", account.as_str()),
        ("type", "account_onboarding"),
        ("return_url", "http://a"),
        ("refresh_url", "http://b"),
    ];
    read::<stripe_connect::AccountLink>(&stripe.post("/v1/account_links", &form).await.ok());
    stripe.control("balance/top_up", json!({ "amount": 9_000 })).await;
    let form = [
        ("amount", "4000"),
        ("currency", "usd"),
        ("destination", account.as_str()),
        ("expand[]", "destination_payment"),
    ];
    let transfer = stripe.post("/v1/transfers", &form).await.ok();
    read::<stripe_shared::Transfer>(&transfer);
    read::<stripe_shared::Charge>(&transfer["destination_payment"]);
    let path = format!("/v1/transfers/{}", transfer["id"].as_str().unwrap());
    read::<stripe_shared::TransferReversal>(
        &stripe
            .post(&format!("{path}/reversals"), &[("amount", "100")])
            .await
            .ok(),
    );
    read::<stripe_shared::Transfer>(&stripe.get(&path).await.ok());
    let payout = stripe
        .post_as(
            &account,
            "/v1/payouts",
            &[
                ("amount", "900"),
                ("currency", "usd"),
                ("expand[]", "balance_transaction"),
            ],
        )
        .await
        .ok();
    read::<stripe_shared::Payout>(&payout);
    stripe
        .control(
            &format!("payouts/{}", payout["id"].as_str().unwrap()),
            json!({ "status": "failed" }),
        )
        .await;
    for account in [None, Some(account.as_str())] {
        let events = match account {
            Some(account) => stripe.get_as(account, "/v1/events?limit=100").await,
            None => stripe.get("/v1/events?limit=100").await,
        };
        let events: stripe_types::List<stripe_shared::Event> = read(&events.ok());
        assert!(!events.data.is_empty());
    }
}

/// The client's own client, against the simulator: the wallet's calls as they go over the wire.
#[tokio::test]
async fn async_stripe_s_client_works_against_the_simulator() {
    use stripe::{ClientBuilder, IdempotencyKey, RequestStrategy, StripeRequest};
    use stripe_core::payment_intent::{CancelPaymentIntent, CreatePaymentIntent};

    let stripe = Fixture::new().await;
    let client = ClientBuilder::new("sk_test_1")
        .url(stripe.simulator.url())
        .build()
        .unwrap();
    let key = || RequestStrategy::Idempotent(IdempotencyKey::new("deposit:1:1").unwrap());
    let create = || {
        CreatePaymentIntent::new(1_000, stripe_types::Currency::USD)
            .allowed_payment_method_types([stripe_shared::PaymentIntentAllowedPaymentMethodTypes::Card])
            .metadata([("transaction_id".to_owned(), "t1".to_owned())])
            .customize()
            .request_strategy(key())
    };
    let first = create().send(&client).await.unwrap();
    let again = create().send(&client).await.unwrap();
    assert_eq!(first.id, again.id);
    assert_eq!(
        stripe.effects("payment_intent.create").await[0]["transaction_id"],
        "t1"
    );
    let cancelled = CancelPaymentIntent::new(first.id).send(&client).await.unwrap();
    assert_eq!(cancelled.status, stripe_shared::PaymentIntentStatus::Canceled);
}
