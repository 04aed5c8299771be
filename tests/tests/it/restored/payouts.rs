//! Payouts that were made by the lost database.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::id_of;
use wallet_tests::programs::run;
use wallet_tests::{TestApp, User, eventually};

use super::{money_out, taken_back, told_of_several};

/// What the lost database had paid out for a withdrawal.
pub(super) async fn paid_out_by_lost_books(app: &TestApp, wallet: &str, withdrawal: &str) -> String {
    let account = app.account_of(wallet).await;
    let params = [
        ("amount", "5000"),
        ("currency", "usd"),
        ("metadata[transaction_id]", withdrawal),
        ("metadata[wallet_id]", wallet),
    ];
    id_of(&app.stripe.form_as(&account, "/v1/payouts", &params).await)
}

/// A withdrawal of 50.00 whose payout Stripe refuses, as the backup has it, with no worker; no webhook comes.
async fn transferred(app: &mut TestApp) -> (User, String, String) {
    transferred_and(app, "balance_insufficient", "refused").await
}

/// The same, when Stripe does this to the payout, so that its call has that outcome.
async fn transferred_and(app: &mut TestApp, fault: &str, outcome: &str) -> (User, String, String) {
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (ada, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "payouts.create", "outcome": fault }))
        .await;
    let input = json!({ "amount": "50.00" });
    let id = id_of(&app.withdraw(&ada, &wallet, input).await.data());
    app.at_stage(&id, "transferred").await;
    let tried = format!("stripe_calls WHERE operation = 'payout' AND outcome = '{outcome}'");
    eventually("its payout to be tried", async || app.db.count(&tried).await > 0).await;
    app.stop_workers().await;
    app.stripe.clear_faults().await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    (ada, wallet, id)
}

async fn told_of_another(app: &TestApp) {
    let is_told = "alarms WHERE kind = 'payout_by_others' AND closed_at IS NULL";
    app.hurry_until("a person to be asked", TimeDelta::days(3), async || {
        app.db.count(is_told).await == 1
    })
    .await;
}

/// A payout that the lost database had made has brought the money to the bank: it is not reversed from the account, where other money may be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_out_after_the_backup_is_not_taken_back() {
    let app = TestApp::start().await;
    let (ada, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "payouts.create", "outcome": "error_503" }))
        .await;
    let input = json!({ "amount": "50.00" });
    let id = id_of(&app.withdraw(&ada, &wallet, input).await.data());
    app.at_stage(&id, "transferred").await;
    money_out(&app, &["stop", "--reason", "a backup is restored"]).await;
    eventually("the try under way to end", async || {
        app.db.count("jobs WHERE lease_until IS NOT NULL").await == 0
    })
    .await;
    app.stripe.clear_faults().await;
    // The call as the backup has it: prepared, and never tried.
    let prepared = "UPDATE stripe_calls SET outcome = 'prepared', tries = 0 WHERE operation = 'payout'";
    app.db.execute(prepared, &[]).await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let paid = paid_out_by_lost_books(&app, &wallet, &id).await;
    let args = ["wallets", "deactivate", &wallet, "--reason", "to be safe"];
    let done = run("wallet-worker", &args, &app.variables).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    app.hurry_until("the payout to be found", TimeDelta::minutes(2), async || {
        let found = "stripe_calls WHERE operation = 'payout' AND outcome = 'succeeded'";
        app.db.count(found).await == 1
    })
    .await;
    app.hurry_until("the withdrawal to end", TimeDelta::hours(30), async || {
        app.transaction(&ada, &id).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.stripe_id(&id, "stripe_payout_id").await, paid);
    assert_eq!(app.stripe.effects_of(&id, "payout.create").await, 1);
    assert_eq!(app.stripe.effects_of(&id, "reversal.create").await, 0);
    assert_eq!(app.balances(&ada, &wallet).await, (5_000, 0));
    app.abandon().await;
}

