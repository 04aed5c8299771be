//! Every flow in currencies that are not written like dollars: without decimals, with decimals that must be zero, with decimals that
//! cannot be paid out (<https://docs.stripe.com/currencies#special-cases>).

use serde_json::{Value, json};
use wallet_tests::app::id_of;
use wallet_tests::{Answer, TestApp, User, eventually};

/// A person with a wallet in the currency and an account that is paid in it.
async fn payee(app: &TestApp, currency: &str) -> (User, String) {
    let user = User::new();
    let account = json!({ "user_id": user.id, "currency": currency });
    let account = id_of(&app.stripe.control("accounts", account).await);
    let input = json!({ "currency": currency, "stripeAccountId": account });
    let wallet = app.wallet(&user, input).await;
    (user, wallet)
}

async fn done(app: &TestApp, user: &User, answer: Answer) -> String {
    let id = id_of(&answer.data());
    app.completed(user, &id).await;
    id
}

/// What Stripe did of this kind for the transaction, in the currency's minor units at Stripe.
async fn at_stripe(app: &TestApp, id: &str, operation: &str) -> Value {
    let path = format!("/_control/effects?operation={operation}&transaction_id={id}");
    let effects = app.stripe.get(&path).await;
    json!([effects[0]["amount"], effects[0]["currency"]])
}

fn by_card(amount: &str) -> Value {
    json!({ "amount": amount, "stripePaymentMethodId": "pm_card_visa" })
}

