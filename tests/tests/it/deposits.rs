//! Deposits: confirmed by the payer or by the server, declined, slow, and not what was requested.

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::{Role, TestApp, User, eventually, until};

async fn waits_for_payer(app: &TestApp, user: &User, id: &str) -> Value {
    until("the client secret", async || {
        let found = app.transaction(user, id).await;
        found["clientSecret"].is_string().then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_without_a_payment_method_waits_for_the_payer() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let id = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    let waiting = waits_for_payer(&app, &alice, &id).await;
    assert_eq!(waiting["status"], "PROCESSING");
    let intent = waiting["stripePaymentIntentId"].as_str().unwrap().to_owned();
    assert!(
        waiting["clientSecret"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{intent}_secret_"))
    );
    let seen_by_staff = app.transaction(&User::with_role(Role::Support), &id).await;
    assert_eq!(
        (&seen_by_staff["id"], &seen_by_staff["clientSecret"]),
        (&json!(id), &Value::Null),
        "for its owner only"
    );
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));

    // A first card is declined, which is not the end; the second is good.
    assert_eq!(app.stripe.confirm(&intent, "pm_card_chargeDeclined").await, 402);
    until("the decline to be told", async || {
        let timeline = app.transaction(&alice, &id).await["timeline"].to_string();
        timeline.contains("The payer may try again").then_some(())
    })
    .await;
    assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
    assert_eq!(app.stripe.confirm(&intent, "pm_card_visa").await, 200);
    let done = app.completed(&alice, &id).await;
    assert_eq!(done["clientSecret"], Value::Null, "nobody needs it any more");
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_declined_on_the_server_ends_the_deposit_and_its_intent() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    for card in [
        "pm_card_chargeDeclined",
        "pm_card_chargeDeclinedInsufficientFunds",
        "pm_card_chargeDeclinedExpiredCard",
    ] {
        let input =
            json!({ "amount": "25.00", "stripePaymentMethodId": card, "paymentMethod": "CREDIT_CARD" });
        let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
        let failed = app.failed(&alice, &id).await;
        let reason = failed["failureReason"].as_str().unwrap();
        assert!(reason.starts_with("PAYMENT_DECLINED: Your card"), "{reason}");
        let intent = failed["stripePaymentIntentId"].as_str().unwrap();
        assert_eq!(
            app.stripe.get(&format!("/v1/payment_intents/{intent}")).await["status"],
            "canceled",
            "it can never succeed"
        );
    }
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    // The events of the decline and of our own cancelling have told nothing new.
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_method_that_does_not_exist_fails_the_deposit() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let input = json!({ "amount": "25.00", "stripePaymentMethodId": "pm_1NobodyKnowsThis" });
    let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
    let failed = app.failed(&alice, &id).await;
    assert!(
        failed["failureReason"]
            .as_str()
            .unwrap()
            .starts_with("STRIPE_REFUSED: "),
        "{failed:#}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_asks_for_authentication_waits_for_the_payer() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let input = json!({ "amount": "25.00", "stripePaymentMethodId": "pm_card_authenticationRequired" });
    let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
    let waiting = waits_for_payer(&app, &alice, &id).await;
    assert_eq!(waiting["status"], "PROCESSING");
    let intent = waiting["stripePaymentIntentId"].as_str().unwrap();
    assert_eq!(app.stripe.confirm(intent, "pm_card_visa").await, 200);
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_debit_is_credited_when_the_bank_has_paid() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "bank_debit_ms": 86_400_000 })).await;
    let (alice, wallet) = app.owner(0).await;
    let input = json!({ "amount": "80.00", "paymentMethod": "BANK_TRANSFER", "stripePaymentMethodId": "pm_usBankAccount_success" });
    let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
    app.at_stage(&id, "awaiting_payment").await;
    app.at_rest().await;
    assert_eq!(
        app.balances(&alice, &wallet).await,
        (0, 0),
        "nothing is credited before"
    );
    app.advance(TimeDelta::days(1)).await;
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (8_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_cancelled_at_stripe_cancels_its_deposit() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let id = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    let waiting = waits_for_payer(&app, &alice, &id).await;
    let intent = waiting["stripePaymentIntentId"].as_str().unwrap();
    app.stripe
        .form(&format!("/v1/payment_intents/{intent}/cancel"), &[])
        .await;
    let ended = app.ended(&alice, &id).await;
    assert_eq!(ended["status"], "CANCELLED");
    assert!(
        ended["failureReason"]
            .as_str()
            .unwrap()
            .starts_with("PAYMENT_CANCELLED: ")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_currency_without_decimals_is_charged_in_whole_units() {
    let app = TestApp::start().await;
    let user = User::new();
    let wallet = app.wallet(&user, json!({ "currency": "jpy" })).await;
    let input = json!({ "amount": "1200", "stripePaymentMethodId": "pm_card_visa" });
    let id = id_of(&app.deposit(&user, &wallet, input).await.data());
    let done = app.completed(&user, &id).await;
    assert_eq!(
        (&done["amount"], &done["currency"]),
        (&json!("1200"), &json!("jpy"))
    );
    let intent = app
        .stripe
        .get(&format!(
            "/v1/payment_intents/{}",
            done["stripePaymentIntentId"].as_str().unwrap()
        ))
        .await;
    assert_eq!(
        (&intent["amount_received"], &intent["currency"]),
        (&json!(1_200), &json!("jpy"))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_has_one_customer_however_many_deposits_begin_at_once() {
    let app = TestApp::with_workers(2).await;
    let (alice, wallet) = app.owner(0).await;
    let second = app.wallet(&alice, json!({})).await;
    let input = json!({ "amount": "10.00", "stripePaymentMethodId": "pm_card_visa" });
    let (app_, alice_) = (&app, &alice);
    let ids = join_all((0..12).map(|n| {
        let (wallet, input) = (if n % 2 == 0 { &wallet } else { &second }, input.clone());
        async move { id_of(&app_.deposit(alice_, wallet, input).await.data()) }
    }))
    .await;
    for id in &ids {
        app.completed(&alice, id).await;
    }
    assert_eq!(app.stripe.effects("customer.create").await.len(), 1);
    let query = "{ wallets { stripeCustomerId } }";
    let wallets = app.gql(&alice, query, json!({})).await.data();
    assert!(
        wallets[0]["stripeCustomerId"]
            .as_str()
            .unwrap()
            .starts_with("cus_")
    );
    assert_eq!(wallets[0], wallets[1]);
    assert_eq!(app.balances(&alice, &wallet).await, (6_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_was_not_asked_for_goes_to_suspense_and_to_a_person() {
    // Nobody creates our intent: the one that comes carries our transaction's id and another amount.
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let (alice, wallet) = app.owner(0).await;
    let id = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    app.stripe
        .form(
            "/v1/payment_intents",
            &[
                ("amount", "9900"),
                ("currency", "usd"),
                ("confirm", "true"),
                ("payment_method", "pm_card_visa"),
                ("payment_method_types[]", "card"),
                ("metadata[transaction_id]", &id),
                ("metadata[wallet_id]", &wallet),
            ],
        )
        .await;
    app.at_stage(&id, "in_review").await;
    assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
    assert_eq!(
        app.balances(&alice, &wallet).await,
        (0, 0),
        "not a cent of it is credited"
    );
    let suspense = "SELECT sum(amount)::text FROM ledger_entries WHERE account = 'platform:suspense'";
    assert_eq!(
        app.db.value::<Option<String>>(suspense, &[]).await.as_deref(),
        Some("99.00")
    );
    // The deposit's own job comes late, and has nothing to do any more.
    app.start_worker();
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}

/// A payment at Stripe that we did not request, paid, with arbitrary metadata.
pub(crate) async fn paid_at_stripe(app: &TestApp, amount: &str, currency: &str, transaction: &str) -> String {
    let params = [
        ("amount", amount),
        ("currency", currency),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("payment_method_types[]", "card"),
        ("metadata[transaction_id]", transaction),
    ];
    id_of(&app.stripe.form("/v1/payment_intents", &params).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_metadata_claims_credits_nobody() {
    let app = TestApp::start().await;
    let (alice, hers) = app.owner(1_000).await;
    let (bob, his) = app.owner(0).await;
    let waiting = id_of(
        &app.deposit(&alice, &hers, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    waits_for_payer(&app, &alice, &waiting).await;
    let transfer = app.send(&alice, &hers, &his, 100).await;
    app.completed(&alice, &transfer).await;
    // An intent that is not the recorded one of a deposit; of a transaction that is no deposit; of none; of no id.
    let claims = [
        (waiting.as_str(), "processed"),
        (transfer.as_str(), "ignored"),
        ("01900000-0000-7000-8000-000000000001", "ignored"),
        ("'; DROP TABLE wallets; --", "ignored"),
    ];
    for (claim, state) in claims {
        let intent = paid_at_stripe(&app, "2500", "usd", claim).await;
        let told = "stripe_events WHERE type = 'payment_intent.succeeded'";
        eventually(&format!("the event about {claim}"), async || {
            app.db
                .count(&format!(
                    "{told} AND object_id = '{intent}' AND state = '{state}'"
                ))
                .await
                == 1
        })
        .await;
    }
    assert_eq!(app.balances(&alice, &hers).await, (900, 0));
    assert_eq!(app.balances(&bob, &his).await, (100, 0));
    assert_eq!(app.transaction(&alice, &waiting).await["status"], "PROCESSING");
    app.at_rest().await;
    assert_eq!(
        app.alarms().await,
        ["contradiction"],
        "a second payment for one deposit is for a person"
    );
    // Stripe has money here that belongs to nobody, so its log is not compared.
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_in_another_currency_goes_to_suspense_in_that_currency() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let (alice, wallet) = app.owner(0).await;
    let id = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    paid_at_stripe(&app, "2500", "eur", &id).await;
    app.at_stage(&id, "in_review").await;
    let suspense = "SELECT amount::text || currency FROM ledger_entries WHERE account = 'platform:suspense'";
    assert_eq!(app.db.value::<String>(suspense, &[]).await, "25.00eur");
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.start_worker();
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}