/// What the lost database paid out is found whatever an operator has decided without knowing of it, and its state decides: paid, or back after days.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_out_after_the_backup_ends_as_stripe_says_whatever_was_decided() {
    for (decision, becomes, ends, left) in [
        ("taken-back", "paid", "COMPLETED", 5_000),
        ("taken-back", "failed", "FAILED", 10_000),
        ("paid", "failed", "FAILED", 10_000),
    ] {
        let mut app = TestApp::start().await;
        let (ada, wallet, id) = transferred(&mut app).await;
        let made = paid_out_by_lost_books(&app, &wallet, &id).await;
        app.start_worker();
        told_of_another(&app).await;
        let args = ["withdrawals", decision, &id, "--reason", "in a hurry"];
        let done = run("wallet-worker", &args, &app.variables).await;
        assert_eq!(done.code, Some(0), "{done:?}");
        app.at_stage(&id, "paying_out").await;
        assert_eq!(app.stripe_id(&id, "stripe_payout_id").await, made);
        app.stripe
            .control(&format!("payouts/{made}"), json!({ "status": becomes }))
            .await;
        app.hurry_until("the withdrawal to end", TimeDelta::days(3), async || {
            app.transaction(&ada, &id).await["status"] == ends
        })
        .await;
        assert_eq!(
            app.balances(&ada, &wallet).await,
            (left, 0),
            "{decision} {becomes}"
        );
        assert_eq!(app.stripe.effects_of(&id, "payout.create").await, 1);
        assert_eq!(app.db.count("jobs WHERE parked_at IS NOT NULL").await, 0);
        app.abandon().await;
    }
}

/// Of two payouts for one withdrawal the one that was paid is its own, whatever was decided; the other has taken other money of the account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_that_was_paid_out_twice_after_the_backup_ends_as_paid() {
    for decision in ["paid", "taken-back"] {
        let mut app = TestApp::start().await;
        let (ada, wallet, id) = transferred(&mut app).await;
        let account = app.account_of(&wallet).await;
        let more = [
            ("amount", "5000"),
            ("currency", "usd"),
            ("destination", account.as_str()),
        ];
        app.stripe.form("/v1/transfers", &more).await;
        let first = paid_out_by_lost_books(&app, &wallet, &id).await;
        let second = paid_out_by_lost_books(&app, &wallet, &id).await;
        app.stripe
            .control(&format!("payouts/{second}"), json!({ "status": "paid" }))
            .await;
        app.start_worker();
        told_of_another(&app).await;
        let args = ["withdrawals", decision, &id, "--reason", "looked at"];
        let done = run("wallet-worker", &args, &app.variables).await;
        assert_eq!(done.code, Some(0), "{done:?}");
        app.hurry_until("the withdrawal to end", TimeDelta::minutes(10), async || {
            app.transaction(&ada, &id).await["status"] == "COMPLETED"
        })
        .await;
        assert_eq!(app.stripe_id(&id, "stripe_payout_id").await, second, "{decision}");
        told_of_several(&app, &id, &first).await;
        assert_eq!(app.balances(&ada, &wallet).await, (5_000, 0), "{decision}");
        app.abandon().await;
    }
}

/// The same if our own call got no answer for a day, and its key is forgotten: what was paid counts, and not what has failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_is_looked_up_among_several_is_the_one_that_was_paid() {
    for of_first in ["pending", "failed"] {
        let mut app = TestApp::start().await;
        let (ada, wallet, id) = transferred_and(&mut app, "drop_before", "unknown").await;
        let account = app.account_of(&wallet).await;
        let more = [
            ("amount", "5000"),
            ("currency", "usd"),
            ("destination", account.as_str()),
        ];
        app.stripe.form("/v1/transfers", &more).await;
        let first = paid_out_by_lost_books(&app, &wallet, &id).await;
        let second = paid_out_by_lost_books(&app, &wallet, &id).await;
        for (payout, status) in [(&first, of_first), (&second, "paid")] {
            if status != "pending" {
                app.stripe
                    .control(&format!("payouts/{payout}"), json!({ "status": status }))
                    .await;
            }
        }
        app.advance(TimeDelta::hours(25)).await;
        app.start_worker();
        app.hurry_until("the withdrawal to end", TimeDelta::minutes(10), async || {
            app.transaction(&ada, &id).await["status"] == "COMPLETED"
        })
        .await;
        assert_eq!(app.stripe_id(&id, "stripe_payout_id").await, second, "{of_first}");
        assert_eq!(app.balances(&ada, &wallet).await, (5_000, 0), "{of_first}");
        app.abandon().await;
    }
}

