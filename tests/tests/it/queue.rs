//! The queue's Redis: emptied, hanging, and not large enough for all that waits.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;
use redis::aio::MultiplexedConnection;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wallet_core::dispatch::{Queued, Submitter};
use wallet_core::ids::JobId;
use wallet_core::jobs::QueueName;
use wallet_core::queue::QueueTransport;
use wallet_dev::pace;
use wallet_tests::TestApp;
use wallet_tests::app::{Options, id_of, uuid};
use wallet_tests::poll::{eventually, until_within};

/// How long a job may take while the contents of Redis make no sense.
const GOES_ON_WITHIN: Duration = Duration::from_secs(5);

async fn queue_of(app: &TestApp) -> MultiplexedConnection {
    let url = app.variables.get("REDIS_URL").unwrap();
    redis::Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_handed_over_when_a_process_ends_is_handed_over() {
    let app = TestApp::with_workers(0).await;
    let namespace = app.variables.get("REDIS_NAMESPACE").unwrap();
    let transport = QueueTransport::connect(app.variables.get("REDIS_URL").unwrap(), namespace)
        .await
        .unwrap();
    let stopped = CancellationToken::new();
    let pool = app.db.pool().await.clone();
    let (dispatch, dispatching) = Submitter::start(pool, transport.clone(), stopped.clone());
    for job in 0..500 {
        dispatch.submit(Queued {
            queue: QueueName::Deposits,
            job: JobId(job),
            is_marked: true,
        });
    }
    stopped.cancel();
    dispatching.await.unwrap();
    assert_eq!(transport.waiting(QueueName::Deposits).await.unwrap(), 500);
    app.finish().await;
}

async fn keys_in(queue: &mut MultiplexedConnection) -> u64 {
    redis::cmd("DBSIZE").query_async(queue).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_emptied_loses_no_job() {
    let mut app = TestApp::with(Options {
        own_redis: true,
        workers: 0,
        ..Options::default()
    })
    .await;
    let (alice, hers) = app.owner(100_000).await;
    let (_, his) = app.owner(0).await;
    let mut queue = queue_of(&app).await;
    for _ in 0..60 {
        app.send(&alice, &hers, &his, 10).await;
    }
    redis::cmd("FLUSHALL").exec_async(&mut queue).await.unwrap();
    app.start_worker();
    app.start_worker();
    // And again while they work.
    for _ in 0..6 {
        for _ in 0..10 {
            app.send(&alice, &hers, &his, 10).await;
        }
        redis::cmd("FLUSHALL").exec_async(&mut queue).await.unwrap();
    }
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &hers).await, (100_000 - 1_200, 0));
    app.finish().await;
}

