//! What Stripe charges for a refund under some contracts (<https://support.stripe.com/questions/understanding-fees-for-refunded-payments>):
//! the platform's cost, booked once, whoever made the refund and however it ends.

use serde_json::json;
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::{TestApp, eventually, programs};

use crate::cancel::awaiting;
use crate::platform_balance;

const FEE: i64 = 30;

async fn charging() -> TestApp {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "refund_fee_fixed": FEE })).await;
    app
}

/// What Stripe has charged for a transaction, in cents.
async fn charged(app: &TestApp, id: &str) -> i64 {
    let sum = "SELECT coalesce(-100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'stripe:fees' AND transaction_id = $1";
    app.db.value(sum, &[&uuid(id)]).await
}

/// The ledger agrees with Stripe and with itself.
async fn assert_agrees(app: &TestApp) {
    app.at_rest().await;
    for command in ["reconcile", "verify"] {
        let ended = programs::run("wallet-worker", &[command], &app.variables).await;
        assert_eq!(ended.code, Some(0), "{command}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stripe_charges_for_a_refund_is_booked_whoever_made_it() {
    let app = charging().await;
    let (ada, wallet) = app.owner(0).await;
    let deposit = app.deposited(&ada, &wallet, 10_000, "pm_card_visa").await;
    let part = json!({ "amount": "20.00" });
    let ours = id_of(&app.refund(&ada, &deposit, part).await.data());
    app.completed(&ada, &ours).await;
    assert_agrees(&app).await;
    assert_eq!(charged(&app, &ours).await, FEE);
    let other = app.deposited(&ada, &wallet, 5_000, "pm_card_visa").await;
    let intent = app.stripe_id(&other, "stripe_payment_intent_id").await;
    let part = json!({ "payment_intent": intent, "amount": 1_500 });
    app.stripe.control("refunds", part).await;
    let theirs = id_of(&app.relative(&ada, &other).await);
    app.completed(&ada, &theirs).await;
    assert_agrees(&app).await;
    assert_eq!(charged(&app, &theirs).await, FEE);
    // Nothing of it is the wallet's.
    assert_eq!(app.balances(&ada, &wallet).await, (11_500, 0));
    app.finish().await;
}

/// Stripe takes its fee with the refund's money, long before a bank has it, and keeps it when the money comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fee_of_a_refund_is_booked_once_while_it_is_pending_and_stays_when_it_fails() {
    let app = platform_balance::app().await;
    app.stripe
        .settings(json!({ "refund_fee_fixed": FEE, "refund_pending_ms": 432_000_000_u64 }))
        .await;
    let (ada, wallet) = app.owner(0).await;
    // Enough for every refund and its fee, and all of it the wallet's: what is missing is told, and only what was taken stops money-out.
    app.deposited(&ada, &wallet, 10_000, "pm_card_visa").await;
    for ends in [&["succeeded"][..], &["failed"], &["succeeded", "failed"]] {
        let deposit = app.deposited(&ada, &wallet, 4_000, "pm_card_pendingRefund").await;
        let refund = id_of(&app.refund(&ada, &deposit, json!({})).await.data());
        app.at_stage(&refund, "refunding").await;
        app.at_rest().await;
        assert_eq!(charged(&app, &refund).await, FEE, "{ends:?}");
        platform_balance::look(&app).await;
        assert!(platform_balance::is_open(&app).await, "{ends:?}");
        let taken = "alarms WHERE kind = 'platform_balance_taken'";
        assert_eq!(
            app.db.count(taken).await,
            0,
            "{ends:?}: a fee is told as what it is"
        );
        let object = app.stripe_id(&refund, "stripe_refund_id").await;
        for end in ends {
            let becomes = json!({ "status": end });
            app.stripe.control(&format!("refunds/{object}"), becomes).await;
            let stage = if ends.len() == 1 && *end == "failed" {
                "failed"
            } else {
                "completed"
            };
            app.at_stage(&refund, stage).await;
        }
        if ends.len() == 2 {
            let back = id_of(&app.relative(&ada, &refund).await);
            app.completed(&ada, &back).await;
        }
        assert_agrees(&app).await;
        assert_eq!(charged(&app, &refund).await, FEE, "{ends:?}");
    }
    assert_eq!(app.balances(&ada, &wallet).await, (18_000, 0));
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stripe_charges_for_a_return_from_suspense_is_booked_with_it() {
    let app = charging().await;
    let (ada, wallet) = app.owner(0).await;
    for by_us in [true, false] {
        let (id, intent) = awaiting(&app, &ada, &wallet, "25.00").await;
        let received = json!({ "amount": 2_000 });
        app.stripe
            .control(&format!("payment_intents/{intent}/receive"), received)
            .await;
        app.at_stage(&id, "in_review").await;
        app.at_rest().await;
        if by_us {
            let args = ["review", "return", &id, "--reason", "the payer asked"];
            let decided = programs::run("wallet-worker", &args, &app.variables).await;
            assert_eq!(decided.code, Some(0), "{decided:?}");
        } else {
            let all = json!({ "payment_intent": intent });
            app.stripe.control("refunds", all).await;
        }
        app.failed(&ada, &id).await;
        assert_agrees(&app).await;
        assert_eq!(charged(&app, &id).await, FEE, "by us: {by_us}");
    }
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch", "payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}

/// A refund made in the dashboard that failed before its events came: it returns nothing, and Stripe has charged for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fee_of_a_refund_that_failed_unheard_of_is_its_deposit_s() {
    let app = charging().await;
    app.stripe
        .settings(json!({ "refund_pending_ms": 3_600_000 }))
        .await;
    let (ada, wallet) = app.owner(0).await;
    let deposit = app.deposited(&ada, &wallet, 1_000, "pm_card_pendingRefund").await;
    app.at_rest().await;
    let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let order = json!({ "payment_intent": intent, "amount": 600 });
    let made = id_of(&app.stripe.control("refunds", order).await);
    app.stripe.clear_faults().await;
    let failed = json!({ "status": "failed" });
    app.stripe.control(&format!("refunds/{made}"), failed).await;
    eventually("the fee to be booked", async || {
        charged(&app, &deposit).await == FEE
    })
    .await;
    assert_agrees(&app).await;
    assert_eq!(app.balances(&ada, &wallet).await, (1_000, 0));
    app.finish().await;
}
