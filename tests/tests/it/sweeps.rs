//! The housekeeping's requests to Stripe keep to their budget, however many payees there are.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;
use wallet_core::budget::CallBudget;
use wallet_core::clock::Clock;
use wallet_core::janitor::{poll_quiet, read_events};
use wallet_tests::app::id_of;
use wallet_tests::{TestApp, eventually};

/// Twenty calls per second for everything, five of them for the sweeps.
const BUDGET: CallBudget = CallBudget::new(20);
const EVERY: TimeDelta = TimeDelta::seconds(5);

/// Inserts payees that were paid lately into the table.
async fn plant_payees(app: &TestApp, payees: i32, paid_at: DateTime<Utc>) {
    let plant = "INSERT INTO stripe_accounts (stripe_account_id, user_id, payouts_enabled, paid_at, created_at, updated_at)
                 SELECT 'acct_1planted' || n, gen_random_uuid(), true, $2, $2, $2 FROM generate_series(1, $1) AS n";
    app.db.execute(plant, &[&payees, &paid_at]).await;
}

/// Runs one round of two workers, returns how many polls were queued, and ends the polls.
async fn round(app: &TestApp, budget: CallBudget, now: DateTime<Utc>) -> usize {
    let db = app.db.pool().await.clone();
    let mut queued = 0;
    for _ in 0..2 {
        queued += read_events(&db, budget, now).await.unwrap();
        queued += poll_quiet(&db, budget, now).await.unwrap();
    }
    app.db
        .execute(
            "DELETE FROM jobs WHERE kind IN ('page_events', 'ask_stripe')",
            &[],
        )
        .await;
    queued
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_six_thousand_payees_the_questions_per_minute_stay_within_the_budget_and_each_payee_has_its_turn()
 {
    let app = TestApp::with_workers(0).await;
    let start = Utc::now();
    plant_payees(&app, 6_000, start).await;
    let mut now = start;
    let mut most = 0;
    for _ in 0..30 {
        let mut minute = 0;
        for _ in 0..12 {
            now += EVERY;
            minute += round(&app, BUDGET, now).await;
        }
        most = most.max(minute);
    }
    assert!(most <= 300 + 50, "{most} questions in a minute");
    assert_eq!(
        app.db.count("stripe_event_cursors WHERE account <> ''").await,
        6_000,
        "every account was read in half an hour"
    );
    let platform = "SELECT asked_at FROM stripe_event_cursors WHERE account = ''";
    let asked: DateTime<Utc> = app.db.value(platform, &[]).await;
    assert!(
        now - asked <= TimeDelta::seconds(70),
        "the platform's own list is not starved"
    );
    // All have been read, and nothing is on its way: only the platform's list is read from now on.
    let mut minute = 0;
    for _ in 0..12 {
        now += EVERY;
        minute += round(&app, BUDGET, now).await;
    }
    assert_eq!(minute, 1);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smaller_budget_and_a_quiet_hour_before_are_kept_to_as_well() {
    let app = TestApp::with_workers(0).await;
    let start = Utc::now();
    plant_payees(&app, 1_000, start).await;
    let budget = CallBudget::new(4);
    let first = round(&app, budget, start).await;
    let later = round(&app, budget, start + TimeDelta::hours(1)).await;
    assert!(
        first <= 10 && later <= 10,
        "a burst of ten at most: {first}, {later}"
    );
    let mut minute = 0;
    for n in 1..=12 {
        minute += round(&app, budget, start + TimeDelta::hours(1) + EVERY * n).await;
    }
    assert!((50..=61).contains(&minute), "one a second: {minute}");
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_with_money_on_its_way_are_read_before_those_without() {
    let mut app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(1_000).await;
    let account = app.account_of(&wallet).await;
    let paid = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    app.at_stage(&paid, "paying_out").await;
    app.stop_workers().await;
    app.db.execute("DELETE FROM stripe_event_cursors", &[]).await;
    let start = app.clock.now();
    plant_payees(&app, 1_000, start).await;
    let asked = "SELECT count(*) FROM stripe_event_cursors WHERE account = $1";
    round(&app, CallBudget::new(4), start + TimeDelta::minutes(1)).await;
    assert_eq!(app.db.value::<i64>(asked, &[&account]).await, 1);
    let planted = "DELETE FROM stripe_accounts WHERE stripe_account_id LIKE 'acct_1planted%'";
    app.db.execute(planted, &[]).await;
    app.start_worker();
    let payout = app.stripe_id(&paid, "stripe_payout_id").await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "paid" }))
        .await;
    app.completed(&alice, &paid).await;
    app.finish().await;
}

/// Stripe allows so many calls per second, whoever makes them (<https://docs.stripe.com/rate-limits>), and the comparison asks about every
/// account that was ever paid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daily_comparison_asks_every_account_within_its_budget() {
    const ACCOUNTS: i32 = 24;
    // An eighth of four calls per second, and five at once.
    const PER_SECOND: f64 = 0.5;
    const BURST: f64 = 5.0;
    let mut app = TestApp::with_workers(0).await;
    let paid = "INSERT INTO stripe_accounts (stripe_account_id, user_id, payouts_enabled, paid_at, created_at, updated_at)
                VALUES ($1, gen_random_uuid(), true, now(), now(), now())";
    for _ in 0..ACCOUNTS {
        let account = app.stripe.account(Uuid::new_v4()).await;
        app.db.execute(paid, &[&account]).await;
    }
    // An account's balance and its payouts are two questions, in this order.
    let rule = json!({ "operation": "payouts.list", "outcome": "normal" });
    app.stripe.fault(rule).await;
    let began = app.clock.now();
    app.start_worker_with(&[
        ("RECONCILE_SECONDS", "86400"),
        ("STRIPE_CALLS_PER_SECOND", "4"),
        ("VERIFY_QUICK_SECONDS", "0"),
    ]);
    let done = "verifications WHERE name = 'reconcile' AND done_at IS NOT NULL";
    eventually("the comparison to end", async || {
        let asked = hits(&app).await;
        let passed = (app.clock.now() - began).as_seconds_f64();
        assert!(
            f64::from(2 * asked) <= BURST + PER_SECOND * passed,
            "{asked} accounts in {passed} s"
        );
        // Time passes on the clock that the budget goes by.
        app.clock.advance(TimeDelta::seconds(2));
        app.db.count(done).await == 1
    })
    .await;
    assert_eq!(hits(&app).await, ACCOUNTS, "and none is left out");
    app.abandon().await;
}

/// How often the rule of the test was met.
async fn hits(app: &TestApp) -> i32 {
    let rules = app.stripe.get("/_control/faults").await;
    let hits = rules[0]["matched"].as_i64();
    i32::try_from(hits.unwrap_or_else(|| panic!("no counter: {rules}"))).unwrap()
}
