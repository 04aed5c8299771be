//! Transfers: many at once, in both directions, in batches with others that fail.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use futures::stream;
use serde_json::json;
use wallet_tests::app::{Options, id_of, uuid};
use wallet_tests::money::major;
use wallet_tests::{Database, TestApp, User, books, eventually};

/// Checks every invariant repeatedly until it is stopped, and returns how often.
async fn read_on(db: &Database, stop: &AtomicBool) -> usize {
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        books::assert_balanced(db).await;
        rounds += 1;
    }
    rounds
}

/// A system with a connection for each of the 32 clients at once: a request that waits for one longer than two seconds is refused, and on a
/// busy machine some would.
async fn crowded() -> TestApp {
    TestApp::with(Options {
        workers: 2,
        variables: vec![("DATABASE_POOL_SIZE", "40".to_owned())],
        ..Options::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_transfers_in_both_directions_between_two_wallets_lose_no_cent() {
    let app = crowded().await;
    let (alice, hers) = app.owner(100_000).await;
    let (bob, his) = app.owner(100_000).await;
    let stop = AtomicBool::new(false);
    let other_session = app.db.reopened();
    let (app_, alice_, bob_, hers_, his_) = (&app, &alice, &bob, &hers, &his);
    let work = async {
        let ids: Vec<String> = stream::iter(0..1_000_i64)
            .map(|n| async move {
                let amount = 1 + n % 7;
                if n % 2 == 0 {
                    app_.send(alice_, hers_, his_, amount).await
                } else {
                    app_.send(bob_, his_, hers_, amount).await
                }
            })
            .buffer_unordered(32)
            .collect()
            .await;
        app.at_rest().await;
        stop.store(true, Ordering::Relaxed);
        ids
    };
    let (rounds, ids) = tokio::join!(read_on(&other_session, &stop), work);
    assert!(rounds > 3, "a reader looked meanwhile");
    assert_eq!(
        app.db
            .count("wallet_transactions WHERE transaction_type = 'transfer' AND status = 'completed'")
            .await,
        1_000
    );
    assert_eq!(ids.len(), 1_000);
    let even: i64 = (0..1_000).step_by(2).map(|n| 1 + n % 7).sum();
    let odd: i64 = (1..1_000).step_by(2).map(|n| 1 + n % 7).sum();
    assert_eq!(app.balances(&alice, &hers).await, (100_000 - even + odd, 0));
    assert_eq!(app.balances(&bob, &his).await, (100_000 + even - odd, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_lacks_funds_fails_alone() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(10_000).await;
    let (bob, his) = app.owner(500).await;
    // Each could be paid when it was accepted; not all of them can be together, in whatever order they come.
    let (large, other, small) = (
        app.send(&alice, &hers, &his, 6_000).await,
        app.send(&alice, &hers, &his, 6_000).await,
        app.send(&alice, &hers, &his, 4_000).await,
    );
    let back = app.send(&bob, &his, &hers, 300).await;
    app.start_worker();
    let ends = [app.ended(&alice, &large).await, app.ended(&alice, &other).await];
    let failed: Vec<_> = ends.iter().filter(|end| end["status"] == "FAILED").collect();
    assert_eq!(failed.len(), 1, "{ends:?}");
    assert_eq!(
        failed[0]["failureReason"],
        "INSUFFICIENT_FUNDS: the wallet's balance is too low"
    );
    app.completed(&alice, &small).await;
    app.completed(&bob, &back).await;
    assert_eq!(app.balances(&alice, &hers).await, (300, 0));
    assert_eq!(app.balances(&bob, &his).await, (10_200, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_would_overflow_the_receiver_fails_alone() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(10_000).await;
    let (_, full) = app.owner(0).await;
    let (_, his) = app.owner(0).await;
    app.plant_unbacked(&full, 999_999_999_999_900 - 5_000).await;
    let sent = [
        app.send(&alice, &hers, &his, 100).await,
        app.send(&alice, &hers, &full, 4_000).await,
        app.send(&alice, &hers, &full, 4_000).await,
        app.send(&alice, &hers, &his, 100).await,
    ];
    app.start_worker();
    for id in [&sent[0], &sent[3]] {
        app.completed(&alice, id).await;
    }
    let ends = [
        app.ended(&alice, &sent[1]).await,
        app.ended(&alice, &sent[2]).await,
    ];
    let failed: Vec<_> = ends.iter().filter(|end| end["status"] == "FAILED").collect();
    assert_eq!(failed.len(), 1, "{ends:?}");
    assert_eq!(
        failed[0]["failureReason"],
        "LIMIT_EXCEEDED: the amount is more than can be received"
    );
    assert_eq!(app.balances(&alice, &hers).await, (5_800, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_deactivated_in_between_stops_its_own_transfers_and_no_others() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(1_000).await;
    let (bob, his) = app.owner(1_000).await;
    let (carol, third) = app.payee(1_000).await;
    let from = app.send(&bob, &his, &hers, 100).await;
    let to = app.send(&alice, &hers, &his, 100).await;
    let beside = app.send(&carol, &third, &hers, 100).await;
    let out = id_of(
        &app.withdraw(&carol, &third, json!({ "amount": "1.00" }))
            .await
            .data(),
    );
    app.db
        .execute(
            "UPDATE wallets SET is_active = false WHERE id = $1",
            &[&uuid(&his)],
        )
        .await;
    app.start_worker();
    for (user, id) in [(&bob, &from), (&alice, &to)] {
        let failed = app.failed(user, id).await;
        assert!(
            failed["failureReason"]
                .as_str()
                .unwrap()
                .starts_with("WALLET_INACTIVE: "),
            "{failed}"
        );
    }
    app.completed(&carol, &beside).await;
    app.completed(&carol, &out).await;
    assert_eq!(app.balances(&alice, &hers).await, (1_100, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_transfers_moves_every_link_on() {
    let mut app = TestApp::with_workers(0).await;
    let mut wallets = vec![app.owner(1_000).await];
    for _ in 0..5 {
        wallets.push(app.owner(1_000).await);
    }
    let mut sent = Vec::new();
    for link in 0..5 {
        let (user, from) = &wallets[link];
        sent.push((
            user.clone(),
            app.send(user, from, &wallets[link + 1].1, 1_000).await,
        ));
    }
    app.start_worker();
    for (user, id) in &sent {
        app.completed(user, id).await;
    }
    assert_eq!(app.balances(&wallets[0].0, &wallets[0].1).await, (0, 0));
    assert_eq!(app.balances(&wallets[5].0, &wallets[5].1).await, (2_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_wallet_takes_from_many_at_once() {
    let app = crowded().await;
    let (landlord, hot) = app.owner(0).await;
    let mut tenants: Vec<(User, String)> = Vec::new();
    for _ in 0..20 {
        tenants.push(app.owner(1_000).await);
    }
    let (app_, hot_) = (&app, &hot);
    stream::iter(tenants.iter().flat_map(|tenant| (0..10).map(move |_| tenant)))
        .map(|(user, wallet)| async move { app_.send(user, wallet, hot_, 100).await })
        .buffer_unordered(32)
        .collect::<Vec<_>>()
        .await;
    eventually("all rents to be there", async || {
        app.balances(&landlord, &hot).await == (20_000, 0)
    })
    .await;
    assert_eq!(major(app.balances(&tenants[0].0, &tenants[0].1).await.0), "0.00");
    app.finish().await;
}
