//! A payee disconnects the account while a payout is under way: Stripe shows the payout to the platform no longer
//! (<https://docs.stripe.com/connect/standard-accounts#deauthorize>), so a person finds out how it ended, and says so.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::programs::{Ended, run};
use wallet_tests::{TestApp, User, eventually};

const TOLD: Leftovers<'_> = Leftovers {
    alarms: &["payout_unreachable"],
    parked: 0,
};

const OPEN: &str = "alarms WHERE kind = 'payout_unreachable' AND closed_at IS NULL";

async fn withdrawals(app: &TestApp, args: &[&str]) -> Ended {
    let args: Vec<&str> = std::iter::once("withdrawals")
        .chain(args.iter().copied())
        .collect();
    run("wallet-worker", &args, &app.variables).await
}

async fn deauthorize(app: &TestApp, account: &str) {
    app.stripe
        .control(&format!("accounts/{account}/deauthorize"), json!({}))
        .await;
}

/// A withdrawal of 70.00 of 100.00 whose payout is under way on an account that is gone, of which somebody has been told.
async fn under_way(app: &TestApp) -> (User, String, String) {
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let account = app.account_of(&wallet).await;
    let input = json!({ "amount": "70.00" });
    let id = id_of(&app.withdraw(&alice, &wallet, input).await.data());
    app.at_stage(&id, "paying_out").await;
    let payout = app.stripe_id(&id, "stripe_payout_id").await;
    let waiting = withdrawals(app, &["paid", &id, "--reason", "a guess"]).await;
    assert_eq!(waiting.code, Some(1));
    assert!(
        waiting.err.contains("as a rule Stripe tells how its payout ends")
            && waiting.err.contains("look again then"),
        "{}",
        waiting.err
    );
    deauthorize(app, &account).await;
    app.hurry_until("a person to be told", TimeDelta::seconds(61), async || {
        app.advance(TimeDelta::seconds(61)).await;
        app.db.count(OPEN).await == 1
    })
    .await;
    let message: String = app
        .db
        .value(
            "SELECT message FROM alarms WHERE kind = 'payout_unreachable'",
            &[],
        )
        .await;
    for named in [&id, &wallet, &account, &payout, &"70.00 usd".to_owned()] {
        assert!(message.contains(named.as_str()), "{named}: {message}");
    }
    // Asked about again and again, it is told once.
    app.advance(TimeDelta::hours(13)).await;
    app.at_rest().await;
    let told = app
        .told(&alice, &id, "your payout account is no longer connected")
        .await;
    let lines = told["timeline"].to_string();
    assert_eq!(lines.matches("no longer connected").count(), 1, "{lines}");
    assert_eq!(told["status"], "PROCESSING");
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000));
    assert_eq!(app.db.count("jobs WHERE parked_at IS NOT NULL").await, 0);
    let listed = withdrawals(app, &["list"]).await.out;
    assert!(
        listed.contains(&id) && listed.ends_with("1 withdrawals to decide about\n"),
        "{listed}"
    );
    (alice, wallet, id)
}

/// The decision is on record with its reason, and there is nothing more to decide.
async fn is_decided(app: &TestApp, id: &str, action: &str) {
    let reason = "SELECT detail->>'reason' FROM audit_log WHERE action = $1";
    assert_eq!(
        app.db.value::<String>(reason, &[&action]).await,
        "the bank says so"
    );
    assert_eq!(app.db.count(OPEN).await, 0, "the alarm is over");
    let again = withdrawals(app, &["paid", id, "--reason", "again"]).await;
    assert_eq!(again.code, Some(1));
    assert!(
        again.err.contains("not a withdrawal that is being paid out"),
        "{}",
        again.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_nobody_can_see_ends_as_paid_when_an_operator_has_found_out() {
    let app = TestApp::start().await;
    let (alice, wallet, id) = under_way(&app).await;
    let decided = withdrawals(&app, &["paid", &id, "--reason", "the bank says so"]).await;
    assert_eq!(decided.code, Some(0), "{decided:?}");
    app.completed(&alice, &id).await;
    app.told(&alice, &id, "support has found out that the payout was paid")
        .await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    is_decided(&app, &id, "withdrawal_paid").await;
    app.finish_with(TOLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_nobody_can_see_is_taken_back_when_an_operator_has_found_out() {
    let app = TestApp::start().await;
    let (alice, wallet, id) = under_way(&app).await;
    let payout = app.stripe_id(&id, "stripe_payout_id").await;
    // The bank sends it back, and the money is on the account that nobody can see.
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "canceled" }))
        .await;
    let decided = withdrawals(&app, &["taken-back", &id, "--reason", "the bank says so"]).await;
    assert_eq!(decided.code, Some(0), "{decided:?}");
    app.failed(&alice, &id).await;
    assert_eq!(app.stripe.effects_of(&id, "transfer_reversal.create").await, 1);
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    app.at_rest().await;
    is_decided(&app, &id, "withdrawal_taken_back").await;
    app.finish_with(TOLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_decides_about_a_withdrawal_that_is_none_or_has_not_come_so_far() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    let input = json!({ "amount": "70.00" });
    let paid = id_of(&app.withdraw(&alice, &wallet, input).await.data());
    app.completed(&alice, &paid).await;
    let unknown = "01900000-0000-7000-8000-000000000001";
    for (id, words) in [
        (
            paid.as_str(),
            "is a withdrawal that is completed, not a withdrawal that is being paid out",
        ),
        (unknown, "there is no transaction"),
        ("tomorrow", "tomorrow is no transaction id"),
    ] {
        for decision in ["paid", "taken-back"] {
            let refused = withdrawals(&app, &[decision, id, "--reason", "a guess"]).await;
            assert_eq!(refused.code, Some(1), "{refused:?}");
            assert!(refused.err.contains(words), "{}", refused.err);
        }
    }
    let without = withdrawals(&app, &["paid", &paid]).await;
    assert_eq!(without.code, Some(2), "a reason is needed: {without:?}");
    app.finish().await;
}

/// It came back after it was paid, to an account that is gone: nothing can be taken back before somebody has looked, who reads what it is about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_about_a_payout_that_nobody_can_see_is_parked_with_the_names_of_all_it_is_about() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    let account = app.account_of(&wallet).await;
    let input = json!({ "amount": "70.00" });
    let id = id_of(&app.withdraw(&alice, &wallet, input).await.data());
    app.completed(&alice, &id).await;
    let payout = app.stripe_id(&id, "stripe_payout_id").await;
    deauthorize(&app, &account).await;
    let object = json!({ "id": payout, "object": "payout", "status": "failed" });
    app.stripe
        .control(
            "events",
            json!({ "type": "payout.failed", "object": object, "account": account }),
        )
        .await;
    let parked = "alarms WHERE kind = 'event_parked' AND message LIKE '%payout.failed%'";
    eventually("the event to be parked", async || app.db.count(parked).await == 1).await;
    let message: String = app.db.value(&format!("SELECT message FROM {parked}"), &[]).await;
    for named in [&payout, &account, &id, &wallet] {
        assert!(message.contains(named.as_str()), "{named}: {message}");
    }
    app.abandon().await;
}
