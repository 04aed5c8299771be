//! A customer that Stripe no longer knows is created again, once for the person.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::{id_of, uuid};
use wallet_tests::{TestApp, User};

async fn customer_of(app: &TestApp, user: &User) -> String {
    app.db
        .value(
            "SELECT stripe_customer_id FROM stripe_customers WHERE user_id = $1",
            &[&user.id],
        )
        .await
}

/// The person's customer is lost: deleted in the dashboard (<https://docs.stripe.com/api/customers/delete>), or of another Stripe account.
async fn lose(app: &TestApp, user: &User, deleted: bool) -> String {
    let lost = customer_of(app, user).await;
    if deleted {
        app.stripe.delete(&format!("/v1/customers/{lost}")).await;
        return lost;
    }
    let other = "cus_ofAnotherAccount";
    for sql in [
        "UPDATE stripe_customers SET stripe_customer_id = $2 WHERE user_id = $1",
        "UPDATE wallets SET stripe_customer_id = $2 WHERE user_id = $1",
        "UPDATE stripe_calls SET stripe_object_id = $2 WHERE subject_id = $1 AND operation = 'customer'",
    ] {
        assert!(app.db.execute(sql, &[&user.id, &other]).await > 0, "{sql}");
    }
    other.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_of_a_person_whose_customer_is_lost_is_made_with_a_new_one() {
    for deleted in [true, false] {
        let app = TestApp::start().await;
        let (alice, wallet) = app.owner(0).await;
        let second = app.wallet(&alice, json!({})).await;
        app.deposited(&alice, &wallet, 1_000, "pm_card_visa").await;
        let lost = lose(&app, &alice, deleted).await;
        // Two at once, of two wallets: by the payer's client, and by a payment method.
        let by_payer = id_of(
            &app.deposit(&alice, &second, json!({ "amount": "20.00" }))
                .await
                .data(),
        );
        let input = json!({ "amount": "30.00", "stripePaymentMethodId": "pm_card_visa" });
        let by_server = id_of(&app.deposit(&alice, &wallet, input).await.data());
        app.hurry_until("both to be asked for", TimeDelta::seconds(2), async || {
            let done = "wallet_transactions WHERE stage IN ('awaiting_payment', 'completed') AND stripe_payment_intent_id IS NOT NULL";
            app.db.count(done).await == 3
        })
        .await;
        let intent = app.stripe_id(&by_payer, "stripe_payment_intent_id").await;
        app.stripe.confirm(&intent, "pm_card_visa").await;
        for id in [&by_payer, &by_server] {
            app.completed(&alice, id).await;
        }
        assert_eq!(app.balances(&alice, &wallet).await, (4_000, 0));
        let new = customer_of(&app, &alice).await;
        assert_ne!(new, lost);
        assert_eq!(
            app.stripe.effects("customer.create").await.len(),
            2,
            "one new one for both"
        );
        for wallet in [&wallet, &second] {
            let of_wallet = "SELECT stripe_customer_id FROM wallets WHERE id = $1";
            assert_eq!(app.db.value::<String>(of_wallet, &[&uuid(wallet)]).await, new);
        }
        let trail =
            "SELECT count(*) FROM audit_log WHERE action = 'forget_customer' AND detail->>'lost' = $1";
        assert_eq!(app.db.value::<i64>(trail, &[&lost]).await, 1);
        // A minute later nothing of it is left.
        app.advance(TimeDelta::minutes(1)).await;
        app.deposited(&alice, &second, 500, "pm_card_visa").await;
        assert_eq!(app.stripe.effects("customer.create").await.len(), 2);
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_method_that_went_with_its_customer_fails_the_deposit_and_says_so() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    app.deposited(&alice, &wallet, 1_000, "pm_card_visa").await;
    let customer = customer_of(&app, &alice).await;
    let saved = app
        .stripe
        .form(
            "/v1/payment_methods/pm_card_visa/attach",
            &[("customer", customer.as_str())],
        )
        .await;
    let saved = id_of(&saved);
    app.deposited(&alice, &wallet, 1_000, &saved).await;
    lose(&app, &alice, true).await;
    let input = json!({ "amount": "30.00", "stripePaymentMethodId": saved });
    let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
    app.hurry_until("it to fail", TimeDelta::seconds(2), async || {
        app.transaction(&alice, &id).await["status"] == "FAILED"
    })
    .await;
    let failed = app.transaction(&alice, &id).await;
    let told = failed["timeline"].to_string();
    assert!(
        told.contains("payment methods saved with the old one have to be added again"),
        "{told}"
    );
    // Another one works.
    app.deposited(&alice, &wallet, 1_000, "pm_card_mastercard").await;
    app.finish().await;
}
