//! A program whose wrapping keys are not those of its database does not begin; one that lacks the keys of some people reports it.

use serde_json::json;
use wallet_dev::stack::port;
use wallet_tests::programs::{run, start};
use wallet_tests::system::{ENCRYPTION_KEY, Variables};
use wallet_tests::{TestApp, eventually};

const NEW_KEY: &str = "4c1185a5c5e9fc54612808977ee8f548b2258d31ddadef707ba7a2b8b7e1f0a3";
const OTHER_KEY: &str = "7e1185a5c5e9fc54612808977ee8f548b2258d31ddadef707ba7a2b8b7e1f0a3";

/// A system in which something is sealed for its owner, and for the system itself.
async fn with_data_keys() -> TestApp {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(0).await;
    let input = json!({ "amount": "5.00", "senderDetails": { "name": "A" } });
    let _ = app.deposit(&alice, &hers, input).await.data();
    assert!(app.db.count("user_keys").await >= 2);
    app
}

async fn fingerprint(app: &TestApp) -> String {
    app.db
        .value("SELECT DISTINCT wrapping_key::text FROM user_keys", &[])
        .await
}

/// Starts a program that must be refused.
async fn is_refused(program: &str, variables: &Variables, needed: &str) {
    let ended = run(program, &[], variables).await;
    assert_eq!(ended.code, Some(78), "{program}: {ended:?}");
    let line = ended
        .err
        .lines()
        .find(|line| line.starts_with(&format!("{program}: ENCRYPTION_SECRET_KEY: ")));
    let line = line.unwrap_or_else(|| panic!("{ended:?}"));
    assert!(
        line.contains(needed) && line.contains("; set it to that key"),
        "{line}"
    );
    assert!(
        line.contains("ENCRYPTION_PREVIOUS_KEYS") && !line.contains(NEW_KEY),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_program_begins_with_keys_that_open_nothing() {
    let app = with_data_keys().await;
    let needed = fingerprint(&app).await;
    let before = app.db.digest().await;
    let free = app.variables.with(&[("PORT", "0")]);
    for program in ["wallet-api", "wallet-worker"] {
        for keys in [
            &[("ENCRYPTION_SECRET_KEY", NEW_KEY)] as &[(&str, &str)],
            &[
                ("ENCRYPTION_SECRET_KEY", NEW_KEY),
                ("ENCRYPTION_PREVIOUS_KEYS", OTHER_KEY),
            ],
        ] {
            is_refused(program, &free.with(keys), &needed).await;
        }
    }
    assert_eq!(app.db.digest().await, before);
    // The right one among the retired keys will do.
    let retired = [
        ("ENCRYPTION_SECRET_KEY", NEW_KEY),
        ("ENCRYPTION_PREVIOUS_KEYS", ENCRYPTION_KEY),
    ];
    begins(&app, &app.variables.with(&retired)).await;
    app.abandon().await;
}

/// Starts both programs, which become ready, and returns what the worker has logged.
async fn begins(app: &TestApp, variables: &Variables) -> String {
    let mut log = String::new();
    for (program, name) in [("wallet-api", "PORT"), ("wallet-worker", "METRICS_PORT")] {
        let port = port::free().unwrap().to_string();
        let mut running = start(program, &[], &variables.with(&[(name, &port)]));
        let ready = format!("http://127.0.0.1:{port}/readyz");
        eventually("it to be ready", async || {
            let answer = app.client().get(&ready).send().await;
            answer.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        log = std::fs::read_to_string(running.process.log()).unwrap();
        running.process.stop().await.unwrap();
        if program == "wallet-api" {
            assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
        }
    }
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_is_half_done_is_told_until_it_is_done() {
    let mut app = with_data_keys().await;
    let old = fingerprint(&app).await;
    // Re-wrapped but for one person: the system's own key is under the new one.
    let both = app.variables.with(&[
        ("ENCRYPTION_SECRET_KEY", NEW_KEY),
        ("ENCRYPTION_PREVIOUS_KEYS", ENCRYPTION_KEY),
    ]);
    let nil = "00000000-0000-0000-0000-000000000000";
    let kept = format!(
        "CREATE TABLE kept AS SELECT * FROM user_keys WHERE user_id <> '{nil}' ORDER BY user_id LIMIT 1"
    );
    app.db.execute(&kept, &[]).await;
    assert_eq!(run("wallet-worker", &["rotate-keys"], &both).await.code, Some(0));
    let back = "UPDATE user_keys u SET wrapped_key = k.wrapped_key, wrapping_key = k.wrapping_key FROM kept k WHERE u.user_id = k.user_id";
    assert_eq!(app.db.execute(back, &[]).await, 1);

    let without = both.without("ENCRYPTION_PREVIOUS_KEYS");
    let log = begins(&app, &without).await;
    assert!(log.contains(&old) && log.contains("rotate-keys"), "{log}");
    let open =
        format!("alarms WHERE kind = 'encryption_key_missing' AND subject = '{old}' AND closed_at IS NULL");
    assert_eq!(app.db.count(&open).await, 1);
    // What is about that person waits for the keys, and says so: to its owner in words, to operators with the name of the key.
    app.start_worker_with(&[("ENCRYPTION_SECRET_KEY", NEW_KEY)]);
    let waits = "transaction_events WHERE detail->>'waitsFor' = 'keys' AND message NOT LIKE '%database%'";
    eventually("the owner to be told", async || app.db.count(waits).await == 1).await;
    let named = format!("jobs WHERE last_error LIKE '%wrapping key {old} is not configured%'");
    eventually("the job to name the key", async || {
        app.db.count(&named).await == 1
    })
    .await;
    app.stop_workers().await;
    // A worker that has the key sees nothing to be told of, and the rotation that is done leaves nothing either.
    let log = begins(&app, &both).await;
    assert!(!log.contains("rotate-keys"), "{log}");
    assert_eq!(app.db.count(&open).await, 0);
    assert_eq!(run("wallet-worker", &["rotate-keys"], &both).await.code, Some(0));
    let log = begins(&app, &without).await;
    assert!(!log.contains("rotate-keys"), "{log}");
    assert_eq!(app.db.count(&open).await, 0);
    app.db.execute("DROP TABLE kept", &[]).await;
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_goes_missing_while_a_worker_runs_is_told_once_until_it_is_needed_no_more() {
    let mut app = with_data_keys().await;
    let nil = "00000000-0000-0000-0000-000000000000";
    app.start_worker_with(&[]);
    eventually("the worker to keep house", async || {
        app.db.count("verifications WHERE done_at IS NOT NULL").await > 0
    })
    .await;
    assert_eq!(app.alarms().await, Vec::<String>::new());
    // As if another program had wrapped them, with a key that this one was not given.
    let change = |from: &str, to: &str| {
        format!(
            "UPDATE user_keys SET wrapping_key = '{to}' WHERE wrapping_key = '{from}' AND user_id <> '{nil}'"
        )
    };
    let (ours, other) = (fingerprint(&app).await, "0123456789abcdef");
    assert!(app.db.execute(&change(&ours, other), &[]).await >= 1);
    let open = format!(
        "alarms WHERE kind = 'encryption_key_missing' AND subject = '{other}' AND seen = 1 AND closed_at IS NULL"
    );
    eventually("the missing key to be told", async || {
        app.db.count(&open).await == 1
    })
    .await;
    // More than one round later it is told once.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert_eq!(app.db.count(&open).await, 1);
    assert!(app.db.execute(&change(other, &ours), &[]).await >= 1);
    eventually("the alarm to be closed", async || app.db.count(&open).await == 0).await;
    app.stop_workers().await;
    app.abandon().await;
}

/// During a rotation workers may have different keys: one keeps reporting a key that the other has, by one alarm and not by a row each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_with_different_keys_keep_one_alarm_between_them() {
    let mut app = with_data_keys().await;
    let both = app.variables.with(&[
        ("ENCRYPTION_SECRET_KEY", NEW_KEY),
        ("ENCRYPTION_PREVIOUS_KEYS", ENCRYPTION_KEY),
    ]);
    app.start_worker_with(&[]);
    eventually("the worker to keep house", async || {
        app.db.count("verifications WHERE done_at IS NOT NULL").await > 0
    })
    .await;
    assert_eq!(run("wallet-worker", &["rotate-keys"], &both).await.code, Some(0));
    app.start_worker_with(&[
        ("ENCRYPTION_SECRET_KEY", NEW_KEY),
        ("ENCRYPTION_PREVIOUS_KEYS", ENCRYPTION_KEY),
    ]);
    let told = "alarms WHERE kind = 'encryption_key_missing' AND closed_at IS NULL";
    eventually("the missing key to be told", async || {
        app.db.count(told).await == 1
    })
    .await;
    for _ in 0..5 {
        tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        assert_eq!(
            app.db.count("alarms WHERE kind = 'encryption_key_missing'").await,
            1
        );
    }
    eventually("it to stay open", async || app.db.count(told).await == 1).await;
    app.stop_workers().await;
    app.abandon().await;
}
