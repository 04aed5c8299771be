//! PostgreSQL as others set it up: its language, its formats, and what a URL says about sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wallet_core::db::{self, Db, DbError, DbOptions};
use wallet_tests::servers::{self, without_tls};
use wallet_tests::{Database, TestApp, User, until};

/// Runs one statement in a session of the core's own.
async fn failure(db: &Db, statement: &str) -> DbError {
    let mut conn = db.conn().await.unwrap();
    let failed = SimpleAsyncConnection::batch_execute(&mut *conn, statement).await;
    DbError::from(failed.unwrap_err())
}

/// Makes the server speak German, if it can.
async fn speak_german(database: &Database) {
    let name = database.name();
    for locale in ["de_DE.utf8", "de_DE.UTF-8", "de_DE"] {
        let set = format!("ALTER DATABASE \"{name}\" SET lc_messages = '{locale}'");
        if database.client().await.batch_execute(&set).await.is_ok() {
            return;
        }
    }
}

async fn impatient(database: &Database) -> Db {
    let options = DbOptions {
        application_name: "wallet-tests",
        pool_size: 2,
        lock_timeout: Duration::from_millis(50),
        ..DbOptions::default()
    };
    Db::connect(&database.url().await, &options).await.unwrap()
}

#[tokio::test]
async fn what_went_wrong_is_known_by_its_code_in_every_language() {
    let database = Database::migrated().await;
    speak_german(&database).await;
    let db = impatient(&database).await;
    for (code, is_transient, asks_for_repeat) in [
        ("57P01", true, false),
        ("57P03", true, false),
        ("57014", true, false),
        ("55P03", true, false),
        ("53100", true, false),
        ("53200", true, false),
        ("08006", true, false),
        ("40P01", true, true),
        ("40001", true, true),
        ("25006", true, false),
        ("22003", false, false),
        ("42P01", false, false),
        ("P0001", false, false),
    ] {
        // English words of another fault, so that whoever reads them is wrong.
        for words in [
            "Verbindung wird abgebrochen aufgrund von Anweisung des Administrators",
            "deadlock detected: terminating connection, lock timeout, out of memory",
        ] {
            let raise = format!("DO $$ BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = '{code}'; END $$");
            let error = failure(&db, &raise).await;
            assert_eq!(
                (error.is_transient(), error.asks_for_repeat()),
                (is_transient, asks_for_repeat),
                "{code} {error:?}"
            );
        }
    }
    drop(db);
    database.drop().await;
}

