//! What operators' commands need, print and leave behind.

use serde_json::{Value, json};
use wallet_tests::app::{Leftovers, Options};
use wallet_tests::programs::{Ended, run};
use wallet_tests::system::Variables;
use wallet_tests::{Database, TestApp, eventually};

const WORKER: &str = "wallet-worker";

/// Only the database, as for an operator at another machine.
async fn database_alone(db: &Database) -> Variables {
    let mut variables = Variables::default();
    variables.set("DATABASE_URL", db.url().await);
    variables
}

/// The one JSON object of an answer.
fn object(ended: &Ended) -> Value {
    assert_eq!(ended.out.lines().count(), 1, "{ended:?}");
    let object: Value = serde_json::from_str(&ended.out).unwrap();
    assert!(object.is_object(), "{ended:?}");
    object
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_the_database_alone_asks_for_nothing_else_and_says_nothing_else() {
    let db = Database::migrated().await;
    let variables = database_alone(&db).await;
    for (args, fields) in [
        (&["parked"] as &[&str], &["jobs", "alarms"] as &[&str]),
        (&["review", "list"], &["suspense"]),
        (&["fees", "list"], &["rules"]),
        (
            &["money-out", "status"],
            &["open", "changedAt", "changedBy", "reason"],
        ),
        (&["verify", "--quick"], &["holds", "checks"]),
        (&["migrate"], &["applied", "partitionsMade"]),
    ] {
        let lines = run(WORKER, args, &variables).await;
        assert_eq!(
            (lines.code, lines.err.as_str()),
            (Some(0), ""),
            "{args:?}: {lines:?}"
        );
        assert!(!lines.out.contains('{'), "lines for a person: {lines:?}");
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let told = run(WORKER, &args, &variables).await;
        assert_eq!(
            (told.code, told.err.as_str()),
            (Some(0), ""),
            "{args:?}: {told:?}"
        );
        let object = object(&told);
        for field in fields {
            assert!(object.get(field).is_some(), "{args:?} tells no {field}: {object}");
        }
    }
    db.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_has_help() {
    let nothing = Variables::default();
    for command in [
        "migrate",
        "parked",
        "requeue",
        "close-alarm",
        "review",
        "rotate-keys",
        "locks",
        "fees",
        "replay-events",
        "money-out",
        "verify",
        "reconcile",
    ] {
        let help = run(WORKER, &[command, "--help"], &nothing).await;
        assert_eq!(help.code, Some(0), "{command}: {help:?}");
        for word in ["--json", "--operator", "Usage: "] {
            assert!(
                help.out.contains(word),
                "{command} does not tell of {word}: {}",
                help.out
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reason_that_says_nothing_is_refused_everywhere() {
    let app = TestApp::with_workers(0).await;
    let id = "018f2f5e-7b3c-7000-8000-000000000003";
    let before = app.db.digest().await;
    for command in [
        &["review", "credit", id] as &[&str],
        &["close-alarm", "kind", "subject"],
        &["money-out", "stop"],
        &["money-out", "start"],
        &["requeue", "1"],
        &["replay-events", "--state", "parked"],
        &["rotate-keys"],
        &["locks", "free", id],
        &["reconcile", "explain", "txn_1"],
        &["reconcile", "opening", "usd", "1"],
    ] {
        for reason in ["", " ", "...", "\t"] {
            let args: Vec<&str> = command.iter().copied().chain(["--reason", reason]).collect();
            let refused = run(WORKER, &args, &app.variables).await;
            assert_eq!(refused.code, Some(2), "{args:?}: {refused:?}");
            assert!(refused.err.contains("says nothing"), "{args:?}: {refused:?}");
        }
    }
    assert_eq!(app.db.digest().await, before);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requeue_and_replay_leave_who_and_why() {
    let mut app = TestApp::start().await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    crate::flows::crash_every_job_before(&app, 3).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    eventually("the job to be parked", async || {
        app.db.count("jobs WHERE parked_at IS NOT NULL").await == 1
    })
    .await;
    let variables = database_alone(&app.db).await;
    let listed = object(&run(WORKER, &["parked", "--json"], &variables).await);
    let (job, alarm) = (&listed["jobs"][0], &listed["alarms"][0]);
    assert_eq!(
        (&job["transaction"], &alarm["kind"]),
        (&json!(sent), &json!("job_parked")),
        "{listed}"
    );
    for time in [&job["parkedAt"], &job["createdAt"], &alarm["raisedAt"]] {
        assert!(
            time.as_str().is_some_and(|time| time.starts_with("20")),
            "{listed}"
        );
    }
    let lines = run(WORKER, &["parked"], &variables).await.out;
    assert!(
        lines.contains("parked 20") && lines.contains(" since 20"),
        "{lines}"
    );

    let number = job["id"].to_string();
    let args = [
        "requeue",
        &number,
        "999999",
        "--reason",
        "the crash is fixed",
        "--operator",
        "ada",
        "--json",
    ];
    let back = run(WORKER, &args, &variables).await;
    assert_eq!(back.code, Some(1), "one was not parked: {back:?}");
    assert_eq!(
        object(&back),
        json!({ "requeued": [job["id"]], "notParked": [999_999] })
    );
    let on_record = "audit_log WHERE actor = 'operator:ada' AND action = 'requeue_job'
                        AND detail->>'reason' = 'the crash is fixed' AND cardinality(transaction_ids) = 1";
    assert_eq!(app.db.count(on_record).await, 1);
    app.completed(&alice, &sent).await;
    app.stop_workers().await;
    app.db
        .client()
        .await
        .batch_execute("DROP TRIGGER crash ON jobs")
        .await
        .unwrap();

    app.db
        .execute(
            "INSERT INTO stripe_events (id, type, state, received_at, body_sha256) VALUES ('evt_parked', 'charge.succeeded', 'parked', now(), '\\x00')",
            &[],
        )
        .await;
    let named = variables.with(&[("WALLET_OPERATOR", "grace")]);
    let args = [
        "replay-events",
        "--id",
        "evt_parked",
        "--reason",
        "a newer version reads it",
        "--json",
    ];
    let replayed = run(WORKER, &args, &named).await;
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    assert_eq!(object(&replayed), json!({ "replayed": ["evt_parked"] }));
    let on_record = "audit_log WHERE actor = 'operator:grace' AND action = 'replay_events' AND detail->'events' = '[\"evt_parked\"]'";
    assert_eq!(app.db.count(on_record).await, 1);
    // Without a name it is the user of this machine.
    let args = ["money-out", "stop", "--reason", "a try"];
    assert_eq!(run(WORKER, &args, &variables).await.code, Some(0));
    let on_record = "audit_log WHERE actor ~ '^operator:.+' AND action = 'stop_money_out'";
    assert_eq!(app.db.count(on_record).await, 1);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_without_the_old_key_is_not_done_and_says_which_is_missing() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(0).await;
    let input = json!({ "amount": "5.00", "senderDetails": { "name": "A" } });
    let _ = app.deposit(&alice, &hers, input).await.data();
    let keys = app.db.count("user_keys WHERE wrapped_key IS NOT NULL").await;
    let fingerprint: String = app
        .db
        .value("SELECT DISTINCT wrapping_key::text FROM user_keys", &[])
        .await;
    let new_key = "4c1185a5c5e9fc54612808977ee8f548b2258d31ddadef707ba7a2b8b7e1f0a3";
    let without = database_alone(&app.db)
        .await
        .with(&[("ENCRYPTION_SECRET_KEY", new_key)]);
    for _ in 0..2 {
        let refused = run(WORKER, &["rotate-keys", "--operator", "ada"], &without).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let told = format!("{keys} data keys are wrapped by the key {fingerprint}, which is not configured");
        assert!(refused.out.contains(&told), "{refused:?}");
        assert!(refused.err.contains("keep every key"), "{refused:?}");
        assert!(!refused.out.contains("no longer needed"), "{refused:?}");
        assert_eq!(
            refused.out.matches("data keys re-wrapped").count(),
            1,
            "{refused:?}"
        );
    }
    let told = object(&run(WORKER, &["rotate-keys", "--json"], &without).await);
    assert_eq!(told["complete"], false);
    assert_eq!(
        told["missing"],
        json!([{ "wrappingKey": fingerprint, "dataKeys": keys }])
    );
    let with = without.with(&[("ENCRYPTION_PREVIOUS_KEYS", wallet_tests::system::ENCRYPTION_KEY)]);
    let done = run(
        WORKER,
        &[
            "rotate-keys",
            "--operator",
            "ada",
            "--reason",
            "the yearly rotation",
        ],
        &with,
    )
    .await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("no longer needed"), "{done:?}");
    assert_eq!(done.out.matches("data keys re-wrapped").count(), 1, "{done:?}");
    let again = object(&run(WORKER, &["rotate-keys", "--json"], &without).await);
    assert_eq!(
        (&again["complete"], &again["rewrapped"]),
        (&json!(true), &json!(0)),
        "the old key is needed no more"
    );
    let on_record = "audit_log WHERE actor = 'operator:ada' AND action = 'end_key_rotation' AND detail->>'complete' = 'true'";
    assert_eq!(app.db.count(on_record).await, 1);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_without_expiry_is_told_and_an_operator_frees_it() {
    let app = TestApp::start().await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    let key = format!("wallet:{hers}");
    for node in app.redis().locks.iter().take(2) {
        let client = redis::Client::open(node.url()).unwrap();
        let mut node = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("SET")
            .arg(&key)
            .arg("somebody's script")
            .exec_async(&mut node)
            .await
            .unwrap();
    }
    let sent = app.send(&alice, &hers, &his, 100).await;
    app.hurry_until(
        "the lock to be told of",
        chrono::TimeDelta::seconds(15),
        async || app.alarms().await == ["lock_overdue"],
    )
    .await;
    let (subject, message): (String, String) = {
        let rows = app.db.rows("SELECT subject, message FROM alarms", &[]).await;
        (rows[0].get(0), rows[0].get(1))
    };
    assert_eq!(subject, key);
    for words in [
        "somebody's script",
        "without an expiry",
        "2 of 3",
        "wallet-worker locks free",
    ] {
        assert!(message.contains(words), "{message}");
    }
    let waits = "SELECT count(*) FROM transaction_events WHERE message LIKE '%does not let go%'";
    eventually("its owner to be told", async || {
        app.db.value::<i64>(waits, &[]).await == 1
    })
    .await;
    let listed = object(&run(WORKER, &["locks", "list", "--json"], &app.variables).await);
    assert!(listed["overdue"].to_string().contains(&hers), "{listed}");
    let freed = run(
        WORKER,
        &["locks", "free", &hers, "--reason", "the script is gone"],
        &app.variables,
    )
    .await;
    assert_eq!(freed.code, Some(0), "{freed:?}");
    app.completed(&alice, &sent).await;
    assert_eq!(app.db.value::<i64>(waits, &[]).await, 1, "once");
    let again = run(
        WORKER,
        &["locks", "free", &hers, "--reason", "once more"],
        &app.variables,
    )
    .await;
    assert_eq!(again.code, Some(1), "there is nothing to free: {again:?}");
    assert!(again.err.contains("there is nothing to remove"), "{again:?}");
    assert!(!again.err.contains("--held"), "it would not help: {again:?}");
    assert_eq!(app.db.count("audit_log WHERE action = 'free_lock'").await, 1);
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    app.finish_with(Leftovers {
        alarms: &["lock_overdue"],
        parked: 0,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_locks_that_are_listed_are_those_that_are_freed() {
    let app = TestApp::with_workers(0).await;
    // The second could be a worker's.
    for (seconds, is_listed) in [(None, true), (Some(20), false), (Some(3_600), true)] {
        let (_, wallet) = app.owner(0).await;
        let client = redis::Client::open(app.redis().locks[0].url()).unwrap();
        let mut node = client.get_multiplexed_async_connection().await.unwrap();
        let mut set = redis::cmd("SET");
        set.arg(format!("wallet:{wallet}")).arg("somebody's script");
        if let Some(seconds) = seconds {
            set.arg("EX").arg(seconds);
        }
        set.exec_async(&mut node).await.unwrap();
        let listed = object(&run(WORKER, &["locks", "list", "--json"], &app.variables).await);
        assert_eq!(
            listed["overdue"].to_string().contains(&wallet),
            is_listed,
            "{seconds:?}: {listed}"
        );
        let free: [&str; 5] = ["locks", "free", &wallet, "--reason", "the script is gone"];
        let freed = run(WORKER, &free, &app.variables).await;
        assert_eq!(freed.code == Some(0), is_listed, "{seconds:?}: {freed:?}");
        if !is_listed {
            assert!(freed.err.contains("--held"), "{freed:?}");
            assert!(freed.err.contains("held by \"somebody's script\""), "{freed:?}");
            let insisting = run(WORKER, &[&free[..], &["--held"][..]].concat(), &app.variables).await;
            assert_eq!(insisting.code, Some(0), "{insisting:?}");
        }
    }
    assert_eq!(app.db.count("audit_log WHERE action = 'free_lock'").await, 3);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_of_nodes_that_are_away_are_not_said_to_be_none() {
    let mut app = TestApp::with(Options {
        workers: 0,
        own_redis: true,
        ..Options::default()
    })
    .await;
    let list = async |app: &TestApp| run(WORKER, &["locks", "list", "--json"], &app.variables).await;
    app.own_redis().locks[0].stop().await.unwrap();
    let some = list(&app).await;
    assert_eq!(some.code, Some(0), "a majority tells what matters: {some:?}");
    assert_eq!(
        (&object(&some)["nodes"], &object(&some)["nodesUnreachable"]),
        (&json!(3), &json!(1))
    );
    let lines = run(WORKER, &["locks", "list"], &app.variables).await;
    assert!(lines.out.contains("1 of 3 lock nodes do not answer"), "{lines:?}");
    for node in [1, 2] {
        app.own_redis().locks[node].stop().await.unwrap();
    }
    let none = list(&app).await;
    assert_eq!(none.code, Some(2), "{none:?}");
    assert_eq!(object(&none)["nodesUnreachable"], json!(3));
    assert!(
        none.err.contains("could not be found out") && none.err.contains("REDLOCK_URLS"),
        "{none:?}"
    );
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_fails_says_why_to_a_person_and_to_a_program() {
    let app = TestApp::with_workers(0).await;
    let away = app
        .variables
        .with(&[("DATABASE_URL", "postgres://wallet@127.0.0.1:1/wallet")]);
    let nothing = Variables::default();
    for (args, variables, code, words) in [
        (
            &["reconcile", "explain", "txn_unknown", "--reason", "a try"] as &[&str],
            &app.variables,
            1,
            &["Stripe knows no movement txn_unknown", "wallet-worker reconcile"] as &[&str],
        ),
        (
            &["close-alarm", "job_parked", "1", "--reason", "a try"],
            &app.variables,
            1,
            &["no open alarm job_parked 1"],
        ),
        (
            &["fees", "remove", "--currency", "usd"],
            &app.variables,
            1,
            &["no rule"],
        ),
        (
            &["reconcile", "--since", "yesterday"],
            &app.variables,
            2,
            &["--since", "2026-11-24", "2026-11-24T13:30:00Z"],
        ),
        (
            &["replay-events", "--until", "7d"],
            &app.variables,
            2,
            &["--until", "2026-11-24T13:30:00Z"],
        ),
        (&["requeue"], &app.variables, 2, &["JOB"]),
        (&["parked"], &away, 1, &["database"]),
        (&["verify"], &away, 2, &["could not be found out"]),
        (&["parked"], &nothing, 78, &["DATABASE_URL: is not set"]),
    ] {
        let person = run(WORKER, args, variables).await;
        assert_eq!(
            (person.code, person.out.as_str()),
            (Some(code), ""),
            "{args:?}: {person:?}"
        );
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let program = run(WORKER, &args, variables).await;
        assert_eq!(program.code, Some(code), "{args:?}: {program:?}");
        let told = object(&program);
        assert_eq!(told["error"]["exitCode"], code, "{told}");
        let message = told["error"]["message"].as_str().unwrap();
        for word in words {
            assert!(
                person.err.contains(word),
                "{args:?} does not tell a person of {word}: {person:?}"
            );
            assert!(
                message.contains(word),
                "{args:?} does not tell a program of {word}: {told}"
            );
        }
    }
    // A command that has answered has said what there is to say.
    let missing = run(WORKER, &["requeue", "999999", "--json"], &app.variables).await;
    assert_eq!(
        object(&missing),
        json!({ "requeued": [], "notParked": [999_999] })
    );
    let day = run(
        WORKER,
        &["reconcile", "--since", "2020-11-24", "--json"],
        &app.variables,
    )
    .await;
    assert!(
        object(&day)["since"]
            .as_str()
            .unwrap()
            .starts_with("2020-11-24T00:00:00"),
        "{day:?}"
    );
    for (command, option) in [
        ("reconcile", "--since"),
        ("replay-events", "--since"),
        ("replay-events", "--until"),
    ] {
        let early = run(WORKER, &[command, option, "2130-01-01"], &app.variables).await;
        let told = format!("for '{option} <MOMENT>': lies in the future");
        assert!(early.code == Some(2) && early.err.contains(&told), "{early:?}");
    }
    app.abandon().await;
}
