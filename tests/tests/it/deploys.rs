//! A new version comes while the old one works: first its migration, then its programs beside the old ones.

use std::time::Duration;

use chrono::TimeDelta;
use wallet_tests::TestApp;

use crate::flows::begin;

/// What a migration may do while older programs run (`docs/ARCHITECTURE.md`): add, and nothing else.
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
