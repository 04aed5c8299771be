//! Time that passes by itself: on every clock, whenever nothing can happen before it does.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use wallet_core::clock::Clock;
use wallet_dev::pace;
use wallet_tests::TestApp;

/// The pause between two leaps while there is no job at all: Stripe's webhooks are on their way, or the janitor has to check first.
const QUIET_LEAP: Duration = Duration::from_millis(250);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The query for everything that was accepted.
pub(crate) const OPEN: &str = "wallet_transactions WHERE status IN ('pending', 'processing')";

/// Checks until it holds, and lets time pass, `step` after `step`, while all jobs wait for a later time and also while there is no job, as
/// when the next event is a poll of the janitor or a deadline.
///
/// # Panics
/// If it does not hold after `patience`.
pub(crate) async fn hurry_within(
    app: &TestApp,
    patience: Duration,
    what: &str,
    step: TimeDelta,
    mut holds: impl AsyncFnMut() -> bool,
) {
    let (start, mut leapt) = (Instant::now(), Instant::now());
    let jobs = "SELECT count(*), count(*) FILTER (WHERE run_at <= $1 OR lease_until IS NOT NULL) FROM jobs WHERE parked_at IS NULL";
    while !holds().await {
        if pace::is_over(start.elapsed(), patience) {
            panic!("waited {patience:?} in vain: {what}\n{}", left(app).await);
        }
        let row = app.db.rows(jobs, &[&app.clock.now()]).await;
        let (all, busy): (i64, i64) = (row[0].get(0), row[0].get(1));
        if busy == 0 && (all > 0 || leapt.elapsed() > QUIET_LEAP) {
            app.advance(step).await;
            leapt = Instant::now();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What is still open.
async fn left(app: &TestApp) -> String {
    let left = "SELECT 'transactions: ' || coalesce(flow, transaction_type::text) || ' ' || stage || ' ' || count(*)
                  FROM wallet_transactions WHERE status IN ('pending', 'processing') GROUP BY coalesce(flow, transaction_type::text), stage
                UNION ALL
                SELECT 'jobs: ' || kind || ' ' || count(*) || ', attempts ' || min(attempts) || '…' || max(attempts) || ', in '
                       || min(run_at - $1) || '…' || max(run_at - $1) || ': ' || coalesce(last_error, '')
                  FROM jobs WHERE parked_at IS NULL GROUP BY kind, last_error";
    let rows = app.db.rows(left, &[&app.clock.now()]).await;
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

/// Waits until every transaction has ended and no work is left.
pub(crate) async fn all_end(app: &TestApp, patience: Duration, step: TimeDelta) {
    hurry_within(app, patience, "everything to end", step, async || {
        app.db.count(OPEN).await == 0 && app.db.count("jobs WHERE parked_at IS NULL").await == 0
    })
    .await;
}