#[tokio::test]
async fn a_locked_table_and_an_ended_session_are_waited_for_also_in_german() {
    let database = Database::migrated().await;
    speak_german(&database).await;
    let db = impatient(&database).await;
    let holder = database.connect().await;
    holder
        .batch_execute("BEGIN; LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let locked = failure(&db, "SELECT count(*) FROM wallets").await;
    assert!(locked.is_transient() && locked.is_lock_timeout(), "{locked:?}");
    holder.batch_execute("ROLLBACK").await.unwrap();
    let missing = failure(&db, "SELECT 1 FROM no_such_table").await;
    assert!(!missing.is_transient(), "{missing:?}");
    let ended = failure(&db, "SELECT pg_terminate_backend(pg_backend_pid())").await;
    assert!(ended.is_transient() && !ended.is_lock_timeout(), "{ended:?}");
    drop(db);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_the_same_whatever_language_time_zone_and_formats_the_server_has() {
    let app = TestApp::start().await;
    speak_german(&app.db).await;
    for setting in [
        "timezone = 'Asia/Kathmandu'",
        "datestyle = 'German, DMY'",
        "intervalstyle = 'sql_standard'",
        "bytea_output = 'escape'",
        "extra_float_digits = -15",
    ] {
        let set = format!("ALTER DATABASE \"{}\" SET {setting}", app.db.name());
        app.db.client().await.batch_execute(&set).await.unwrap();
    }
    // Sessions begun before would go on as they were.
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    app.db.rows(others, &[]).await;
    // Those of the API's pool are found to be gone one by one.
    let (person, mut in_a_row) = (User::new(), 0);
    until("new sessions", async || {
        let answer = app.gql(&person, "{ wallets { id } }", json!({})).await;
        in_a_row = if answer.code().is_none() { in_a_row + 1 } else { 0 };
        (in_a_row > 20).then_some(())
    })
    .await;
    let (alice, hers) = app.owner(10_000).await;
    let (_, his) = app.owner(0).await;
    app.send(&alice, &hers, &his, 1_234).await;
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &hers).await, (8_766, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_table_is_a_service_that_is_unavailable_and_no_fault_of_ours() {
    let app = TestApp::with_workers(0).await;
    speak_german(&app.db).await;
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    app.db.rows(others, &[]).await;
    let alice = User::new();
    let holder = app.db.connect().await;
    holder
        .batch_execute("BEGIN; LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let answer = app
        .gql(&alice, "mutation { createWallet(input: {}) { id } }", json!({}))
        .await;
    assert_eq!(answer.code(), Some("SERVICE_UNAVAILABLE"), "{:?}", answer.body);
    holder.batch_execute("ROLLBACK").await.unwrap();
    app.wallet(&alice, json!({})).await;
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_that_the_url_names_is_the_one_that_is_used() {
    let name = servers::empty_database().await;
    let cluster = servers::postgres().await;
    let client = cluster.connect(&name).await.unwrap();
    client.batch_execute("CREATE SCHEMA ours").await.unwrap();
    let url = format!(
        "{}&options=-csearch_path%3Dours",
        without_tls(&cluster.url(&name))
    );
    assert!(!db::migrate(&url).await.unwrap().is_empty());
    let tables = async |schema: &str| -> i64 {
        let count = "SELECT count(*) FROM pg_tables WHERE schemaname = $1";
        client.query_one(count, &[&schema]).await.unwrap().get(0)
    };
    assert!(tables("ours").await > 20);
    assert_eq!(tables("public").await, 0);
    assert!(db::pending_migrations(&url).await.unwrap().is_empty());
    let pool = Db::connect(&url, &DbOptions::default()).await.unwrap();
    db::ensure_partitions(&pool, chrono::Utc::now()).await.unwrap();
    drop(pool);
    until("the sessions to end", async || {
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let left: i64 = client.query_one(others, &[]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;
    drop(client);
    cluster.drop_database(&name).await.unwrap();
}

/// Two systems in one database, each in a schema of its own: what one has does not belong to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schemas_of_a_database_have_partitions_of_their_own() {
    let name = servers::empty_database().await;
    let cluster = servers::postgres().await;
    let client = cluster.connect(&name).await.unwrap();
    for schema in ["ours", "theirs"] {
        client
            .batch_execute(&format!("CREATE SCHEMA {schema}"))
            .await
            .unwrap();
        let url = format!(
            "{}&options=-csearch_path%3D{schema}",
            without_tls(&cluster.url(&name))
        );
        db::migrate(&url).await.unwrap();
        let pool = Db::connect(&url, &DbOptions::default()).await.unwrap();
        let now = chrono::Utc::now();
        assert_eq!(db::ensure_partitions(&pool, now).await.unwrap(), 15, "{schema}");
        assert_eq!(db::ensure_partitions(&pool, now).await.unwrap(), 0, "{schema}");
        assert_eq!(db::months_ahead(&pool, now).await.unwrap(), 3, "{schema}");
    }
    drop(client);
}

/// What was answered stays after a crash, and what was committed while waiting for a lock is seen, whatever the database's own defaults are.
#[tokio::test]
async fn defaults_of_the_database_that_would_break_promises_do_not_count() {
    let name = servers::empty_database().await;
    let cluster = servers::postgres().await;
    let client = cluster.connect(&name).await.unwrap();
    for (set, shown) in [
        ("off", "on"),
        ("local", "local"),
        ("remote_write", "remote_write"),
    ] {
        let change = format!(
            "ALTER DATABASE \"{name}\" SET synchronous_commit = {set};
             ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'repeatable read'"
        );
        client.batch_execute(&change).await.unwrap();
        let pool = Db::connect(&cluster.url(&name), &DbOptions::default())
            .await
            .unwrap();
        let mut conn = pool.conn().await.unwrap();
        for (setting, wanted) in [
            ("synchronous_commit", shown),
            ("default_transaction_isolation", "read committed"),
        ] {
            let check = format!(
                "DO $$ BEGIN ASSERT current_setting('{setting}') = '{wanted}', current_setting('{setting}'); END $$"
            );
            let done = SimpleAsyncConnection::batch_execute(&mut *conn, &check).await;
            assert!(done.is_ok(), "{setting} {set}: {done:?}");
        }
    }
}

/// An error with all its causes, as it would be logged.
fn told(error: &DbError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

#[tokio::test]
async fn a_connection_is_waited_for_as_long_as_told_and_the_refusal_says_why() {
    let database = Database::migrated().await;
    let patience = Duration::from_millis(300);
    let options = DbOptions {
        application_name: "wallet-tests",
        pool_size: 1,
        get_timeout: patience,
        ..DbOptions::default()
    };
    let db = Db::connect(&database.url().await, &options).await.unwrap();
    let nowhere = Db::connect("postgres://nobody@127.0.0.1:1/wallet?sslmode=disable", &options)
        .await
        .unwrap();
    let held = db.conn().await.unwrap();
    for (db, why) in [
        (&db, "all connections are in use"),
        (&nowhere, "the database cannot be reached: "),
    ] {
        let began = Instant::now();
        let refused = db.conn().await.err().unwrap();
        assert!(began.elapsed() >= patience && began.elapsed() < wallet_tests::poll::PATIENCE);
        assert!(matches!(&refused, DbError::Unavailable(_)) && refused.is_transient());
        let words = told(&refused);
        assert!(words.contains(why), "{words}");
        assert!(!words.contains("bb8") && !words.contains("Timed out"), "{words}");
    }
    drop(held);
    assert!(db.conn().await.is_ok(), "it is given to whoever comes next");
    drop((db, nowhere));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_finds_every_connection_in_use_is_told_to_come_again() {
    let app = TestApp::with(wallet_tests::app::Options {
        workers: 0,
        variables: vec![("DATABASE_POOL_SIZE", "1".to_owned())],
        ..wallet_tests::app::Options::default()
    })
    .await;
    let (alice, hers) = app.owner(0).await;
    let mut session = app.db.connect().await;
    let held = session.transaction().await.unwrap();
    held.batch_execute("LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let query = "query($id: String!) { wallet(id: $id) { id } }";
    let first = app.gql(&alice, query, json!({ "id": hers }));
    let second = async {
        until("the only connection to be in use", async || {
            let waits = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            (app.db.count(waits).await > 0).then_some(())
        })
        .await;
        let began = Instant::now();
        (
            app.gql(&User::new(), query, json!({ "id": hers })).await,
            began.elapsed(),
        )
    };
    let (_, (told, took)) = tokio::join!(first, second);
    assert_eq!(told.code(), Some("SERVICE_UNAVAILABLE"), "{told:?}");
    let words = told.body.to_string();
    assert!(
        !["bb8", "Timed out", "connection", "pool"]
            .iter()
            .any(|cause| words.contains(cause)),
        "{words}"
    );
    assert!(
        !wallet_dev::pace::is_over(took, Duration::from_secs(4)),
        "{took:?}"
    );
    drop(held);
    drop(session);
    let again = app.gql(&alice, query, json!({ "id": hers })).await;
    assert_eq!(again.code(), None, "{again:?}");
    app.finish().await;
}

/// A server that was demoted, or whose disk is full, answers and takes no writes: no connection keeps a session from that time.
#[tokio::test]
async fn a_database_that_takes_no_writes_is_away_until_it_takes_them_again() {
    let database = Database::migrated().await;
    let name = database.name();
    let set = async |sql: &str| {
        database
            .client()
            .await
            .batch_execute(&format!("ALTER DATABASE \"{name}\" {sql}"))
            .await
            .unwrap()
    };
    set("SET default_transaction_read_only = on").await;
    let db = impatient(&database).await;
    for _ in 0..3 {
        let away = db.ping().await.unwrap_err();
        assert!(matches!(away, DbError::Unavailable(_)), "{away:?}");
        db.conn().await.unwrap().batch_execute("SELECT 1").await.unwrap();
    }
    let reading = DbOptions {
        writes: false,
        ..DbOptions::default()
    };
    let replica = Db::connect(&database.url().await, &reading).await.unwrap();
    replica.ping().await.unwrap();
    set("RESET default_transaction_read_only").await;
    until("it to take writes", async || db.ping().await.ok()).await;
    for _ in 0..3 {
        db.ping().await.unwrap();
        let mut conn = db.conn().await.unwrap();
        conn.batch_execute("CREATE TEMPORARY TABLE IF NOT EXISTS written (id int)")
            .await
            .unwrap();
    }
    drop((db, replica));
    database.drop().await;
}

/// Connections that the server has ended in the meantime cost nobody a request.
#[tokio::test]
async fn a_connection_that_was_ended_is_not_lent_again() {
    let database = Database::migrated().await;
    let db = impatient(&database).await;
    {
        let (one, other) = tokio::join!(db.conn(), db.conn());
        drop((one.unwrap(), other.unwrap()));
    }
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wallet-tests' AND datname = current_database()";
    assert_eq!(database.rows(end, &[]).await.len(), 2);
    let left = "pg_stat_activity WHERE application_name = 'wallet-tests' AND datname = current_database()";
    until("the sessions to be gone", async || {
        (database.count(left).await == 0).then_some(())
    })
    .await;
    // The word of it has a moment to arrive.
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..4 {
        db.ping().await.unwrap();
    }
    drop(db);
    database.drop().await;
}

/// A server that accepts and acknowledges, and from which nothing more arrives from some moment on: a proxy that lost its
/// other side, a server whose disk hangs.
struct Silencer {
    port: u16,
    silent: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
}

impl Silencer {
    async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silencer = Self {
            port: listener.local_addr().unwrap().port(),
            silent: Arc::default(),
            accepted: Arc::default(),
        };
        let (silent, accepted) = (Arc::clone(&silencer.silent), Arc::clone(&silencer.accepted));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let silent = Arc::clone(&silent);
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    let asks = tokio::io::copy(&mut from_client, &mut to_server);
                    let answers = async {
                        let mut buffer = [0; 4_096];
                        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                            if !silent.load(Ordering::SeqCst) {
                                to_client.write_all(&buffer[..read]).await?;
                            }
                        }
                        Ok::<_, std::io::Error>(())
                    };
                    let _ = tokio::join!(asks, answers);
                });
            }
        });
        silencer
    }

    fn be_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_accepts_and_never_answers_keeps_no_connection_of_the_pool() {
    let database = Database::migrated().await;
    let url: url::Url = database.url().await.parse().unwrap();
    let silencer = Silencer::before(url.port().unwrap_or(5_432)).await;
    let mut behind = url.clone();
    behind.set_host(Some("127.0.0.1")).unwrap();
    behind.set_port(Some(silencer.port)).unwrap();
    let options = DbOptions {
        application_name: "wallet-tests",
        pool_size: 1,
        statement_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(2),
        get_timeout: Duration::from_secs(4),
        ..DbOptions::default()
    };
    let db = Db::connect(behind.as_str(), &options).await.unwrap();
    db.ping().await.unwrap();
    silencer.be_silent(true);
    // In the middle of a session: in a transaction, and outside of one.
    let given_up = db.ping().await.unwrap_err();
    assert!(given_up.is_transient(), "{given_up:?}");
    // A server that accepts and does not greet.
    let refused = db.ping().await.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    silencer.be_silent(false);
    // The only place of the pool is free for a session that is answered.
    until("an answer", async || db.ping().await.ok()).await;
    assert!(silencer.accepted.load(Ordering::SeqCst) >= 2);
    let mut conn = db.begin().await.unwrap();
    silencer.be_silent(true);
    let failed = SimpleAsyncConnection::batch_execute(&mut *conn, "SELECT 1").await;
    assert!(DbError::from(failed.unwrap_err()).is_transient());
    drop(conn);
    silencer.be_silent(false);
    until("an answer", async || db.ping().await.ok()).await;
    // A report takes as long as it needs.
    let reports = db.for_reports();
    let mut conn = reports.begin().await.unwrap();
    SimpleAsyncConnection::batch_execute(&mut *conn, "SELECT pg_sleep(7)")
        .await
        .unwrap();
    drop(conn);
    database.drop().await;
}
