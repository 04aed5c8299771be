//! Lock nodes that are unavailable or cannot be written to: a metric and readiness show it, and an alarm once no wallet can be locked any more.

use wallet_dev::stack::{Redis, port};
use wallet_tests::app::{Leftovers, Options};
use wallet_tests::{TestApp, eventually};

const ALARM: &str = "alarms WHERE kind = 'lock_quorum_lost' AND subject = 'lock nodes' AND closed_at IS NULL";

async fn tell(node: &Redis, command: &[&str]) {
    let client = redis::Client::open(node.url()).unwrap();
    let mut node = client.get_multiplexed_async_connection().await.unwrap();
    let (name, arguments) = command.split_first().unwrap();
    redis::cmd(name)
        .arg(arguments)
        .exec_async(&mut node)
        .await
        .unwrap();
}

async fn page(app: &TestApp, port: &str, path: &str) -> String {
    let url = format!("http://127.0.0.1:{port}{path}");
    let told = wallet_tests::until("a page", async || app.client().get(&url).send().await.ok()).await;
    told.text().await.unwrap()
}

/// Two of three nodes become useless by `harm`, one after the other, and useful again by `fix`.
async fn the_majority_is_lost_and_comes_back(harm: impl AsyncFn(&mut Redis), fix: impl AsyncFn(&mut Redis)) {
    let mut app = TestApp::with(Options {
        workers: 0,
        own_redis: true,
        ..Options::default()
    })
    .await;
    let port = port::free().unwrap().to_string();
    app.start_worker_with(&[("METRICS_PORT", &port)]);
    let up = async |app: &TestApp, nodes: usize| {
        let line = format!("\nwallet_lock_nodes_up {nodes}\n");
        eventually(&format!("the metric to tell of {nodes} nodes"), async || {
            page(app, &port, "/metrics").await.contains(&line)
        })
        .await;
    };
    let (alice, hers) = app.owner(10_000).await;
    let (_, his) = app.owner(0).await;
    up(&app, 3).await;

    // One of three: all goes on, and nobody is called.
    harm(&mut app.own_redis().locks[0]).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    app.completed(&alice, &sent).await;
    up(&app, 2).await;
    assert_eq!(app.db.count(ALARM).await, 0);
    assert!(!page(&app, &port, "/readyz").await.contains("lock nodes"));

    // Two of three: what was accepted waits, and somebody is told.
    harm(&mut app.own_redis().locks[1]).await;
    let waits = app.send(&alice, &hers, &his, 100).await;
    up(&app, 1).await;
    eventually("the alarm", async || app.db.count(ALARM).await == 1).await;
    let message: String = app.db.value("SELECT message FROM alarms", &[]).await;
    for words in [
        "1 of 3 lock nodes (REDLOCK_URLS)",
        "2 are needed",
        "all money waits",
    ] {
        assert!(message.contains(words), "{message}");
    }
    let ready = page(&app, &port, "/readyz").await;
    assert!(ready.contains("lock nodes 1 of 3, 2 are needed"), "{ready}");
    assert_eq!(app.transaction(&alice, &waits).await["status"], "PENDING");
    assert_eq!(app.db.count("jobs WHERE parked_at IS NOT NULL").await, 0);

    // One of them comes back, and with it everything.
    fix(&mut app.own_redis().locks[0]).await;
    up(&app, 2).await;
    eventually("the alarm to be over", async || app.db.count(ALARM).await == 0).await;
    app.completed(&alice, &waits).await;
    assert!(!page(&app, &port, "/readyz").await.contains("lock nodes"));
    fix(&mut app.own_redis().locks[1]).await;
    up(&app, 3).await;
    app.finish_with(Leftovers {
        alarms: &["lock_quorum_lost"],
        parked: 0,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_are_away_are_told_until_one_is_back() {
    the_majority_is_lost_and_comes_back(
        // Frozen, not ended: the port of one that has ended may be another test's in a moment.
        async |node| node.process().freeze(),
        async |node| node.process().thaw(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_take_no_writes_are_told_until_one_does() {
    the_majority_is_lost_and_comes_back(
        async |node| tell(node, &["REPLICAOF", "127.0.0.1", "1"]).await,
        async |node| tell(node, &["REPLICAOF", "NO", "ONE"]).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_that_an_earlier_worker_left_is_closed_by_one_that_sees_the_nodes() {
    let mut app = TestApp::with_workers(0).await;
    let left = "INSERT INTO alarms (kind, subject, message, raised_at) VALUES ('lock_quorum_lost', 'lock nodes', 'x', now())";
    app.db.execute(left, &[]).await;
    app.start_worker();
    eventually("it to be closed", async || app.db.count(ALARM).await == 0).await;
    app.finish_with(Leftovers {
        alarms: &["lock_quorum_lost"],
        parked: 0,
    })
    .await;
}
