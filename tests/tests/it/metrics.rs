//! What a worker tells of itself and of what waits.

use chrono::TimeDelta;
use wallet_core::clock::Clock;
use wallet_dev::stack::port;
use wallet_tests::TestApp;
use wallet_tests::app::Leftovers;

use crate::flows::begin;

/// The value of a metric with these labels; zero when it is not told.
fn value(told: &str, name: &str, labels: &[&str]) -> u64 {
    let is_it = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    };
    let line = told.lines().find(is_it);
    line.and_then(|line| line.rsplit(' ').next())
        .map_or(0, |value| value.split('.').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_tells_what_it_did_and_what_waits() {
    let mut app = TestApp::with_workers(0).await;
    let port = port::free().unwrap().to_string();
    app.start_worker();
    let story = begin(&app).await;
    story.end(&app, TimeDelta::seconds(5)).await;
    app.stop_workers().await;
    // Nobody serves the queue of housekeeping any more; what was counted is the process's.
    app.start_worker_with(&[
        ("METRICS_PORT", &port),
        ("WORKER_QUEUES", "transfers,deposits,withdrawals,webhooks"),
    ]);
    let now = app.clock.now();
    let waits = "INSERT INTO jobs (queue, kind, run_at, created_at) VALUES ('maintenance', 'x', $1, $1)";
    app.db.execute(waits, &[&(now - TimeDelta::minutes(10))]).await;
    let parked = "WITH job AS (INSERT INTO jobs (queue, kind, run_at, created_at, parked_at)
                               VALUES ('transfers', 'x', $1, $1, $1) RETURNING id)
                  INSERT INTO alarms (kind, subject, message, raised_at) SELECT 'job_parked', id::text, 'x', $1 FROM job";
    app.db.execute(parked, &[&now]).await;

    let url = format!("http://127.0.0.1:{port}/metrics");
    let told = wallet_tests::until("the worker to answer", async || {
        app.client().get(&url).send().await.ok()
    })
    .await;
    let told = told.text().await.unwrap();
    for (name, labels, least) in [
        (
            "wallet_jobs_total",
            &["kind=\"transfer\"", "outcome=\"done\""] as &[&str],
            1,
        ),
        (
            "wallet_jobs_total",
            &["kind=\"withdrawal_hold\"", "outcome=\"done\""],
            2,
        ),
        ("wallet_settlements_total", &["outcome=\"applied\""], 8),
        (
            "wallet_stripe_calls_total",
            &["operation=\"create_transfer\"", "class=\"ok\""],
            2,
        ),
        (
            "wallet_stripe_calls_total",
            &["operation=\"create_payout\"", "class=\"refused\""],
            1,
        ),
        (
            "wallet_stripe_call_duration_seconds_count",
            &["operation=\"create_payment_intent\""],
            1,
        ),
        ("wallet_queue_jobs", &["queue=\"maintenance\""], 1),
        ("wallet_queue_oldest_due_seconds", &["queue=\"maintenance\""], 600),
        ("wallet_parked_jobs", &["queue=\"transfers\""], 1),
        ("wallet_open_alarms", &[], 1),
    ] {
        assert!(
            value(&told, name, labels) >= least,
            "{name} {labels:?} in:\n{told}"
        );
    }
    assert_eq!(value(&told, "wallet_queue_jobs", &["queue=\"transfers\""]), 0);
    app.db
        .execute("DELETE FROM jobs WHERE parked_at IS NULL", &[])
        .await;
    app.finish_with(Leftovers {
        alarms: &["job_parked"],
        parked: 1,
    })
    .await;
}
