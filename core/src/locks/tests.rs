//! RedLock against three real Redis servers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use uuid::Uuid;

use super::test_redis::RedisProcess;
use super::*;

fn wallet(number: u128) -> WalletId {
    WalletId::from_uuid(Uuid::from_u128(number))
}

fn key(number: u128) -> String {
    format!("wallet:{}", wallet(number))
}

fn start<const N: usize>() -> [RedisProcess; N] {
    std::array::from_fn(|_| RedisProcess::start())
}

fn locks_over(nodes: &[RedisProcess], timing: LockTiming) -> WalletLocks {
    let urls: Vec<String> = nodes.iter().map(RedisProcess::url).collect();
    WalletLocks::with_timing(&urls, timing).unwrap()
}

/// The times of production, but with fewer tries, closer together.
fn quick() -> LockTiming {
    LockTiming {
        tries: 3,
        spacing: Duration::from_millis(20),
        ..LockTiming::default()
    }
}

fn holders(nodes: &[RedisProcess], number: u128) -> usize {
    nodes
        .iter()
        .filter(|node| node.run::<bool>(&["EXISTS", &key(number)]))
        .count()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(5), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_the_key_of_the_wallet_on_every_node_and_gone_after_release() {
    let nodes = start::<3>();
    let locks = locks_over(&nodes, quick());
    let guard = locks.lock(&[wallet(1), wallet(2), wallet(1)]).await.unwrap();
    assert_eq!((holders(&nodes, 1), holders(&nodes, 2)), (3, 3));
    let ttl: i64 = nodes[0].run(&["PTTL", &key(1)]);
    assert!((29_000..=30_000).contains(&ttl), "{ttl}");
    assert!(!guard.is_lost());
    guard.release().await;
    assert_eq!((holders(&nodes, 1), holders(&nodes, 2)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_redlock_client_is_respected_on_two_of_three_nodes_and_outvoted_on_one() {
    let nodes = start::<3>();
    let locks = locks_over(&nodes, quick());
    for node in &nodes[..2] {
        let _: () = node.run(&["SET", &key(7), "another program", "NX", "PX", "60000"]);
    }
    let refused = locks.lock(&[wallet(7), wallet(8)]).await.unwrap_err();
    assert!(
        matches!(refused, LockError::Busy { wallet: busy } if busy == wallet(7)),
        "{refused}"
    );
    assert_eq!(holders(&nodes, 8), 0, "what was taken with it is released");
    assert_eq!(holders(&nodes, 7), 2, "the other program's keys stay");

    let _: () = nodes[0].run(&["DEL", &key(7)]);
    let guard = locks.lock(&[wallet(7)]).await.unwrap();
    guard.release().await;
    assert_eq!(nodes[1].run::<String>(&["GET", &key(7)]), "another program");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_waits_for_a_holder_who_goes() {
    let nodes = start::<3>();
    let locks = locks_over(&nodes, LockTiming::default());
    let first = locks.lock(&[wallet(1)]).await.unwrap();
    let waiting = tokio::spawn({
        let locks = locks.clone();
        async move { locks.lock(&[wallet(1)]).await }
    });
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(!waiting.is_finished());
    first.release().await;
    waiting.await.unwrap().unwrap().release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_down_or_frozen_costs_its_time_limit_once() {
    let mut nodes = start::<3>();
    let locks = locks_over(&nodes, quick());
    locks.lock(&[wallet(1)]).await.unwrap().release().await;
    nodes[1].freeze();
    let begun = Instant::now();
    locks.lock(&[wallet(1)]).await.unwrap().release().await;
    assert!(
        begun.elapsed() < Duration::from_millis(600),
        "{:?}",
        begun.elapsed()
    );
    eventually("the frozen node counts as down", || locks.nodes_up() == 2).await;
    let begun = Instant::now();
    for _ in 0..20 {
        locks.lock(&[wallet(1), wallet(2)]).await.unwrap().release().await;
    }
    assert!(
        begun.elapsed() < Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
    nodes[1].thaw();
    eventually("the node is back", || locks.nodes_up() == 3).await;
    eventually("what it granted while frozen is taken back", || {
        holders(&nodes, 1) == 0
    })
    .await;

    nodes[2].kill();
    for _ in 0..20 {
        locks.lock(&[wallet(1)]).await.unwrap().release().await;
    }
    eventually("the dead node counts as down", || locks.nodes_up() == 2).await;
    nodes[2].start_again();
    eventually("the node is back", || locks.nodes_up() == 3).await;
    let guard = locks.lock(&[wallet(3)]).await.unwrap();
    assert_eq!(holders(&nodes, 3), 3);
    guard.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_work_may_go_on_but_never_past_a_holder() {
    let mut nodes = start::<3>();
    let locks = locks_over(&nodes, quick()).on_loss(QuorumLoss::Proceed);
    let holder = locks_over(&nodes, quick()).lock(&[wallet(1)]).await.unwrap();
    let batch = locks.try_lock_each(&[wallet(1), wallet(2)]).await;
    assert!(!batch.allows(wallet(1)) && batch.allows(wallet(2)));
    batch.release().await;
    holder.release().await;
    nodes[0].kill();
    nodes[1].freeze();
    let guard = locks.lock(&[wallet(1)]).await.unwrap();
    assert!(!guard.is_lost(), "there is nothing that could be lost");
    guard.release().await;
    let batch = locks.try_lock_each(&[wallet(1)]).await;
    assert!(batch.held().is_empty() && batch.allows(wallet(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_down_is_no_quorum_and_not_busy() {
    let mut nodes = start::<3>();
    let locks = locks_over(&nodes, quick());
    nodes[0].kill();
    nodes[1].freeze();
    let refused = locks.lock(&[wallet(1)]).await.unwrap_err();
    assert!(
        matches!(refused, LockError::NoQuorum { needed: 2, nodes: 3 }),
        "{refused}"
    );
    let batch = locks.try_lock_each(&[wallet(1), wallet(2)]).await;
    assert_eq!(batch.without_quorum().len(), 2);
    assert!(batch.held().is_empty() && batch.busy().is_empty());
    assert_eq!(nodes[2].run::<i64>(&["DBSIZE"]), 0, "a minority keeps nothing");
    nodes[1].thaw();
    eventually("two nodes are up", || locks.nodes_up() == 2).await;
    locks.lock(&[wallet(1)]).await.unwrap().release().await;
}

/// A node that answers but grants nothing, because it is a replica, has no memory left or no right to write, counts as down.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_be_written_to_is_unreachable_and_not_busy() {
    for (breaks, fixes) in [
        (
            ["REPLICAOF", "127.0.0.1", "1"].as_slice(),
            ["REPLICAOF", "NO", "ONE"].as_slice(),
        ),
        (
            &["CONFIG", "SET", "maxmemory", "1"],
            &["CONFIG", "SET", "maxmemory", "0"],
        ),
        (
            &["ACL", "SETUSER", "default", "-set"],
            &["ACL", "SETUSER", "default", "+set"],
        ),
    ] {
        let nodes = start::<3>();
        let locks = locks_over(&nodes, quick());
        locks.lock(&[wallet(1)]).await.unwrap().release().await;
        for node in &nodes[..2] {
            let _: redis::Value = node.run(breaks);
        }
        let refused = locks.lock(&[wallet(1)]).await.unwrap_err();
        assert!(
            matches!(refused, LockError::NoQuorum { .. }),
            "{breaks:?}: {refused:?}"
        );
        for node in &nodes[..2] {
            let _: redis::Value = node.run(fixes);
        }
        let begun = Instant::now();
        while locks.lock(&[wallet(1)]).await.is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "never again: {breaks:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_lock_is_renewed_beyond_its_time_to_live() {
    let nodes = start::<3>();
    let (ttl, renew_every) = (Duration::from_millis(600), Duration::from_millis(150));
    let locks = locks_over(
        &nodes,
        LockTiming {
            ttl,
            renew_every,
            ..quick()
        },
    );
    let guard = locks.lock(&[wallet(1)]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!guard.is_lost());
    assert!(matches!(
        locks.lock(&[wallet(1)]).await,
        Err(LockError::Busy { .. })
    ));
    guard.release().await;
    locks.lock(&[wallet(1)]).await.unwrap().release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lock_is_noticed_and_its_release_leaves_the_next_owner_alone() {
    let nodes = start::<3>();
    let locks = locks_over(
        &nodes,
        LockTiming {
            renew_every: Duration::from_millis(100),
            ..quick()
        },
    );
    let guard = locks.lock(&[wallet(1), wallet(2)]).await.unwrap();
    for node in &nodes[..2] {
        let _: () = node.run(&["SET", &key(1), "the next owner"]);
    }
    tokio::time::timeout(Duration::from_secs(2), guard.lost())
        .await
        .expect("the renewal notices");
    assert!(guard.is_lost());
    guard.release().await;
    assert_eq!(nodes[0].run::<String>(&["GET", &key(1)]), "the next owner");
    assert_eq!(holders(&nodes, 2), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_that_misses_a_renewal_loses_nothing() {
    let nodes = start::<3>();
    let locks = locks_over(
        &nodes,
        LockTiming {
            renew_every: Duration::from_millis(100),
            ..quick()
        },
    );
    let guard = locks.lock(&[wallet(1)]).await.unwrap();
    let _: () = nodes[0].run(&["FLUSHALL"]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!guard.is_lost());
    assert_eq!(holders(&nodes, 1), 2, "the healthy nodes keep it");
    guard.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_is_only_dropped_is_released_in_the_background() {
    let nodes = start::<1>();
    let locks = locks_over(&nodes, quick());
    drop(locks.lock(&[wallet(1)]).await.unwrap());
    eventually("released", || holders(&nodes, 1) == 0).await;
    // A caller that is cancelled in the middle of a lock leaves nothing behind either.
    for _ in 0..50 {
        let both = [wallet(1), wallet(2)];
        drop(tokio::time::timeout(Duration::from_micros(200), locks.lock(&both)).await);
    }
    eventually("released", || nodes[0].run::<i64>(&["DBSIZE"]) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_sets_in_any_order_exclude_each_other_and_never_deadlock() {
    let nodes = start::<3>();
    let timing = LockTiming {
        tries: 400,
        spacing: Duration::from_millis(4),
        ..LockTiming::default()
    };
    let inside: Arc<[AtomicUsize; 3]> = Arc::default();
    let tasks = [[0, 1], [1, 2], [2, 0], [1, 0]].map(|pair| {
        let (locks, inside) = (locks_over(&nodes, timing), Arc::clone(&inside));
        tokio::spawn(async move {
            for _ in 0..25 {
                let guard = locks
                    .lock(&pair.map(|number| wallet(number.try_into().unwrap())))
                    .await
                    .unwrap();
                for number in pair {
                    assert_eq!(
                        inside[number].fetch_add(1, Ordering::SeqCst),
                        0,
                        "two holders of one wallet"
                    );
                }
                tokio::task::yield_now().await;
                for number in pair {
                    inside[number].fetch_sub(1, Ordering::SeqCst);
                }
                guard.release().await;
            }
        })
    });
    let all = tokio::time::timeout(Duration::from_secs(60), futures::future::join_all(tasks));
    all.await
        .expect("no deadlock")
        .into_iter()
        .for_each(|task| task.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_says_which_wallets_are_held_and_which_are_busy() {
    let nodes = start::<3>();
    let locks = locks_over(&nodes, quick());
    let other = locks.lock(&[wallet(5), wallet(300)]).await.unwrap();
    let wanted: Vec<WalletId> = (0..600).map(wallet).collect();
    let batch = locks.try_lock_each(&wanted).await;
    assert_eq!(batch.busy(), &BTreeSet::from([wallet(5), wallet(300)]));
    assert_eq!(batch.held().len(), 598);
    assert!(batch.without_quorum().is_empty() && batch.allows(wallet(6)) && !batch.allows(wallet(5)));
    // A release that a busy node has not answered in time still reaches it, or the key expires.
    let left = async |count: i64| {
        while nodes[0].run::<i64>(&["DBSIZE"]) != count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    batch.release().await;
    left(2).await;
    other.release().await;
    left(0).await;
}

#[test]
fn a_wrong_list_of_nodes_is_refused_without_showing_it() {
    assert!(matches!(WalletLocks::new::<&str>(&[]), Err(LockError::NoNodes)));
    let refused = WalletLocks::new(&["redis://localhost", "http://:secret@x"]).unwrap_err();
    assert!(matches!(refused, LockError::InvalidUrl { position: 2, .. }));
    assert!(!format!("{refused} {refused:?}").contains("secret"));
}

/// Prints how long locking takes: `cargo test -p wallet-core --release locks -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a check"]
#[expect(clippy::print_stdout, reason = "its output is its purpose")]
async fn measure() {
    let nodes = start::<3>();
    let locks = locks_over(&nodes, LockTiming::default());
    let mut times = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        locks.lock(&[wallet(1), wallet(2)]).await.unwrap().release().await;
        times.push(begun.elapsed());
    }
    times.sort();
    println!(
        "lock + release of 2 wallets: p50 {:?}, p99 {:?}",
        times[250], times[495]
    );
    let wanted: Vec<WalletId> = (0..600).map(wallet).collect();
    for _ in 0..5 {
        let begun = Instant::now();
        let batch = locks.try_lock_each(&wanted).await;
        let locked = begun.elapsed();
        assert_eq!(batch.held().len(), 600);
        batch.release().await;
        println!(
            "600 wallets: locked {locked:?}, released {:?}",
            begun.elapsed() - locked
        );
    }
}
