//! What a worker reports of itself and of what waits.

use chrono::TimeDelta;
use serde_json::json;
use wallet_core::audit::Actor;
use wallet_core::clock::Clock;
use wallet_core::jobs::{self, JobKind, NewJob, QueueName, Reschedule, WaitsFor};
use wallet_dev::stack::port;
use wallet_tests::TestApp;
use wallet_tests::app::Leftovers;

use crate::flows::begin;

/// The value of a metric with these labels, or zero if it is not exported.
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
async fn what_is_tried_again_and_again_is_as_old_as_its_first_try() {
    let app = TestApp::with_workers(0).await;
    let pool = app.db.pool().await;
    let oldest = async |at| {
        let backlogs = jobs::backlog(pool, at).await.unwrap();
        let of_maintenance = backlogs
            .into_iter()
            .find(|one| one.queue == QueueName::Maintenance);
        // PostgreSQL keeps microseconds.
        of_maintenance.unwrap().oldest_due.map(|age| age.as_millis())
    };
    let now = app.clock.now();
    assert_eq!(oldest(now).await, None, "nothing is due");
    let due = now - TimeDelta::minutes(10);
    let job = NewJob {
        kind: JobKind::AskStripe,
        transaction: None,
        wallets: Vec::new(),
        payload: json!({ "v": 1 }),
        unique_key: None,
        run_at: due,
    };
    let later = NewJob {
        run_at: now + TimeDelta::minutes(5),
        ..job.clone()
    };
    let id = {
        let mut conn = pool.conn().await.unwrap();
        jobs::insert(&mut conn, &later).await.unwrap();
        jobs::insert(&mut conn, &job).await.unwrap().unwrap()
    };
    assert_eq!(oldest(now).await, Some(600_000), "and not what is due later");
    // Failed, and given back, each time until a minute later.
    for round in 0..3 {
        let at = now + TimeDelta::minutes(round);
        let claimed = jobs::claim(pool, &[id], "worker", at).await.unwrap();
        assert_eq!(claimed.len(), 1, "round {round}");
        let next = at + TimeDelta::minutes(1);
        let back = Reschedule {
            claim: claimed[0].claim,
            run_at: next,
        };
        if round == 1 {
            assert_eq!(
                jobs::release(pool, &[back], WaitsFor::Lock, "the lock nodes are away")
                    .await
                    .unwrap(),
                1
            );
        } else {
            assert!(
                jobs::retry_later(pool, back, WaitsFor::Database, "it failed")
                    .await
                    .unwrap()
            );
        }
        let waited = u128::try_from((at - due).num_milliseconds()).unwrap();
        assert_eq!(
            oldest(at).await,
            Some(waited),
            "round {round}, though it is due only in a minute"
        );
    }
    // Once it is parked it is counted there; put back by an operator it begins anew.
    let at = now + TimeDelta::minutes(3);
    let claimed = jobs::claim(pool, &[id], "worker", at).await.unwrap();
    assert!(
        jobs::park(pool, claimed[0].claim, at, "a person has to look")
            .await
            .unwrap()
    );
    assert_eq!(oldest(at).await, None);
    let ada = Actor::Operator("ada".parse().unwrap());
    assert!(jobs::requeue(pool, id, &ada, None, at).await.unwrap());
    let after = at + TimeDelta::seconds(7);
    assert_eq!(oldest(after).await, Some(7_000));
    app.abandon().await;
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
