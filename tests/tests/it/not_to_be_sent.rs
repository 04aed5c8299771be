//! What Stripe shows, or keeps back, of the platform's balance and cannot be sent: bank debits that no bank has paid yet, and reserves.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::id_of;
use wallet_tests::{eventually, programs};

use crate::platform_balance::{SHORT, TAKEN, app, is_open, look, take};

/// Stripe shows a bank debit as pending from the moment it is submitted, and takes it back by a `payment_failure_refund` when the bank does not pay
/// (<https://support.stripe.com/questions/changes-to-balance-transaction-behavior-for-debit-payment-methods>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bank_debits_under_way_are_nobodys_money_and_hide_nothing_that_was_taken() {
    let app = app().await;
    app.stripe
        .settings(json!({ "bank_debit_ms": 5 * 24 * 3_600_000_i64 }))
        .await;
    let (alice, wallet) = app.payee(0).await;
    app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let mut debits = Vec::new();
    for method in ["pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds"] {
        let input =
            json!({ "amount": "60.00", "paymentMethod": "BANK_TRANSFER", "stripePaymentMethodId": method });
        let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
        app.at_stage(&id, "awaiting_payment").await;
        debits.push(id);
    }
    eventually("the debits to be submitted", async || {
        app.stripe.effects("payment_intent.submit").await.len() == 2
    })
    .await;
    let compare = async || programs::run("wallet-worker", &["reconcile"], &app.variables).await;
    for _ in 0..3 {
        app.advance(TimeDelta::hours(1)).await;
    }
    let compared = compare().await;
    assert_eq!(compared.code, Some(0), "{compared:?}");
    assert!(compared.out.contains("in flight"), "{compared:?}");
    look(&app).await;
    assert_eq!(app.db.count(SHORT).await, 0);

    take(&app, 3_000).await;
    look(&app).await;
    assert_eq!((app.db.count(SHORT).await, app.db.count(TAKEN).await), (1, 1));
    look(&app).await;
    assert!(!is_open(&app).await, "money-out is stopped");
    app.top_up(3_000).await;
    look(&app).await;
    assert_eq!(app.db.count(SHORT).await, 0, "the alarm is over");

    let [paid, failed] = [&debits[0], &debits[1]];
    app.advance(TimeDelta::days(5)).await;
    app.completed(&alice, paid).await;
    app.failed(&alice, failed).await;
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (16_000, 0));
    look(&app).await;
    assert_eq!((app.db.count(SHORT).await, app.db.count(TAKEN).await), (0, 0));
    let compared = compare().await;
    assert_eq!(compared.code, Some(0), "{compared:?}");
    app.abandon().await;
}

/// Stripe keeps money back as a security by movements of kind `reserve_hold`, and releases it by `reserve_release`
/// (<https://docs.stripe.com/changelog/clover/2026-01-28/monitor-reserve-activity-on-balance-transactions>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stripe_keeps_back_of_the_balance_is_told_and_is_not_taken() {
    const KEPT: &str = "alarms WHERE kind = 'platform_balance_reserved' AND closed_at IS NULL";
    let app = app().await;
    let (alice, wallet) = app.payee(0).await;
    app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    app.at_rest().await;
    app.stripe
        .control("balance/keep_back", json!({ "amount": 6_000 }))
        .await;
    for _ in 0..3 {
        look(&app).await;
    }
    assert_eq!(
        (
            app.db.count(KEPT).await,
            app.db.count(SHORT).await,
            app.db.count(TAKEN).await
        ),
        (1, 0, 0)
    );
    let told: String = app
        .db
        .value(
            "SELECT message FROM alarms WHERE kind = 'platform_balance_reserved'",
            &[],
        )
        .await;
    assert!(
        told.contains("60.00 usd of the platform's balance back in reserve"),
        "{told}"
    );
    assert!(is_open(&app).await, "nothing was taken");
    let compared = programs::run("wallet-worker", &["reconcile"], &app.variables).await;
    assert_eq!(compared.code, Some(0), "{compared:?}");

    // More is missing than is kept back: that was taken.
    take(&app, 1_000).await;
    look(&app).await;
    assert_eq!((app.db.count(KEPT).await, app.db.count(TAKEN).await), (1, 1));
    let compared = programs::run("wallet-worker", &["reconcile"], &app.variables).await;
    assert!(
        compared.out.contains("it was not the platform's own"),
        "{compared:?}"
    );
    app.top_up(1_000).await;
    let compared = programs::run("wallet-worker", &["reconcile"], &app.variables).await;
    assert_eq!(compared.code, Some(0), "{compared:?}");

    // What there is can be sent, more waits for Stripe.
    let withdraw = async |amount: &str| {
        let input = json!({ "amount": amount });
        id_of(&app.withdraw(&alice, &wallet, input).await.data())
    };
    let some = withdraw("30.00").await;
    app.completed(&alice, &some).await;
    app.stripe
        .control("balance/keep_back", json!({ "amount": -6_000 }))
        .await;
    look(&app).await;
    assert_eq!(app.db.count(KEPT).await, 0, "released");
    let rest = withdraw("70.00").await;
    app.completed(&alice, &rest).await;
    let compared = programs::run("wallet-worker", &["reconcile"], &app.variables).await;
    assert_eq!(compared.code, Some(0), "{compared:?}");
    app.abandon().await;
}