/// Three people send, pay and withdraw, always the same; returns their balances and what every account holds in the end.
async fn play(emptied: bool) -> (Vec<(i64, i64)>, Vec<(String, String)>) {
    let app = TestApp::with(Options {
        own_redis: true,
        workers: 2,
        ..Options::default()
    })
    .await;
    let mut queue = queue_of(&app).await;
    let people = [
        app.payee(50_000).await,
        app.payee(50_000).await,
        app.payee(50_000).await,
    ];
    for step in 0_usize..30 {
        let (person, wallet) = &people[step % 3];
        let (_, other) = &people[(step + 1) % 3];
        let amount = format!("{}.50", step + 1);
        let answer = match step % 5 {
            0 => app.withdraw(person, wallet, json!({ "amount": amount })).await,
            1 => {
                let payment = json!({ "toWalletId": other, "amount": amount });
                app.pay(person, wallet, payment).await
            }
            _ => {
                let transfer = json!({ "toWalletId": other, "amount": amount });
                app.transfer(person, wallet, transfer).await
            }
        };
        let _ = id_of(&answer.data());
        if emptied && step % 3 == 2 {
            redis::cmd("FLUSHALL").exec_async(&mut queue).await.unwrap();
        }
    }
    eventually("every request to be completed", async || {
        app.db
            .count("wallet_transactions WHERE status <> 'completed'")
            .await
            == 0
    })
    .await;
    app.at_rest().await;
    let mut balances = Vec::new();
    for (person, wallet) in &people {
        balances.push(app.balances(person, wallet).await);
    }
    let accounts =
        "SELECT account::text, sum(amount)::text FROM ledger_entries GROUP BY account ORDER BY account";
    let accounts = app.db.rows(accounts, &[]).await;
    let accounts = accounts.iter().map(|row| (row.get(0), row.get(1))).collect();
    app.finish().await;
    (balances, accounts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_requests_end_in_the_same_books_whether_or_not_redis_is_emptied_meanwhile() {
    let (undisturbed, emptied) = tokio::join!(play(false), play(true));
    assert_eq!(emptied, undisturbed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stands_still_delays_and_breaks_nothing() {
    let app = TestApp::with(Options {
        own_redis: true,
        workers: 2,
        ..Options::default()
    })
    .await;
    let (alice, hers) = app.payee(100_000).await;
    let (_, his) = app.owner(0).await;
    for round in 0..3 {
        for _ in 0..10 {
            app.send(&alice, &hers, &his, 10).await;
        }
        let _ = id_of(
            &app.withdraw(&alice, &hers, json!({ "amount": "1.00" }))
                .await
                .data(),
        );
        if round < 2 {
            app.redis()
                .queue
                .pause(Duration::from_millis(2_000))
                .await
                .unwrap();
        }
    }
    app.at_rest().await;
    eventually("the withdrawals to be paid", async || {
        app.balances(&alice, &hers).await == (100_000 - 300 - 300, 0)
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_from_the_table_while_redis_is_away() {
    let mut app = TestApp::with(Options {
        own_redis: true,
        workers: 2,
        ..Options::default()
    })
    .await;
    let (alice, hers) = app.payee(100_000).await;
    let (_, his) = app.owner(0).await;
    app.own_redis().queue.stop().await.unwrap();
    for _ in 0..10 {
        app.send(&alice, &hers, &his, 10).await;
    }
    let withdrawal = app.withdraw(&alice, &hers, json!({ "amount": "1.00" })).await;
    app.at_rest().await;
    app.completed(&alice, &id_of(&withdrawal.data())).await;
    app.own_redis().queue.start_again().await.unwrap();
    let sent = app.send(&alice, &hers, &his, 10).await;
    app.completed(&alice, &sent).await;
    assert_eq!(app.balances(&alice, &hers).await, (100_000 - 110 - 100, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_from_the_table_while_redis_only_reads() {
    let app = TestApp::with(Options {
        own_redis: true,
        workers: 2,
        ..Options::default()
    })
    .await;
    let (alice, hers) = app.owner(100_000).await;
    let (_, his) = app.owner(0).await;
    let mut queue = queue_of(&app).await;
    // As a primary that comes back after a failover: it follows, and nobody has told us where the new one is.
    let _: () = redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg(1)
        .query_async(&mut queue)
        .await
        .unwrap();
    for _ in 0..10 {
        app.send(&alice, &hers, &his, 10).await;
    }
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &hers).await, (100_000 - 100, 0));
    let _: () = redis::cmd("REPLICAOF")
        .arg("NO")
        .arg("ONE")
        .query_async(&mut queue)
        .await
        .unwrap();
    let sent = app.send(&alice, &hers, &his, 10).await;
    app.completed(&alice, &sent).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_was_given_before_it_went_is_taken_from_the_table() {
    let mut app = TestApp::with(Options {
        own_redis: true,
        workers: 0,
        ..Options::default()
    })
    .await;
    let (alice, hers) = app.owner(100_000).await;
    let (_, his) = app.owner(0).await;
    for _ in 0..10 {
        app.send(&alice, &hers, &his, 10).await;
    }
    eventually("Redis to have them", async || {
        app.db.count("jobs WHERE handed_over_at IS NOT NULL").await == 10
    })
    .await;
    app.own_redis().queue.stop().await.unwrap();
    app.start_worker();
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &hers).await, (100_000 - 100, 0));
    app.finish().await;
}

/// Inserts transfers of a cent that were accepted long ago directly into the tables.
async fn plant_backlog(app: &TestApp, user: Uuid, from: &str, to: &str, count: usize) {
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    let sql = "WITH n AS (SELECT unnest($1::uuid[]) AS id),
                    t AS (INSERT INTO wallet_transactions (id, wallet_id, user_id, transaction_type, stage, amount, currency, counterparty_wallet_id)
                          SELECT id, $2, $4, 'transfer', 'accepted', 0.01, 'usd', $3 FROM n),
                    a AS (INSERT INTO audit_log (at, actor, action, request_id, transaction_ids, detail)
                          SELECT now(), 'user:' || $4, 'accept', 'long ago', $1, '{\"type\": \"transfer\"}')
               INSERT INTO jobs (queue, kind, transaction_id, wallet_ids, run_at, created_at)
               SELECT 'transfers', 'transfer', id, ARRAY[$2, $3]::uuid[], now(), now() FROM n ORDER BY id";
    assert_eq!(
        app.db.execute(sql, &[&ids, &uuid(from), &uuid(to), &user]).await,
        u64::try_from(count).unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nine_thousand_waiting_jobs_are_all_done_and_redis_is_as_small_as_before() {
    const BACKLOG: usize = 8_800;
    let mut app = TestApp::with(Options {
        own_redis: true,
        workers: 1,
        ..Options::default()
    })
    .await;
    let (alice, hers) = app.owner(100_000).await;
    let (_, his) = app.owner(0).await;
    // What Redis holds once a worker has done something: the sets of apalis, the markers.
    let first = app.send(&alice, &hers, &his, 1).await;
    app.completed(&alice, &first).await;
    let mut queue = queue_of(&app).await;
    app.at_rest().await;
    let mut before = u64::MAX;
    eventually("Redis to be swept", async || {
        let keys = keys_in(&mut queue).await;
        let steady = keys == before;
        before = keys;
        steady
    })
    .await;
    app.stop_workers().await;

    plant_backlog(&app, alice.id, &hers, &his, BACKLOG).await;
    let (app_, alice_, hers_, his_) = (&app, &alice, &hers, &his);
    stream::iter(0..200)
        .map(|_| app_.send(alice_, hers_, his_, 1))
        .buffer_unordered(16)
        .collect::<Vec<_>>()
        .await;
    app.start_worker();
    let mut most = 0;
    until_within(Duration::from_secs(90), "the backlog to be done", async || {
        most = most.max(keys_in(&mut queue).await);
        (app.db.count("jobs").await == 0).then_some(())
    })
    .await;
    assert_eq!(app.balances(&alice, &hers).await, (100_000 - 9_001, 0));
    assert!(
        most < 8_000,
        "Redis held a window of what waited, not {most} keys"
    );
    eventually("Redis to be swept again", async || {
        keys_in(&mut queue).await <= before + 4
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_comes_to_an_idle_system_is_done_at_once() {
    let app = TestApp::start().await;
    let (alice, hers) = app.owner(10_000).await;
    let (_, his) = app.owner(0).await;
    // One at a time, after pauses of every length: each meets a worker that has just begun to wait, or has waited for long.
    for pause in 0..60 {
        let sent = app.send(&alice, &hers, &his, 1).await;
        app.completed(&alice, &sent).await;
        tokio::time::sleep(Duration::from_millis(pause * 7 % 61)).await;
    }
    // From acceptance to completion by the application's clock; the machine is shared, so the bounds are wide.
    let times = "SELECT extract(epoch FROM updated_at - created_at)::float8 FROM wallet_transactions
                  WHERE transaction_type = 'transfer' ORDER BY 1";
    let rows = app.db.rows(times, &[]).await;
    let times: Vec<f64> = rows.iter().map(|row| row.get(0)).collect();
    let (middle, longest) = (times[times.len() / 2], times[times.len() - 1]);
    assert!(
        middle < 0.5 && longest < 5.0,
        "half took {middle} s or more, the longest {longest} s"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_the_queues_redis_is_put_aside_with_an_alarm_and_work_goes_on() {
    let app = TestApp::with(Options {
        own_redis: true,
        ..Options::default()
    })
    .await;
    let (alice, hers) = app.owner(10_000).await;
    let (_, his) = app.owner(0).await;
    let prefix = format!("{}:{{transfers}}", app.variables.get("REDIS_NAMESPACE").unwrap());
    let mut queue = queue_of(&app).await;
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for (round, garbage) in [
        // A task whose status nobody knows.
        format!("HSET {prefix}:data {id} x | HSET {prefix}:meta:{id} attempts 0 max_attempts 5 status Asleep | RPUSH {prefix}:active {id}"),
        // A list that is a string.
        format!("DEL {prefix}:active | SET {prefix}:active garbage"),
        format!("DEL {prefix}:data | LPUSH {prefix}:data garbage"),
    ]
    .into_iter()
    .enumerate()
    {
        for command in garbage.split(" | ") {
            let mut words = command.split(' ');
            let mut command = redis::cmd(words.next().unwrap());
            words.for_each(|word| {
                command.arg(word);
            });
            command.exec_async(&mut queue).await.unwrap();
        }
        for _ in 0..3 {
            let began = Instant::now();
            let sent = app.send(&alice, &hers, &his, 100).await;
            app.completed(&alice, &sent).await;
            let took = began.elapsed();
            assert!(
                !pace::is_over(took, GOES_ON_WITHIN),
                "round {round}: {took:?}, on a machine {} times slower than usual",
                pace::factor()
            );
        }
        eventually("an alarm to be raised", async || {
            let seen: Option<i64> = app.db.value("SELECT sum(seen)::bigint FROM alarms WHERE kind = 'queue_garbage'", &[]).await;
            seen.unwrap_or(0) > i64::try_from(round).unwrap()
        })
        .await;
    }
    app.finish_with(wallet_tests::app::Leftovers {
        alarms: &["queue_garbage"],
        parked: 0,
    })
    .await;
}
