//! A row is locked for long, by an operator's session or a long report: that delays what it is about, and nothing else.

use serde_json::Value;
use tokio_postgres::Client;
use wallet_tests::app::uuid;
use wallet_tests::{TestApp, User, eventually};

/// A transfer of its own person.
struct Sent {
    owner: User,
    id: String,
    wallet: String,
}

async fn sent(app: &TestApp) -> Sent {
    let (owner, wallet) = app.owner(1_000).await;
    let (_, other) = app.owner(0).await;
    let id = app.send(&owner, &wallet, &other, 100).await;
    Sent { owner, id, wallet }
}

/// Begins a transaction that locks what a query selects.
async fn hold(app: &TestApp, query: &str) -> Client {
    let holder = app.db.connect().await;
    holder.batch_execute("BEGIN").await.unwrap();
    assert!(!holder.query(query, &[]).await.unwrap().is_empty(), "{query}");
    holder
}

/// Locks a row of one transfer of many, which are all in one batch: the others are done at once, and that one when the row is free again.
async fn one_is_held(row: impl AsyncFn(&TestApp, &Sent) -> String) {
    let mut app = TestApp::with_workers(0).await;
    let held = sent(&app).await;
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(sent(&app).await);
    }
    let holder = hold(&app, &row(&app, &held).await).await;
    app.start_worker();
    for other in &others {
        let done = app.completed(&other.owner, &other.id).await;
        let lines: Vec<&str> = done["timeline"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|line: &Value| line["kind"].as_str())
            .collect();
        let waited = lines.iter().any(|kind| kind.eq_ignore_ascii_case("waiting"));
        assert!(!waited, "a neighbour waited: {lines:?}");
    }
    assert_eq!(app.transaction(&held.owner, &held.id).await["status"], "PENDING");
    holder.batch_execute("ROLLBACK").await.unwrap();
    app.completed(&held.owner, &held.id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_whose_row_is_held_delays_its_own_transfers_only() {
    one_is_held(async |_, sent| format!("SELECT 1 FROM wallets WHERE id = '{}' FOR UPDATE", sent.wallet))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_whose_row_is_held_delays_itself_only() {
    one_is_held(async |_, sent| {
        format!(
            "SELECT 1 FROM wallet_transactions WHERE id = '{}' FOR UPDATE",
            sent.id
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_row_is_held_delays_itself_only() {
    one_is_held(async |app, sent| {
        let job: i64 = app
            .db
            .value(
                "SELECT id FROM jobs WHERE transaction_id = $1",
                &[&uuid(&sent.id)],
            )
            .await;
        format!("SELECT 1 FROM jobs WHERE id = {job} FOR UPDATE")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_wallet_uses_up_no_attempt_of_its_transfers() {
    let mut app = TestApp::with_workers(0).await;
    let held = sent(&app).await;
    let lock = format!(
        "SELECT 1 FROM wallets WHERE id = '{}' FOR NO KEY UPDATE",
        held.wallet
    );
    let holder = hold(&app, &lock).await;
    app.start_worker();
    eventually("it to be given back more than once", async || {
        app.db.count("jobs WHERE fence >= 3 AND parked_at IS NULL").await == 1
    })
    .await;
    let used = "SELECT max(attempts - CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END)::bigint FROM jobs";
    assert_eq!(app.db.value::<i64>(used, &[]).await, 0);
    holder.batch_execute("ROLLBACK").await.unwrap();
    app.completed(&held.owner, &held.id).await;
    app.finish().await;
}