/// The payout of the lost database is looked up even if the transfer was reversed from other money of the account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_out_and_then_taken_back_from_other_money_is_not_given_back() {
    let mut app = TestApp::start().await;
    let (ada, wallet, id) = transferred(&mut app).await;
    let made = paid_out_by_lost_books(&app, &wallet, &id).await;
    let account = app.account_of(&wallet).await;
    let more = [
        ("amount", "5000"),
        ("currency", "usd"),
        ("destination", account.as_str()),
    ];
    app.stripe.form("/v1/transfers", &more).await;
    taken_back(&app, &app.stripe_id(&id, "stripe_transfer_id").await).await;
    app.start_worker();
    app.hurry_until("the payout to be found", TimeDelta::minutes(10), async || {
        app.transaction(&ada, &id).await["status"] != "PROCESSING"
            || app
                .db
                .count("wallet_transactions WHERE stage = 'paying_out'")
                .await
                == 1
    })
    .await;
    assert_eq!(app.stripe_id(&id, "stripe_payout_id").await, made);
    assert_eq!(app.balances(&ada, &wallet).await, (5_000, 5_000));
    app.abandon().await;
}

/// A kill between the finding of a payout and its record leaves nothing that the next run does not finish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_was_found_and_not_put_on_record_is_recorded_by_the_decision() {
    for decision in ["paid", "taken-back"] {
        let mut app = TestApp::start().await;
        let (ada, wallet, id) = transferred(&mut app).await;
        let made = paid_out_by_lost_books(&app, &wallet, &id).await;
        app.start_worker();
        told_of_another(&app).await;
        app.stop_workers().await;
        money_out(&app, &["stop", "--reason", "to be safe"]).await;
        let args = ["withdrawals", decision, &id, "--reason", "looked at"];
        let found =
            "UPDATE stripe_calls SET outcome = 'succeeded', stripe_object_id = $1 WHERE operation = 'payout'
                        AND attempt = (SELECT max(attempt) FROM stripe_calls WHERE operation = 'payout')";
        let asked = run("wallet-worker", &args, &app.variables).await;
        assert_eq!(asked.code, Some(0), "{asked:?}");
        app.db.execute(found, &[&made]).await;
        app.start_worker();
        app.at_stage(&id, "paying_out").await;
        app.stripe
            .control(&format!("payouts/{made}"), json!({ "status": "paid" }))
            .await;
        app.hurry_until("the withdrawal to end", TimeDelta::days(3), async || {
            app.transaction(&ada, &id).await["status"] == "COMPLETED"
        })
        .await;
        assert_eq!(app.stripe_id(&id, "stripe_payout_id").await, made, "{decision}");
        assert_eq!(app.balances(&ada, &wallet).await, (5_000, 0), "{decision}");
        app.abandon().await;
    }
}

/// What the ledger has on a connected account is compared, even if no worker of this database has sent it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_the_books_is_asked_what_it_holds_whoever_has_paid_it() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (ada, wallet) = app.payee(0).await;
    app.deposited(&ada, &wallet, 10_000, "pm_card_visa").await;
    let input = json!({ "amount": "50.00" });
    let id = id_of(&app.withdraw(&ada, &wallet, input).await.data());
    app.at_stage(&id, "paying_out").await;
    app.at_rest().await;
    app.db
        .execute("UPDATE stripe_accounts SET paid_at = NULL", &[])
        .await;
    let told = run("wallet-worker", &["reconcile"], &app.variables).await;
    assert!(!told.out.contains("cannot be asked"), "{told:?}");
    assert_eq!(told.code, Some(0), "{told:?}");
    app.abandon().await;
}
