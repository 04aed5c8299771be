//! RedLock: held by other clients, with nodes away, and lost in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use wallet_dev::pace;
use wallet_dev::stack::Redis;
use wallet_tests::app::{Options, id_of};
use wallet_tests::held_lock::HeldLock;
use wallet_tests::{TestApp, eventually};

use crate::flows::begin;

fn lock_urls(app: &TestApp, nodes: usize) -> Vec<String> {
    app.redis().locks.iter().take(nodes).map(Redis::url).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_that_somebody_else_has_locked_waits_without_using_up_attempts() {
    let app = TestApp::start().await;
    let (alice, hers) = app.owner(1_000).await;
    let (bob, his) = app.payee(1_000).await;
    let (carol, third) = app.owner(1_000).await;
    let held = [
        HeldLock::take(&hers, &lock_urls(&app, 2)).await,
        HeldLock::take(&his, &lock_urls(&app, 2)).await,
    ];
    let sent = app.send(&alice, &hers, &third, 100).await;
    let withdrawal = id_of(&app.withdraw(&bob, &his, json!({ "amount": "1.00" })).await.data());
    let beside = app.send(&carol, &third, &third_of(&app).await, 100).await;
    app.completed(&carol, &beside).await;
    // Both have been claimed and given back, more than once.
    eventually("both to be tried again and again", async || {
        app.db.count("jobs WHERE fence >= 3 AND kind = 'transfer'").await == 1
            && app
                .db
                .count("jobs WHERE fence >= 2 AND kind = 'withdrawal_hold'")
                .await
                == 1
    })
    .await;
    let used = "SELECT max(attempts - CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END)::bigint FROM jobs";
    assert_eq!(
        app.db.value::<i64>(used, &[]).await,
        0,
        "waiting for a lock is nobody's failure"
    );
    assert_eq!(app.transaction(&alice, &sent).await["status"], "PENDING");
    assert_eq!(app.balances(&bob, &his).await, (1_000, 0));
    for held in held {
        held.release().await;
    }
    app.completed(&alice, &sent).await;
    app.completed(&bob, &withdrawal).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_locked_for_a_minute_is_served_as_soon_as_it_is_free() {
    let app = TestApp::start().await;
    let (alice, hers) = app.owner(1_000).await;
    let (bob, his) = app.payee(1_000).await;
    let held = [
        HeldLock::take(&hers, &lock_urls(&app, 2)).await,
        HeldLock::take(&his, &lock_urls(&app, 2)).await,
    ];
    let sent = app.send(&alice, &hers, &his, 100).await;
    let withdrawal = id_of(&app.withdraw(&bob, &his, json!({ "amount": "1.00" })).await.data());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        app.db
            .count("jobs WHERE parked_at IS NULL AND attempts <= 1 AND starts <= 1")
            .await,
        2,
        "neither is parked, and no attempt was used up"
    );
    // One line says so, however often it was tried.
    for (user, id) in [(&alice, &sent), (&bob, &withdrawal)] {
        let told = app.transaction(user, id).await["timeline"].to_string();
        assert_eq!(told.matches(r#""waitsFor":"lock""#).count(), 1, "{told}");
    }
    for held in held {
        held.release().await;
    }
    let start = std::time::Instant::now();
    let ends = [
        app.completed(&alice, &sent).await,
        app.completed(&bob, &withdrawal).await,
    ];
    assert!(
        !pace::is_over(start.elapsed(), Duration::from_secs(10)),
        "{:?}: {ends:#?}",
        start.elapsed()
    );
    app.finish().await;
}

/// Creates one more wallet.
async fn third_of(app: &TestApp) -> String {
    app.owner(0).await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_on_one_node_of_three_holds_nothing() {
    let app = TestApp::start().await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    let held = HeldLock::take(&hers, &lock_urls(&app, 1)).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    app.completed(&alice, &sent).await;
    held.release().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_lock_node_of_three_may_be_away_and_with_two_away_everything_waits() {
    let mut app = TestApp::with(Options {
        own_redis: true,
        ..Options::default()
    })
    .await;
    let (alice, hers) = app.payee(10_000).await;
    let (_, his) = app.owner(0).await;
    app.own_redis().locks[0].stop().await.unwrap();
    let sent = app.send(&alice, &hers, &his, 100).await;
    app.completed(&alice, &sent).await;
    let withdrawal = id_of(
        &app.withdraw(&alice, &hers, json!({ "amount": "5.00" }))
            .await
            .data(),
    );
    app.completed(&alice, &withdrawal).await;

    app.own_redis().locks[1].stop().await.unwrap();
    let sent = app.send(&alice, &hers, &his, 100).await;
    let withdrawal = id_of(
        &app.withdraw(&alice, &hers, json!({ "amount": "5.00" }))
            .await
            .data(),
    );
    eventually("both to be given back", async || {
        app.db
            .count("jobs WHERE last_error IS NOT NULL AND parked_at IS NULL")
            .await
            == 2
    })
    .await;
    assert_eq!(
        app.balances(&alice, &hers).await,
        (9_400, 0),
        "nothing moves without a majority"
    );
    app.own_redis().locks[0].start_again().await.unwrap();
    app.completed(&alice, &sent).await;
    app.completed(&alice, &withdrawal).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_lock_nodes_workers_that_may_proceed_go_on_under_row_locks_and_the_fence() {
    let mut app = TestApp::with(Options {
        own_redis: true,
        workers: 0,
        ..Options::default()
    })
    .await;
    for _ in 0..3 {
        app.start_worker_with(&[("REDLOCK_QUORUM_LOSS", "proceed")]);
    }
    let (alice, hers) = app.payee(10_000).await;
    let (bob, his) = app.owner(10_000).await;
    for node in 0..3 {
        app.own_redis().locks[node].stop().await.unwrap();
    }
    // Both ways, so that the same rows are wanted in both orders.
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.push((&alice, app.send(&alice, &hers, &his, 100).await));
        sent.push((&bob, app.send(&bob, &his, &hers, 100).await));
    }
    let withdrawal = app.withdraw(&alice, &hers, json!({ "amount": "5.00" })).await;
    sent.push((&alice, id_of(&withdrawal.data())));
    for (owner, id) in &sent {
        app.completed(owner, id).await;
    }
    assert_eq!(app.balances(&alice, &hers).await, (9_500, 0));
    assert_eq!(app.balances(&bob, &his).await, (10_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_lost_in_the_middle_of_the_work_cost_no_cent() {
    let app = TestApp::with(Options {
        own_redis: true,
        workers: 3,
        ..Options::default()
    })
    .await;
    let (alice, hers) = app.owner(50_000).await;
    let (bob, his) = app.owner(50_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (urls, told) = (lock_urls(&app, 3), Arc::clone(&stop));
    // Every lock is lost within milliseconds of being taken: the same wallets are worked on by several workers at once.
    let thief = tokio::spawn(async move {
        let mut nodes = Vec::new();
        for url in urls {
            nodes.push(
                redis::Client::open(url)
                    .unwrap()
                    .get_multiplexed_async_connection()
                    .await
                    .unwrap(),
            );
        }
        while !told.load(Ordering::Relaxed) {
            for node in &mut nodes {
                redis::cmd("FLUSHALL").exec_async(node).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let story = begin(&app).await;
    for n in 0..200 {
        if n % 2 == 0 {
            app.send(&alice, &hers, &his, 7).await
        } else {
            app.send(&bob, &his, &hers, 5).await
        };
    }
    story.end(&app, chrono::TimeDelta::seconds(5)).await;
    app.at_rest().await;
    stop.store(true, Ordering::Relaxed);
    thief.await.unwrap();
    assert_eq!(app.balances(&alice, &hers).await, (50_000 - 700 + 500, 0));
    assert_eq!(app.balances(&bob, &his).await, (50_000 + 700 - 500, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_lock_is_given_back() {
    let app = TestApp::with(Options {
        own_redis: true,
        ..Options::default()
    })
    .await;
    let story = begin(&app).await;
    story.end(&app, chrono::TimeDelta::seconds(5)).await;
    for url in lock_urls(&app, 3) {
        let mut node = redis::Client::open(url)
            .unwrap()
            .get_multiplexed_async_connection()
            .await
            .unwrap();
        eventually("the node to be empty", async || {
            redis::cmd("DBSIZE").query_async::<u64>(&mut node).await.unwrap() == 0
        })
        .await;
    }
    app.finish().await;
}
