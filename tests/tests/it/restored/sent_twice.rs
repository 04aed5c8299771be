//! Withdrawals that were sent twice by the lost database.

use chrono::TimeDelta;
use wallet_tests::TestApp;
use wallet_tests::programs::run;

use super::{held, money_out, sent_by_lost_books, taken_back, told_of_several};

/// Of two transfers for one withdrawal the first is its own; an alarm reports the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_that_was_sent_twice_after_the_backup_goes_on_with_the_first() {
    for is_cancelled in [true, false] {
        let app = TestApp::start().await;
        let (ada, wallet, id) = held(&app).await;
        let first = sent_by_lost_books(&app, &wallet, &id).await;
        // Stripe's times are whole seconds.
        app.advance(TimeDelta::seconds(2)).await;
        let second = sent_by_lost_books(&app, &wallet, &id).await;
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
        app.hurry_until("the withdrawal to end", TimeDelta::minutes(10), async || {
            app.transaction(&ada, &id).await["status"] == "COMPLETED"
        })
        .await;
        assert_eq!(app.stripe_id(&id, "stripe_transfer_id").await, first);
        assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 2);
        assert_eq!(app.balances(&ada, &wallet).await, (5_000, 0));
        told_of_several(&app, &id, &second).await;
        app.abandon().await;
    }
}

/// When the transfer on record is reversed while another one exists, an operator reverses that one as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_that_was_sent_twice_after_the_backup_fails_when_both_are_back() {
    let app = TestApp::start().await;
    let (ada, wallet, id) = held(&app).await;
    let first = sent_by_lost_books(&app, &wallet, &id).await;
    app.advance(TimeDelta::seconds(2)).await;
    let second = sent_by_lost_books(&app, &wallet, &id).await;
    app.cancel(&ada, &id).await;
    app.hurry_until("the wish to be answered", TimeDelta::minutes(1), async || {
        app.db.count("jobs WHERE kind = 'cancel'").await == 0
    })
    .await;
    taken_back(&app, &first).await;
    money_out(&app, &["start"]).await;
    app.hurry_until("a person to be called", TimeDelta::minutes(1), async || {
        let parked =
            format!("jobs WHERE parked_at IS NOT NULL AND last_error LIKE '%{second} is still there%'");
        app.db.count(&parked).await == 1
    })
    .await;
    assert_eq!(app.balances(&ada, &wallet).await, (5_000, 5_000));
    taken_back(&app, &second).await;
    let job: i64 = app
        .db
        .value("SELECT id FROM jobs WHERE parked_at IS NOT NULL", &[])
        .await;
    let args = ["requeue", &job.to_string(), "--reason", "both are back"];
    let requeued = run("wallet-worker", &args, &app.variables).await;
    assert_eq!(requeued.code, Some(0), "{requeued:?}");
    app.hurry_until("the withdrawal to end", TimeDelta::minutes(10), async || {
        app.transaction(&ada, &id).await["status"] == "FAILED"
    })
    .await;
    assert_eq!(app.stripe.effects_of(&id, "payout.create").await, 0);
    assert_eq!(app.balances(&ada, &wallet).await, (10_000, 0));
    app.abandon().await;
}
