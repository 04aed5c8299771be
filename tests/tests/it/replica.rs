//! A replica that is unavailable: lists come from the primary, nobody waits for it twice, and operators can see it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use wallet_dev::pace;
use wallet_tests::app::Options;
use wallet_tests::{TestApp, eventually};

/// How long a request waits for a replica that takes connections and never answers.
const ONE_WAIT: Duration = Duration::from_secs(2);

async fn with_replica(url: String) -> TestApp {
    TestApp::with(Options {
        workers: 0,
        variables: vec![("DATABASE_REPLICA_URL", url)],
        ..Options::default()
    })
    .await
}

async fn page(app: &TestApp, path: &str) -> String {
    let url = format!("{}/{path}", app.base());
    app.client().get(url).send().await.unwrap().text().await.unwrap()
}

async fn told(app: &TestApp) -> Value {
    serde_json::from_str::<Value>(&page(app, "readyz").await).unwrap()["replica"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_never_answers_is_waited_for_once_at_most_and_told() {
    // Connections are taken by the kernel, and nobody answers them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "postgres://wallet@{}/wallet?sslmode=disable",
        silent.local_addr().unwrap()
    );
    let app = with_replica(url).await;
    let (alice, hers) = app.owner(0).await;
    let history = "query($id: String!) { wallet(id: $id) { transactions { edges { node { id } } } } }";
    let asked = Instant::now();
    for _ in 0..20 {
        let wallets = app.gql(&alice, "{ wallets { id } }", json!({})).await.data();
        assert_eq!(wallets[0]["id"], hers);
        let found = app.gql(&alice, history, json!({ "id": hers })).await.data();
        assert_eq!(found["transactions"]["edges"], json!([]));
    }
    // Each would have waited, twice.
    assert!(
        !pace::is_over(asked.elapsed(), ONE_WAIT * 20),
        "{:?}",
        asked.elapsed()
    );
    eventually("it to be told", async || told(&app).await == "unavailable").await;
    assert!(page(&app, "metrics").await.contains("wallet_replica_up 0"));
    assert!(
        page(&app, "readyz").await.contains("\"status\":\"ready\""),
        "the primary serves"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_answers_again_is_used_again() {
    let replica = wallet_tests::Database::migrated().await;
    // A database of its own in the place of a replica: what is read there shows where it was read.
    let app = with_replica(replica.url().await).await;
    let (alice, _) = app.owner(0).await;
    let wallets = async || {
        app.gql(&alice, "{ wallets { id } }", json!({}))
            .await
            .data()
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(wallets().await, 0, "lists are read from the replica");
    let name = replica.name();
    let allow = async |yes: bool| {
        let set = format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS {yes}");
        app.db.client().await.batch_execute(&set).await.unwrap();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        app.db.rows(end, &[&name]).await;
    };
    allow(false).await;
    eventually("lists to come from the primary", async || wallets().await == 1).await;
    allow(true).await;
    eventually("lists to come from the replica again", async || {
        wallets().await == 0
    })
    .await;
    assert_eq!(told(&app).await, "ok");
    app.finish().await;
    replica.drop().await;
}
