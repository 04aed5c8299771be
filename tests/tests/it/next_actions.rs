//! A payment that waits for its payer has the time that Stripe gives it: minutes for a redirect, days for a voucher or micro-deposits.

use chrono::TimeDelta;
use serde_json::json;
use wallet_core::clock::Clock;
use wallet_tests::app::id_of;
use wallet_tests::{TestApp, User, eventually};

const DAY: i64 = 86_400;

/// A deposit whose payer has to act in this way, by then.
async fn waiting(app: &TestApp, user: &User, wallet: &str, kind: &str, days: i64) -> (String, String) {
    let id = id_of(
        &app.deposit(user, wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    app.at_stage(&id, "awaiting_payment").await;
    let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
    let method = [("payment_method", "pm_card_authenticationRequired")];
    app.stripe
        .form(&format!("/v1/payment_intents/{intent}/confirm"), &method)
        .await;
    app.stripe
        .control(
            &format!("payment_intents/{intent}/action"),
            json!({ "type": kind, "in_seconds": days * DAY }),
        )
        .await;
    (id, intent)
}

/// Lets time pass and the deposit be polled.
async fn pass(app: &TestApp, id: &str, days: i64) {
    app.advance(TimeDelta::days(days) + TimeDelta::hours(1)).await;
    let asked = "SELECT checked_at >= $2 FROM wallet_transactions WHERE id = $1";
    let now = app.clock.now() - TimeDelta::minutes(10);
    eventually("the deposit to be asked about", async || {
        let asked: Option<bool> = app.db.value(asked, &[&wallet_tests::app::uuid(id), &now]).await;
        asked.unwrap_or(false) && app.db.count("jobs WHERE kind = 'ask_stripe'").await == 0
    })
    .await;
}

/// <https://docs.stripe.com/payments/vouchers>, <https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voucher_and_micro_deposits_are_waited_for_longer_than_a_day_and_then_paid() {
    let app = TestApp::start().await;
    for (kind, ends_in) in [
        ("boleto_display_details", 3),
        ("oxxo_display_details", 3),
        ("konbini_display_details", 3),
        ("verify_with_microdeposits", 2),
    ] {
        let (alice, wallet) = app.owner(0).await;
        let (id, intent) = waiting(&app, &alice, &wallet, kind, ends_in).await;
        pass(&app, &id, ends_in - 1).await;
        assert_eq!(
            app.transaction(&alice, &id).await["status"],
            "PROCESSING",
            "{kind}"
        );
        app.stripe
            .control(&format!("payment_intents/{intent}/authenticate"), json!({}))
            .await;
        app.completed(&alice, &id).await;
        assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0), "{kind}");
    }
    app.finish().await;
}

/// <https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_does_in_time_ends_by_what_was_to_be_done() {
    let app = TestApp::start().await;
    for (kind, ends_in, alive, over) in [
        ("use_stripe_sdk", 0, 0, 1),
        ("boleto_display_details", 3, 7, 9),
        ("verify_with_microdeposits", 2, 12, 14),
    ] {
        let (alice, wallet) = app.owner(0).await;
        let (id, _) = waiting(&app, &alice, &wallet, kind, ends_in).await;
        if alive > 0 {
            pass(&app, &id, alive).await;
            assert_eq!(
                app.transaction(&alice, &id).await["status"],
                "PROCESSING",
                "{kind}"
            );
        }
        app.advance(TimeDelta::days(over - alive) + TimeDelta::hours(1))
            .await;
        let failed = app.ended(&alice, &id).await;
        let reason = failed["failureReason"].as_str().unwrap();
        assert!(reason.starts_with("PAYMENT_EXPIRED: "), "{kind}: {reason}");
    }
    app.finish().await;
}
