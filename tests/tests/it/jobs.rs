//! Jobs: delivered several times, begun and abandoned, claimed by two workers, taken away, and never lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use wallet_core::audit::Actor;
use wallet_core::clock::{Clock, SystemClock};
use wallet_core::flows::Command;
use wallet_core::ids::{JobId, SystemIds, TransactionId};
use wallet_core::jobs::{self, Claim, QueueName, Reschedule, WaitsFor};
use wallet_core::queue::QueueTransport;
use wallet_core::settle::{Outcome, Settler, Step};
use wallet_core::transactions::Stage;
use wallet_tests::app::{Leftovers, Options, id_of, uuid};
use wallet_tests::{TestApp, eventually};

use crate::flows::{self, begin, crash_every_job_before, job_of};

/// The connection of a test to the queues of its workers.
async fn carrier_of(app: &TestApp) -> QueueTransport {
    let namespace = app.variables.get("REDIS_NAMESPACE").unwrap_or("wallet");
    QueueTransport::connect(app.variables.get("REDIS_URL").unwrap(), namespace)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_delivered_fifty_times_to_three_workers_has_one_effect() {
    let app = TestApp::with_workers(3).await;
    let transport = carrier_of(&app).await;
    let stop = AtomicBool::new(false);
    let deliver = async {
        let mut delivered = 0;
        while !stop.load(Ordering::Relaxed) {
            for row in app.db.rows("SELECT id, queue FROM jobs", &[]).await {
                let (id, queue): (i64, String) = (row.get(0), row.get(1));
                // Alone, in a group, and twice in one group.
                let mut groups = vec![vec![JobId(id)]; 48];
                groups.extend([vec![JobId(id), JobId(id)], vec![JobId(id), JobId(i64::MAX)]]);
                transport.push(queue.parse().unwrap(), groups).await.unwrap();
                delivered += 50;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        delivered
    };
    let work = async {
        let story = begin(&app).await;
        story.end(&app, TimeDelta::seconds(5)).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (delivered, ()) = tokio::join!(deliver, work);
    assert!(delivered >= 50);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_died_at_any_step_is_replaced_and_nothing_happens_twice() {
    let app = TestApp::with_workers(2).await;
    crash_every_job_before(&app, 1).await;
    let story = begin(&app).await;
    story.end(&app, TimeDelta::seconds(5)).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_killed_its_worker_three_times_is_parked_and_can_be_put_back() {
    let app = TestApp::start().await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    crash_every_job_before(&app, 3).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    eventually("the job to be parked", async || {
        app.db.count("jobs WHERE parked_at IS NOT NULL").await == 1
    })
    .await;
    assert_eq!(
        app.transaction(&alice, &sent).await["status"],
        "PENDING",
        "it is not failed: a person decides"
    );
    let told = app
        .db
        .rows(
            "SELECT subject FROM alarms WHERE kind = 'job_parked' AND closed_at IS NULL",
            &[],
        )
        .await;
    let job: i64 = told[0].get::<_, String>(0).parse().unwrap();

    let now = SystemClock.now();
    assert!(
        jobs::requeue(
            app.db.pool().await,
            JobId(job),
            &Actor::Operator("ada".parse().unwrap()),
            None,
            now
        )
        .await
        .unwrap()
    );
    app.completed(&alice, &sent).await;
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    app.finish_with(Leftovers {
        alarms: &["job_parked"],
        ..Leftovers::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_takes_too_long_is_dropped_and_another_worker_ends_the_job_with_the_same_call() {
    let mut app = TestApp::with(Options {
        workers: 0,
        ..Options::default()
    })
    .await;
    for _ in 0..2 {
        app.start_worker_with(&[("JOB_TIMEOUT_SECONDS", "5")]);
    }
    let (alice, hers) = app.payee(10_000).await;
    // The transfer is made at once, and its answer comes when nobody waits for it any more, also when it is asked for again.
    for nth in 1..=2 {
        let late = json!({ "operation": "transfers.create", "nth": nth, "answer_delay_ms": 9_000 });
        app.stripe.fault(late).await;
    }
    let withdrawal = id_of(
        &app.withdraw(&alice, &hers, json!({ "amount": "5.00" }))
            .await
            .data(),
    );
    eventually("the second start", async || {
        app.db.count("jobs WHERE starts = 2").await == 1
    })
    .await;
    app.completed(&alice, &withdrawal).await;
    assert_eq!(app.balances(&alice, &hers).await, (9_500, 0));
    let transfers = app.stripe.get("/v1/transfers?limit=100").await;
    assert_eq!(transfers["data"].as_array().unwrap().len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_worker_died_is_handed_over_when_its_lease_has_run_out_however_much_waits_in_redis() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    app.send(&alice, &hers, &his, 100).await;
    app.send(&alice, &hers, &his, 100).await;
    let dispatched = "UPDATE jobs SET handed_over_at = clock_timestamp() - interval '16 s'";
    app.db.execute(dispatched, &[]).await;
    let pool = app.db.pool().await;
    let anew = async || {
        jobs::dispatch_again(pool, QueueName::Transfers, Duration::from_secs(30))
            .await
            .unwrap()
    };
    assert_eq!(anew().await, 0, "both may still wait in Redis");
    let died =
        "UPDATE jobs SET lease_owner = 'a dead worker', lease_until = clock_timestamp() - interval '1 s'
                 WHERE id = (SELECT min(id) FROM jobs)";
    app.db.execute(died, &[]).await;
    assert_eq!(anew().await, 1);
    let taken = jobs::take_due(pool, QueueName::Transfers, 10, app.clock.now()).await;
    assert_eq!(taken.unwrap().len(), 1);
    assert_eq!(
        anew().await,
        0,
        "it waits in Redis again, and its lease has not run out since"
    );
    app.start_worker();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_given_back_is_free_at_once_although_its_lease_is_renewed_once_more() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    let job = JobId(job_of(&app, &sent, "transfer").await);
    let pool = app.db.pool().await;
    let now = SystemClock.now();
    let claimed = jobs::claim(pool, &[job], "one", now).await.unwrap();
    let claim = claimed[0].claim;
    assert_eq!(
        jobs::renew(pool, &[claim]).await.unwrap(),
        [job],
        "while it is held"
    );
    let back = Reschedule { claim, run_at: now };
    assert_eq!(
        jobs::release(pool, &[back], WaitsFor::Lock, "busy")
            .await
            .unwrap(),
        1
    );
    // As the task that renews leases does, when it has listed the claim a moment before.
    assert!(jobs::renew(pool, &[claim]).await.unwrap().is_empty());
    assert_eq!(app.db.count("jobs WHERE lease_until IS NOT NULL").await, 0);
    assert_eq!(jobs::claim(pool, &[job], "two", now).await.unwrap().len(), 1);
    let free = "UPDATE jobs SET lease_until = NULL, lease_owner = NULL";
    app.db.execute(free, &[]).await;
    app.start_worker();
    app.completed(&alice, &sent).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_given_back_twice_because_the_first_answer_was_lost_has_one_attempt_returned() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    let job = JobId(job_of(&app, &sent, "transfer").await);
    let pool = app.db.pool().await;
    let now = SystemClock.now();
    let claimed = jobs::claim(pool, &[job], "one", now).await.unwrap();
    let back = Reschedule {
        claim: claimed[0].claim,
        run_at: now,
    };
    assert_eq!(
        jobs::release(pool, &[back], WaitsFor::Lock, "busy")
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        jobs::release(pool, &[back], WaitsFor::Lock, "busy")
            .await
            .unwrap(),
        0
    );
    assert_eq!(app.db.count("jobs WHERE attempts = 0 AND starts = 0").await, 1);
    app.start_worker();
    app.completed(&alice, &sent).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lost_a_job_to_another_worker_writes_nothing_any_more() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    let job = JobId(job_of(&app, &sent, "transfer").await);
    let pool = app.db.pool().await;
    let claim = async |name: &str| -> Option<Claim> {
        let claimed = jobs::claim(pool, &[job], name, SystemClock.now()).await.unwrap();
        claimed.first().map(|job| job.claim)
    };
    let first = claim("one").await.unwrap();
    assert!(claim("two").await.is_none(), "one has it");
    app.db
        .execute("UPDATE jobs SET lease_until = now() - interval '1 s'", &[])
        .await;
    let second = claim("two").await.unwrap();
    assert!(second.fence > first.fence);
    assert!(jobs::renew(pool, &[first]).await.unwrap().is_empty());

    let ids = Arc::new(SystemIds::new(Arc::new(SystemClock)));
    let settle = async |claim: Claim, name: &str| {
        let settler = Settler::new(
            pool.clone(),
            Arc::new(SystemClock),
            ids.clone(),
            Actor::Worker(name.to_owned()),
        );
        let transaction = TransactionId::from_uuid(uuid(&sent));
        let wallets = vec![hers.parse().unwrap(), his.parse().unwrap()];
        settler
            .settle(&[Step::new(claim, transaction, wallets, Command::Execute)])
            .await
            .unwrap()
            .outcomes
            .remove(0)
    };
    let before = app.db.digest().await;
    assert_eq!(settle(first, "one").await, Outcome::StaleFence);
    let again = Reschedule {
        claim: first,
        run_at: SystemClock.now(),
    };
    assert!(
        !jobs::retry_later(pool, again, WaitsFor::Database, "x")
            .await
            .unwrap()
    );
    assert!(!jobs::park(pool, first, SystemClock.now(), "x").await.unwrap());
    assert_eq!(app.db.digest().await, before, "an old fence changes nothing");
    assert_eq!(settle(second, "two").await, Outcome::Applied(Stage::Completed));
    assert_eq!(
        settle(second, "two").await,
        Outcome::StaleFence,
        "the job is gone with its effect"
    );
    assert_eq!(app.balances(&alice, &hers).await, (900, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_comes_twice_is_applied_once() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    let ids = Arc::new(SystemIds::new(Arc::new(SystemClock)));
    let settler = Settler::new(
        app.db.pool().await.clone(),
        Arc::new(SystemClock),
        ids,
        Actor::Stripe,
    );
    let db = app.db.pool().await;
    let job = JobId(job_of(&app, &sent, "transfer").await);
    let claimed = jobs::claim(db, &[job], "the test", SystemClock.now())
        .await
        .unwrap();
    let wallets = vec![hers.parse().unwrap(), his.parse().unwrap()];
    let last = Step::new(
        claimed[0].claim,
        TransactionId::from_uuid(uuid(&sent)),
        wallets,
        Command::Execute,
    );
    // Twice in one batch, and again by eight at once.
    let early = last.clone().before_others();
    let together = settler
        .settle(&[early.clone(), early.clone()])
        .await
        .unwrap()
        .outcomes;
    assert_eq!(
        together,
        [Outcome::Applied(Stage::Completed), Outcome::AlreadyApplied]
    );
    let steps = [early];
    let again = futures::future::join_all((0..8).map(|_| settler.settle(&steps))).await;
    assert!(
        again
            .into_iter()
            .all(|settled| settled.unwrap().outcomes == [Outcome::AlreadyApplied])
    );
    let end = settler
        .settle(std::slice::from_ref(&last))
        .await
        .unwrap()
        .outcomes;
    assert_eq!(end, [Outcome::AlreadyApplied]);
    // The job has ended: nobody speaks for it any more.
    let after = settler.settle(&[last]).await.unwrap().outcomes;
    assert_eq!(after, [Outcome::StaleFence]);
    assert_eq!(app.balances(&alice, &hers).await, (900, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_a_newer_version_is_left_and_does_not_stand_in_the_way() {
    let app = TestApp::start().await;
    for queue in ["transfers", "deposits", "withdrawals", "webhooks", "maintenance"] {
        let sql = "INSERT INTO jobs (queue, kind, payload, run_at, created_at) VALUES ($1, 'of_tomorrow', '{\"v\": 7}', $2, $2)";
        app.db.execute(sql, &[&queue, &app.clock.now()]).await;
    }
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    app.completed(&alice, &sent).await;
    let left = "jobs WHERE kind = 'of_tomorrow' AND parked_at IS NULL AND attempts = 0 AND starts = 0 AND fence > 0 AND run_at > created_at";
    eventually("each of them to be looked at and given back", async || {
        app.db.count(left).await == 5
    })
    .await;
    app.db.execute("DELETE FROM jobs", &[]).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_serves_its_own_queues_only() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("WORKER_QUEUES", "transfers")]);
    let story = begin(&app).await;
    app.completed(&story.alice, &story.transfer).await;
    assert_eq!(
        app.db.count("wallet_transactions WHERE status = 'pending'").await,
        3,
        "the rest waits for its workers"
    );
    app.start_worker_with(&[("WORKER_QUEUES", "deposits,withdrawals,webhooks,maintenance")]);
    story.end(&app, TimeDelta::seconds(5)).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_pools_are_enough_for_many_jobs() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("DATABASE_POOL_SIZE", "3"), ("WORKER_CONCURRENCY", "30")]);
    app.stripe.fault(serde_json::json!({ "latency_ms": 100 })).await;
    let mut stories = Vec::new();
    for _ in 0..6 {
        stories.push(begin(&app).await);
    }
    for story in &stories {
        story.end(&app, TimeDelta::seconds(5)).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_in_the_database_is_run_again() {
    // Two sessions that lock the wallets in the other order, again and again, while transfers go both ways.
    let app = TestApp::with_workers(2).await;
    let (alice, hers) = app.owner(10_000).await;
    let (bob, his) = app.owner(10_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (one, other) = (uuid(&hers).max(uuid(&his)), uuid(&hers).min(uuid(&his)));
    let (client, told) = (app.db.connect().await, Arc::clone(&stop));
    let rival = tokio::spawn(async move {
        let lock = "SELECT id FROM wallets WHERE id = $1 FOR UPDATE";
        while !told.load(Ordering::Relaxed) {
            client.batch_execute("BEGIN").await.unwrap();
            let locked = client.query(lock, &[&one]).await.is_ok();
            tokio::time::sleep(Duration::from_millis(3)).await;
            // A deadlock may end this session's transaction instead: that is fine too.
            let _ = locked && client.query(lock, &[&other]).await.is_ok();
            client.batch_execute("ROLLBACK").await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    for n in 0..30 {
        if n % 2 == 0 {
            app.send(&alice, &hers, &his, 10).await
        } else {
            app.send(&bob, &his, &hers, 10).await
        };
    }
    app.at_rest().await;
    stop.store(true, Ordering::Relaxed);
    rival.await.unwrap();
    assert_eq!(
        app.db
            .count("wallet_transactions WHERE status = 'completed' AND transaction_type = 'transfer'")
            .await,
        30
    );
    assert_eq!(app.balances(&alice, &hers).await, (10_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_and_starting_workers_in_the_middle_loses_nothing() {
    let mut app = TestApp::with_workers(1).await;
    let mut stories = Vec::new();
    for _ in 0..4 {
        stories.push(flows::begin(&app).await);
        app.start_worker();
        app.stop_workers().await;
        app.start_worker();
    }
    for story in &stories {
        story.end(&app, TimeDelta::seconds(5)).await;
    }
    app.finish().await;
}
