//! Refunds of deposits that were made by the lost database.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::TestApp;
use wallet_tests::app::id_of;
use wallet_tests::programs::run;

use super::{money_out, told_of_several};

/// What the lost database had returned for a refund of 20.00.
async fn refunded_by_lost_books(app: &TestApp, wallet: &str, deposit: &str, refund: &str) -> String {
    let intent = app.stripe_id(deposit, "stripe_payment_intent_id").await;
    let params = [
        ("payment_intent", intent.as_str()),
        ("amount", "2000"),
        ("metadata[transaction_id]", refund),
        ("metadata[wallet_id]", wallet),
    ];
    id_of(&app.stripe.form("/v1/refunds", &params).await)
}

/// The payer's bank disputes 50.00 of the deposit.
async fn disputed(app: &TestApp, deposit: &str) {
    let intent = app.stripe_id(deposit, "stripe_payment_intent_id").await;
    let what = json!({ "payment_intent": intent, "amount": 5_000 });
    app.stripe.control("disputes", what).await;
    app.hurry_until("the dispute to be booked", TimeDelta::minutes(1), async || {
        app.db
            .count("wallet_transactions WHERE flow = 'dispute' AND stage = 'disputed'")
            .await
            == 1
    })
    .await;
}

async fn is_booked_as_made_by_others(app: &TestApp) {
    app.hurry_until("the refund to be booked", TimeDelta::hours(2), async || {
        app.db
            .count("wallet_transactions WHERE flow = 'outside_refund' AND status = 'completed'")
            .await
            == 1
    })
    .await;
    app.at_rest().await;
    assert_eq!(app.db.count("jobs WHERE parked_at IS NOT NULL").await, 0);
    assert_eq!(app.db.count("alarms WHERE kind = 'contradiction'").await, 0);
}

/// A refund that the lost database made, and that cannot be held here, fails as requested; what has left is booked as made by others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_made_after_the_backup_that_cannot_be_granted_is_booked_by_its_event() {
    for why in ["DISPUTED: ", "WALLET_INACTIVE: ", "INSUFFICIENT_FUNDS: "] {
        let mut app = TestApp::start().await;
        let (ada, wallet) = app.owner(0).await;
        let (_, shop) = app.owner(0).await;
        let deposit = app.deposited(&ada, &wallet, 10_000, "pm_card_visa").await;
        app.at_rest().await;
        app.stop_workers().await;
        let input = json!({ "amount": "20.00" });
        let id = id_of(&app.refund(&ada, &deposit, input).await.data());
        refunded_by_lost_books(&app, &wallet, &deposit, &id).await;
        let balances = match why {
            "DISPUTED: " => {
                app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
                disputed(&app, &deposit).await;
                (3_000, 5_000)
            }
            "WALLET_INACTIVE: " => {
                let args = ["wallets", "deactivate", &wallet, "--reason", "to be safe"];
                let done = run("wallet-worker", &args, &app.variables).await;
                assert_eq!(done.code, Some(0), "{done:?}");
                (8_000, 0)
            }
            _ => {
                let spent = app.send(&ada, &wallet, &shop, 9_000).await;
                app.start_worker_with(&[("WORKER_QUEUES", "transfers")]);
                app.completed(&ada, &spent).await;
                (0, 0)
            }
        };
        app.start_worker();
        let failed = app.failed(&ada, &id).await;
        let reason = failed["failureReason"].as_str().unwrap();
        assert!(reason.starts_with(why), "{reason}");
        is_booked_as_made_by_others(&app).await;
        assert_eq!(app.balances(&ada, &wallet).await, balances, "{why}");
        app.abandon().await;
    }
}

