//! A program on a database that was not migrated, or not far enough, says so and serves nothing else; once it is migrated, it serves.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use wallet_core::db;
use wallet_dev::stack::port;
use wallet_tests::poll::eventually;
use wallet_tests::programs::{run, start};
use wallet_tests::socket::{Frame, Socket};
use wallet_tests::system::Api;
use wallet_tests::{Database, TestApp, User, webhook};

/// Reverts so many of the newest migrations, by their own scripts.
async fn take_back(database: &Database, number: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    all.sort();
    for migration in all.iter().rev().take(number) {
        let down = fs::read_to_string(migration.join("down.sql")).unwrap();
        database.client().await.batch_execute(&down).await.unwrap();
        let name = migration.file_name().unwrap().to_str().unwrap();
        let version = name.split('_').next().unwrap().replace('-', "");
        let forgotten = "DELETE FROM __diesel_schema_migrations WHERE version = $1";
        assert_eq!(database.execute(forgotten, &[&version]).await, 1, "{name}");
    }
}

/// Everything that an API does on a database that is not what it needs, and the fix that it names.
async fn serves_only_once_migrated(database: Database, told: &str) {
    let app = TestApp::with_workers(0).await;
    let url = database.url().await;
    let variables = app.variables.with(&[("DATABASE_URL", &url)]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let api = Api::start(&variables, app.clock.clone(), listener).await;
    let user = User::new();
    let ready = async || {
        let answer = app.client().get(format!("{base}/readyz")).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let ask = async |query: &str| {
        let body = json!({ "query": query });
        let sent = app
            .client()
            .post(format!("{base}/graphql"))
            .bearer_auth(&user.token)
            .json(&body);
        let answer = sent.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let create = "mutation { createWallet(input: {}) { id } }";
    eventually("the state of the database to be known", async || {
        ready().await.1["database"].as_str().unwrap().contains("migrate")
    })
    .await;
    let (status, body) = ready().await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(
        (&body["status"], &body["database"]),
        (&json!("unavailable"), &json!(told))
    );
    for query in ["{ wallets { id } }", create, "{ __typename }"] {
        let (status, body) = ask(query).await;
        assert_eq!(status, 503, "{query}: {body}");
        let error = &body["errors"][0];
        assert_eq!(
            error["extensions"]["code"], "SERVICE_UNAVAILABLE",
            "{query}: {body}"
        );
        let text = body.to_string();
        assert!(
            !["migrat", "relation", "column"]
                .iter()
                .any(|cause| text.contains(cause)),
            "{text}"
        );
    }
    let mut socket = Socket::open(&base).await;
    socket.greet(&user.token).await;
    assert_eq!(socket.frame().await, Frame::Closed(1013), "worth another try");
    let event = json!({ "id": "evt_1", "object": "event", "type": "charge.updated" }).to_string();
    let sent = app.client().post(format!("{base}/wallet/webhook"));
    let sent = sent
        .header("stripe-signature", webhook::header(event.as_bytes()))
        .body(event);
    // Stripe sends again what was not stored.
    assert_eq!(sent.send().await.unwrap().status(), 503);
    assert_eq!(
        app.client()
            .get(format!("{base}/healthz"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );

    assert!(!db::migrate(&url).await.unwrap().is_empty());
    eventually("it to be ready", async || ready().await.0 == 200).await;
    let (status, body) = ask(create).await;
    assert_eq!(status, 200);
    assert!(body["data"]["createWallet"]["id"].is_string(), "{body}");
    api.stop().await;
    database.drop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_on_an_empty_database_says_so_until_it_is_migrated() {
    let told = "the database is empty; run wallet-worker migrate";
    serves_only_once_migrated(Database::empty().await, told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_on_a_schema_that_is_too_old_says_how_far_until_it_is_migrated() {
    for missing in [1, 3] {
        let database = Database::migrated().await;
        take_back(&database, missing).await;
        let told = format!("the database lacks {missing} migrations; run wallet-worker migrate");
        serves_only_once_migrated(database, &told).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_on_a_database_that_was_not_migrated_says_so_and_begins_once_it_is() {
    let app = TestApp::with_workers(0).await;
    let behind = Database::migrated().await;
    take_back(&behind, 2).await;
    for (database, told) in [
        (
            Database::empty().await,
            "the database is empty; run wallet-worker migrate",
        ),
        (
            behind,
            "the database lacks 2 migrations; run wallet-worker migrate",
        ),
    ] {
        let url = database.url().await;
        let port = port::free().unwrap().to_string();
        let variables = app
            .variables
            .with(&[("DATABASE_URL", &url), ("METRICS_PORT", &port)]);
        let mut worker = start("wallet-worker", &[], &variables);
        let ready = async || {
            let sent = app.client().get(format!("http://127.0.0.1:{port}/readyz"));
            let answer = sent.send().await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.unwrap()))
        };
        eventually("the worker to say what it lacks", async || {
            ready().await.is_some_and(|(status, body)| {
                assert_eq!(status, 503, "{body}");
                body.contains(told)
            })
        })
        .await;
        assert!(!db::migrate(&url).await.unwrap().is_empty());
        eventually("it to be ready", async || {
            ready()
                .await
                .is_some_and(|(status, body)| status == 200 && !body.contains("migrate"))
        })
        .await;
        let log = fs::read_to_string(worker.process.log()).unwrap();
        assert_eq!(log.matches(told).count(), 1, "it is said once: {log}");
        worker.process.stop().await.unwrap();
        database.drop().await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_commands_on_a_database_that_was_not_migrated_name_the_mend() {
    let app = TestApp::with_workers(0).await;
    let database = Database::empty().await;
    let variables = app.variables.with(&[("DATABASE_URL", &database.url().await)]);
    for (args, code) in [
        (&["parked"] as &[&str], 1),
        (&["review", "list"], 1),
        (&["debts"], 1),
        (&["fees", "list"], 1),
        (&["money-out", "status"], 1),
        (&["locks", "list"], 1),
        (&["rotate-keys"], 1),
        (&["requeue", "1"], 1),
        (&["replay-events", "--state", "parked"], 1),
        // Nothing is known of the books, which is not that they do not hold.
        (&["verify"], 2),
        (&["reconcile"], 2),
    ] {
        let told = "the database is empty; run wallet-worker migrate";
        let ended = run("wallet-worker", args, &variables).await;
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (Some(code), ""),
            "{args:?}: {ended:?}"
        );
        assert!(
            ended.err.contains(told) && ended.err.lines().count() == 1,
            "{args:?}: {ended:?}"
        );
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let ended = run("wallet-worker", &args, &variables).await;
        let object: Value = serde_json::from_str(&ended.out).unwrap();
        assert!(
            object["error"]["message"].as_str().unwrap().contains(told),
            "{object}"
        );
        assert_eq!(object["error"]["exitCode"], code, "{object}");
    }
    assert_eq!(run("wallet-worker", &["migrate"], &variables).await.code, Some(0));
    assert_eq!(run("wallet-worker", &["parked"], &variables).await.code, Some(0));
    database.drop().await;
    app.finish().await;
}