/// Deposit, transfer, payment, both refunds, withdrawal, failed payout and lost dispute; `unit`: minor units on Stripe's wire.
async fn every_flow_in(currency: &str, unit: i64) {
    let app = TestApp::start().await;
    let (alice, wallet) = payee(&app, currency).await;
    let (landlord, rent) = payee(&app, currency).await;
    let (_, friend) = payee(&app, currency).await;
    let has = async |units: i64| {
        assert_eq!(
            app.balances(&alice, &wallet).await,
            (units * unit, 0),
            "{currency}"
        );
    };
    let wired = |units: i64| json!([units * unit, currency]);

    let deposit = done(&app, &alice, app.deposit(&alice, &wallet, by_card("5000")).await).await;
    assert_eq!(
        at_stripe(&app, &deposit, "payment_intent.succeed").await,
        wired(5_000)
    );
    let disputed = done(&app, &alice, app.deposit(&alice, &wallet, by_card("2000")).await).await;
    has(7_000).await;

    let input = json!({ "toWalletId": friend, "amount": "700" });
    done(&app, &alice, app.transfer(&alice, &wallet, input).await).await;
    let input = json!({ "toWalletId": rent, "amount": "1000" });
    let payment = done(&app, &alice, app.pay(&alice, &wallet, input).await).await;
    has(5_300).await;
    assert_eq!(
        app.balances(&landlord, &rent).await,
        (990 * unit, 0),
        "1 % is kept"
    );
    done(
        &app,
        &landlord,
        app.refund(&landlord, &payment, json!({ "amount": "500" })).await,
    )
    .await;
    has(5_800).await;
    assert_eq!(app.balances(&landlord, &rent).await, (495 * unit, 0));

    let refund = done(
        &app,
        &alice,
        app.refund(&alice, &deposit, json!({ "amount": "1000" })).await,
    )
    .await;
    assert_eq!(at_stripe(&app, &refund, "refund.create").await, wired(1_000));
    has(4_800).await;

    let paid = done(
        &app,
        &alice,
        app.withdraw(&alice, &wallet, json!({ "amount": "800" })).await,
    )
    .await;
    for operation in ["transfer.create", "payout.create"] {
        assert_eq!(at_stripe(&app, &paid, operation).await, wired(800), "{operation}");
    }
    has(4_000).await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let failed = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "400" }))
            .await
            .data(),
    );
    app.at_stage(&failed, "paying_out").await;
    let payout = app.stripe_id(&failed, "stripe_payout_id").await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "failed" }))
        .await;
    app.failed(&alice, &failed).await;
    assert_eq!(
        at_stripe(&app, &failed, "transfer_reversal.create").await,
        wired(400)
    );
    has(4_000).await;

    let intent = app.stripe_id(&disputed, "stripe_payment_intent_id").await;
    let order = json!({ "payment_intent": intent, "amount": 2_000 * unit, "reason": "fraudulent" });
    let dispute = id_of(&app.stripe.control("disputes", order).await);
    let ours = id_of(&app.relative(&alice, &disputed).await);
    app.at_stage(&ours, "disputed").await;
    assert_eq!(app.balances(&alice, &wallet).await, (2_000 * unit, 2_000 * unit));
    app.stripe
        .control(&format!("disputes/{dispute}"), json!({ "status": "lost" }))
        .await;
    app.completed(&alice, &ours).await;
    has(2_000).await;
    eventually("Stripe's money to be booked", async || {
        app.db.count("jobs").await == 0
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flow_moves_whole_yen() {
    every_flow_in("jpy", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flow_moves_ugandan_shillings_whose_two_decimals_are_zero() {
    every_flow_in("ugx", 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flow_moves_forints_which_are_paid_out_whole() {
    every_flow_in("huf", 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_stripe_does_not_move_are_refused_before_anything_is_stored() {
    let app = TestApp::start().await;
    for (currency, charged) in [("jpy", false), ("ugx", false), ("huf", true)] {
        let (alice, wallet) = payee(&app, currency).await;
        let deposit = done(&app, &alice, app.deposit(&alice, &wallet, by_card("5000")).await).await;
        app.at_rest().await;
        let before = app.db.digest().await;
        let refused = app
            .withdraw(&alice, &wallet, json!({ "amount": "1000.50" }))
            .await;
        assert_eq!(
            (refused.code(), refused.field()),
            (Some("VALIDATION_ERROR"), Some("amount")),
            "{currency}"
        );
        if !charged {
            for refused in [
                app.deposit(&alice, &wallet, by_card("5000.50")).await,
                app.refund(&alice, &deposit, json!({ "amount": "1000.50" })).await,
            ] {
                assert_eq!(
                    (refused.code(), refused.field()),
                    (Some("VALIDATION_ERROR"), Some("amount")),
                    "{currency}"
                );
            }
        }
        assert_eq!(app.db.digest().await, before, "{currency}");
        if charged {
            done(
                &app,
                &alice,
                app.deposit(&alice, &wallet, by_card("5000.50")).await,
            )
            .await;
            assert_eq!(app.balances(&alice, &wallet).await, (1_000_050, 0));
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fee_of_a_payment_in_yen_is_whole() {
    let app = TestApp::start().await;
    let (alice, wallet) = payee(&app, "jpy").await;
    let (landlord, rent) = payee(&app, "jpy").await;
    done(&app, &alice, app.deposit(&alice, &wallet, by_card("5000")).await).await;
    let input = json!({ "toWalletId": rent, "amount": "1050" });
    let payment = app.pay(&alice, &wallet, input).await.data();
    assert_eq!(payment["fee"], "11", "1 % is 10.5");
    app.completed(&alice, &id_of(&payment)).await;
    assert_eq!(app.balances(&landlord, &rent).await, (1_039, 0));
    app.finish().await;
}

/// Bulgaria's currency is the euro since 2026, and Stripe takes no payments in the lev (<https://docs.stripe.com/currencies>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_currency_that_was_replaced_takes_no_wallets_and_no_money_any_more() {
    let app = TestApp::with_workers(0).await;
    let (alice, wallet) = app.owner(0).await;
    let query = "mutation { createWallet(input: { currency: \"bgn\" }) { id } }";
    let refused = app.gql(&alice, query, json!({})).await;
    assert_eq!(
        (refused.code(), refused.field()),
        (Some("VALIDATION_ERROR"), Some("currency")),
        "{refused:?}"
    );
    assert!(refused.message().contains("was replaced by eur"), "{refused:?}");
    // One of before.
    app.db.execute("UPDATE wallets SET currency = 'bgn'", &[]).await;
    let refused = app.deposit(&alice, &wallet, json!({ "amount": "25.00" })).await;
    assert_eq!(refused.code(), Some("VALIDATION_ERROR"), "{refused:?}");
    assert!(
        refused.message().contains("eur, which has replaced bgn"),
        "{refused:?}"
    );
    app.finish().await;
}