/// Its owner asked to cancel it, which found the refund at Stripe before it was held; then it can no longer be held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_was_found_and_cannot_be_granted_is_booked_as_made_by_others() {
    for is_told in [true, false] {
        let mut app = TestApp::start().await;
        let (ada, wallet) = app.owner(0).await;
        let deposit = app.deposited(&ada, &wallet, 10_000, "pm_card_visa").await;
        app.at_rest().await;
        app.stop_workers().await;
        let input = json!({ "amount": "20.00" });
        let id = id_of(&app.refund(&ada, &deposit, input).await.data());
        if !is_told {
            for event in ["refund.*", "charge.refund*"] {
                app.stripe
                    .webhook_fault(json!({ "event": event, "drop": true }))
                    .await;
            }
        }
        let made = refunded_by_lost_books(&app, &wallet, &deposit, &id).await;
        app.cancel(&ada, &id).await;
        app.start_worker_with(&[("WORKER_QUEUES", "maintenance")]);
        app.hurry_until("the refund to be found", TimeDelta::minutes(1), async || {
            app.db.count("jobs WHERE kind = 'cancel'").await == 0
        })
        .await;
        let found = format!("stripe_calls WHERE operation = 'refund' AND stripe_object_id = '{made}'");
        assert_eq!(app.db.count(&found).await, 1);
        app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
        disputed(&app, &deposit).await;
        assert_eq!(app.transaction(&ada, &id).await["status"], "PENDING");
        app.start_worker_with(&[("WORKER_QUEUES", "deposits")]);
        let failed = app.failed(&ada, &id).await;
        let reason = failed["failureReason"].as_str().unwrap();
        assert!(reason.starts_with("DISPUTED: "), "{reason}");
        is_booked_as_made_by_others(&app).await;
        assert_eq!(app.balances(&ada, &wallet).await, (3_000, 5_000));
        app.abandon().await;
    }
}

/// Of two refunds for one the first is its own, and the other is booked as made by others: both have left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_was_made_twice_after_the_backup_is_booked_twice() {
    for is_cancelled in [true, false] {
        let app = TestApp::start().await;
        let (ada, wallet) = app.owner(0).await;
        let deposit = app.deposited(&ada, &wallet, 10_000, "pm_card_visa").await;
        app.at_rest().await;
        money_out(&app, &["stop", "--reason", "a backup is restored"]).await;
        let input = json!({ "amount": "20.00" });
        let id = id_of(&app.refund(&ada, &deposit, input).await.data());
        app.at_stage(&id, "held").await;
        let first = refunded_by_lost_books(&app, &wallet, &deposit, &id).await;
        // Stripe's times are whole seconds.
        app.advance(TimeDelta::seconds(2)).await;
        let second = refunded_by_lost_books(&app, &wallet, &deposit, &id).await;
        if is_cancelled {
            app.cancel(&ada, &id).await;
            app.hurry_until("the wish to be answered", TimeDelta::minutes(1), async || {
                app.db.count("jobs WHERE kind = 'cancel'").await == 0
            })
            .await;
        } else {
            app.advance(TimeDelta::hours(25)).await;
        }
        money_out(&app, &["start"]).await;
        app.hurry_until("the refund to end", TimeDelta::minutes(1), async || {
            app.transaction(&ada, &id).await["status"] == "COMPLETED"
        })
        .await;
        assert_eq!(app.stripe_id(&id, "stripe_refund_id").await, first);
        is_booked_as_made_by_others(&app).await;
        assert_eq!(app.balances(&ada, &wallet).await, (6_000, 0));
        told_of_several(&app, &id, &second).await;
        app.abandon().await;
    }
}

/// What was returned to the payer is not returned to the wallet, even if its owner asks for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_made_after_the_backup_is_not_given_back() {
    let app = TestApp::start().await;
    let (ada, wallet) = app.owner(0).await;
    let deposit = app.deposited(&ada, &wallet, 5_000, "pm_card_visa").await;
    app.at_rest().await;
    money_out(&app, &["stop", "--reason", "a backup is restored"]).await;
    let input = json!({ "amount": "20.00" });
    let id = id_of(&app.refund(&ada, &deposit, input).await.data());
    app.at_stage(&id, "held").await;
    refunded_by_lost_books(&app, &wallet, &deposit, &id).await;
    app.cancel(&ada, &id).await;
    app.hurry_until("the wish to be answered", TimeDelta::minutes(1), async || {
        app.db.count("jobs WHERE kind = 'cancel'").await == 0
    })
    .await;
    money_out(&app, &["start"]).await;
    app.hurry_until("the refund to end", TimeDelta::minutes(1), async || {
        app.transaction(&ada, &id).await["status"] == "COMPLETED"
    })
    .await;
    app.at_rest().await;
    assert_eq!(app.stripe.effects_of(&id, "refund.create").await, 1);
    assert_eq!(app.balances(&ada, &wallet).await, (3_000, 0));
    let outside = "wallet_transactions WHERE flow = 'outside_refund'";
    assert_eq!(app.db.count(outside).await, 0);
    app.abandon().await;
}
