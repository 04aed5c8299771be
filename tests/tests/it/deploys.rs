//! A new version is deployed while the old one works: first its migration, then its programs beside the old ones.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::TestApp;
use wallet_tests::app::uuid;

use crate::flows::begin;

/// What a migration may do while older programs run (`CONTRIBUTING.md`): add, and nothing else.
const EXPANSION: [&str; 6] = [
    "ALTER TABLE wallets ADD COLUMN nickname text",
    "ALTER TABLE wallet_transactions ADD COLUMN channel text NOT NULL DEFAULT 'app'",
    "ALTER TABLE jobs ADD COLUMN priority smallint NOT NULL DEFAULT 0",
    "ALTER TABLE ledger_entries ADD COLUMN memo text",
    "ALTER TYPE transaction_type ADD VALUE 'subscription'",
    "CREATE TABLE of_tomorrow (id bigint PRIMARY KEY)",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_run_go_on_while_tomorrow_s_migration_comes() {
    let app = TestApp::start().await;
    let before = begin(&app).await;
    for sql in EXPANSION {
        app.db.execute(sql, &[]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    before.end(&app, TimeDelta::seconds(30)).await;
    let after = begin(&app).await;
    after.end(&app, TimeDelta::seconds(30)).await;
    app.finish().await;
}

/// A newer version may know more kinds of Stripe's objects: one id that this version cannot place hides no wallet and no list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_of_a_kind_that_only_a_newer_version_knows_hides_nothing() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let id = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let account = "UPDATE wallets SET stripe_account_id = 'account_1' WHERE id = $1";
    assert_eq!(app.db.execute(account, &[&uuid(&wallet)]).await, 1);
    let known = app.stripe_id(&id, "stripe_payment_intent_id").await;
    let named = "UPDATE wallet_transactions SET stripe_payment_intent_id = $2 WHERE id = $1";
    assert_eq!(app.db.execute(named, &[&uuid(&id), &"pint_1"]).await, 1);
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    let list = "query($w: String!) { wallet(id: $w) { transactions(first: 5) { nodes { id stripePaymentIntentId } } } }";
    let listed = app.gql(&alice, list, json!({ "w": wallet })).await.data();
    let node = &listed["transactions"]["nodes"][0];
    assert_eq!(
        (&node["id"], &node["stripePaymentIntentId"]),
        (&json!(id), &json!("pint_1"))
    );
    assert_eq!(app.db.execute(named, &[&uuid(&id), &known]).await, 1);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_are_older_than_the_schema_start_and_work() {
    let mut app = TestApp::with_workers(0).await;
    for sql in EXPANSION {
        app.db.execute(sql, &[]).await;
    }
    app.start_worker();
    let story = begin(&app).await;
    // Old and new side by side, and a job that only the new one understands.
    let sql = "INSERT INTO jobs (queue, kind, payload, run_at, created_at) VALUES ('withdrawals', 'of_tomorrow', '{\"v\": 2}', $1, $1)";
    let now = wallet_core::clock::Clock::now(&*app.clock);
    app.db.execute(sql, &[&now]).await;
    app.start_worker();
    let open = "wallet_transactions WHERE status IN ('pending', 'processing')";
    app.hurry_until("the story to end", TimeDelta::seconds(5), async || {
        app.db.count(open).await == 0
    })
    .await;
    let left = "jobs WHERE kind = 'of_tomorrow' AND parked_at IS NULL AND attempts = 0";
    assert_eq!(app.db.count(left).await, 1, "left for whoever understands it");
    app.db
        .execute("DELETE FROM jobs WHERE kind = 'of_tomorrow'", &[])
        .await;
    story.end(&app, TimeDelta::seconds(30)).await;
    app.finish().await;
}
