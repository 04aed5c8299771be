//! Our programs as an operator starts and ends them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;

use serde_json::{Value, json};
use wallet_core::config::{ApiConfig, OperatorConfig, WorkerConfig};
use wallet_tests::programs::run;
use wallet_tests::system::Variables;
use wallet_tests::{Database, TestApp};

/// What stops a start: program, variable, value (`None`: not set).
fn bad_starts() -> Vec<(&'static str, &'static str, Option<&'static str>)> {
    let both: [(&str, Option<&str>); 26] = [
        ("DATABASE_URL", None),
        ("DATABASE_URL", Some("")),
        ("DATABASE_URL", Some("mysql://u@db/w")),
        ("REDIS_URL", None),
        ("REDIS_URL", Some("http://redis")),
        ("REDLOCK_URLS", Some("redis://a,redis://a")),
        ("STRIPE_SECRET_KEY", None),
        ("STRIPE_SECRET_KEY", Some("sk_test_your_stripe_secret_key_here")),
        ("STRIPE_SECRET_KEY", Some("pk_test_9dQ2mZ7xK4vB1nR8")),
        ("STRIPE_API_BASE", Some("http://stripe.example")),
        ("STRIPE_API_BASE", Some("ftp://127.0.0.1")),
        ("ENCRYPTION_SECRET_KEY", None),
        ("ENCRYPTION_SECRET_KEY", Some("")),
        (
            "ENCRYPTION_SECRET_KEY",
            Some("your_32_character_encryption_key_here"),
        ),
        (
            "ENCRYPTION_SECRET_KEY",
            Some("0000000000000000000000000000000000000000000000000000000000000000"),
        ),
        ("ENCRYPTION_SECRET_KEY", Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")),
        (
            "ENCRYPTION_SECRET_KEY",
            Some("9c1185a5c5e9fc54612808977ee8f548b2258d31ddadef707ba7a2b8b7e1f0"),
        ),
        ("ENCRYPTION_PREVIOUS_KEYS", Some("short")),
        ("SHUTDOWN_GRACE_SECONDS", Some("soon")),
        ("DATABASE_POOL_SIZE", Some("0")),
        ("LOG_FORMAT", Some("xml")),
        ("RUST_LOG", Some("=,=")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", Some("nowhere")),
        ("REDIS_NAMESPACE", Some("a b")),
        ("DATABASE_REPLICA_URL", Some("x")),
        ("DATABASE_URL", Some("postgres:///w")),
    ];
    let api: [(&str, Option<&str>); 14] = [
        ("STRIPE_WEBHOOK_SECRET", None),
        ("STRIPE_WEBHOOK_SECRET", Some("")),
        ("STRIPE_WEBHOOK_SECRET", Some(",")),
        ("STRIPE_WEBHOOK_SECRET", Some("whsec_")),
        ("STRIPE_WEBHOOK_SECRET", Some("p3Vd8Qm1Zx7Lk5Tb")),
        (
            "STRIPE_WEBHOOK_SECRET",
            Some("whsec_your_stripe_webhook_secret_here"),
        ),
        ("JWT_SECRET", None),
        ("JWT_SECRET", Some("too short")),
        ("JWT_SECRET", Some("your_jwt_secret_your_jwt_secret_your")),
        ("JWT_PUBLIC_KEY", Some("no key")),
        ("PORT", Some("http")),
        ("RATE_LIMIT_PER_MINUTE", Some("-1")),
        ("GRAPHIQL", Some("perhaps")),
        ("SUBSCRIPTION_POLL_SECONDS", Some("0")),
    ];
    let worker: [(&str, Option<&str>); 5] = [
        ("WORKER_QUEUES", Some("refunds")),
        ("WORKER_QUEUES", Some(",")),
        ("WORKER_CONCURRENCY", Some("0")),
        ("WORKER_CONCURRENCY", Some("many")),
        ("METRICS_PORT", Some("70000")),
    ];
    let of = |program, rows: &[(&'static str, Option<&'static str>)]| {
        rows.iter()
            .map(|(name, value)| (program, *name, *value))
            .collect::<Vec<_>>()
    };
    [
        of("wallet-api", &both),
        of("wallet-api", &api),
        of("wallet-worker", &both),
        of("wallet-worker", &worker),
    ]
    .concat()
}

fn good() -> Variables {
    let mut variables = Variables::default();
    for (name, value) in [
        ("DATABASE_URL", "postgres://wallet@127.0.0.1:1/wallet"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("STRIPE_SECRET_KEY", wallet_tests::system::STRIPE_KEY),
        ("STRIPE_WEBHOOK_SECRET", wallet_tests::system::PLATFORM_SECRET),
        ("STRIPE_API_BASE", "http://127.0.0.1:1"),
        ("ENCRYPTION_SECRET_KEY", wallet_tests::system::ENCRYPTION_KEY),
        ("JWT_SECRET", wallet_tests::system::JWT_SECRET),
        ("PORT", "0"),
        ("METRICS_PORT", "0"),
    ] {
        variables.set(name, value);
    }
    variables
}

#[test]
fn every_variable_that_a_program_reads_is_explained_in_the_example() {
    let good = good();
    let asked = RefCell::new(BTreeSet::new());
    let env = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        good.get(name).map(OsString::from)
    };
    ApiConfig::read(&env).unwrap();
    WorkerConfig::read(&env).unwrap();
    OperatorConfig::read(&env).unwrap();
    // The command line of operators reads this one.
    asked.borrow_mut().insert("WALLET_OPERATOR".to_owned());
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../.env.example");
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let explained: BTreeSet<String> = std::fs::read_to_string(example)
        .unwrap()
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name.to_owned())
        .filter(|name| is_name(name))
        .collect();
    assert_eq!(explained, asked.into_inner());
}

#[tokio::test]
async fn an_unsafe_environment_stops_the_start_with_one_line_that_names_the_variable_and_the_mend() {
    let mut complaints = Vec::new();
    for (program, name, value) in bad_starts() {
        let variables = match value {
            Some(value) => good().with(&[(name, value)]),
            None => good().without(name),
        };
        let ended = run(program, &[], &variables).await;
        let one_line = ended.err.trim_end().lines().count() == 1;
        let shown = value.is_some_and(|value| value.len() > 20 && ended.err.contains(value));
        if ended.code != Some(78)
            || !one_line
            || !ended.err.contains(&format!("{name}: "))
            || !ended.err.contains("; ")
            || shown
        {
            complaints.push(format!(
                "{program} with {name}={value:?}: {:?} {}",
                ended.code,
                ended.err.trim_end()
            ));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn live_keys_never_meet_a_simulator_and_one_secret_serves_one_purpose() {
    let live = good().with(&[("STRIPE_SECRET_KEY", "sk_live_9dQ2mZ7xK4vB1nR8")]);
    let shared = good().with(&[("JWT_SECRET", wallet_tests::system::ENCRYPTION_KEY)]);
    for (program, variables, name) in [
        ("wallet-api", &live, "STRIPE_API_BASE"),
        ("wallet-worker", &live, "STRIPE_API_BASE"),
        ("wallet-api", &shared, "JWT_SECRET"),
    ] {
        let ended = run(program, &[], variables).await;
        assert_eq!(
            (ended.code, ended.err.contains(name)),
            (Some(78), true),
            "{ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_migrated_by_a_command_that_may_be_repeated() {
    let db = Database::empty().await;
    let mut variables = Variables::default();
    variables.set("DATABASE_URL", db.url().await);
    let first = run("wallet-worker", &["migrate"], &variables).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first.out.contains("applied") && first.out.contains("partitions made"),
        "{}",
        first.out
    );
    let (one, other) = tokio::join!(
        run("wallet-worker", &["migrate"], &variables),
        run("wallet-worker", &["migrate"], &variables)
    );
    for again in [one, other] {
        assert_eq!(again.code, Some(0), "{again:?}");
        assert!(
            again.out.contains("(0 applied), 0 partitions made"),
            "{}",
            again.out
        );
    }
    db.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_lists_what_is_parked_and_puts_it_back() {
    let mut app = TestApp::start().await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    crate::flows::crash_every_job_before(&app, 3).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    wallet_tests::eventually("the job to be parked", async || {
        app.db.count("jobs WHERE parked_at IS NOT NULL").await == 1
    })
    .await;
    let listed = run("wallet-worker", &["parked"], &app.variables).await;
    assert!(
        listed.out.contains(&sent) && listed.out.contains("1 parked jobs, 1 open alarms"),
        "{}",
        listed.out
    );
    let job: i64 = app.db.value("SELECT id FROM jobs", &[]).await;
    let nobody = run("wallet-worker", &["requeue", "999999"], &app.variables).await;
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    let back = run("wallet-worker", &["requeue", &job.to_string()], &app.variables).await;
    assert_eq!(back.code, Some(0), "{back:?}");
    app.completed(&alice, &sent).await;
    app.stop_workers().await;
    app.db
        .client()
        .await
        .batch_execute("DROP TRIGGER crash ON jobs")
        .await
        .unwrap();

    // Keys are re-wrapped while serving, and what was sealed before is still read.
    let deposit = app
        .deposit(
            &alice,
            &hers,
            json!({ "amount": "5.00", "senderDetails": { "name": "A" } }),
        )
        .await
        .data();
    let new_key = "4c1185a5c5e9fc54612808977ee8f548b2258d31ddadef707ba7a2b8b7e1f0a3";
    let rotated = app.variables.with(&[
        ("ENCRYPTION_SECRET_KEY", new_key),
        ("ENCRYPTION_PREVIOUS_KEYS", wallet_tests::system::ENCRYPTION_KEY),
    ]);
    let done = run("wallet-worker", &["rotate-keys"], &rotated).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let left = "user_keys WHERE rewrapped_at IS NULL AND wrapped_key IS NOT NULL";
    assert_eq!(app.db.count(left).await, 0);
    app.start_worker_with(&[("ENCRYPTION_SECRET_KEY", new_key)]);
    app.at_stage(deposit["id"].as_str().unwrap(), "awaiting_payment")
        .await;
    app.at_rest().await;
    assert_eq!(
        app.transaction(&alice, &sent).await["status"],
        Value::from("COMPLETED")
    );
    app.finish_with(wallet_tests::app::Leftovers {
        alarms: &["job_parked"],
        parked: 0,
    })
    .await;
}

/// foreman gives the first line of a Procfile PORT as it is, and adds a hundred for each line after it.
#[test]
fn the_web_process_stands_first_in_the_procfile() {
    let procfile = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Procfile")).unwrap();
    let names: Vec<&str> = procfile
        .lines()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(names, ["web", "worker", "release"]);
}
