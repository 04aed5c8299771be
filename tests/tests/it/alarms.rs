//! Alarms: raised when an operator is needed, and closed when none is needed any more.

use chrono::{DateTime, Months, TimeDelta, Utc};
use serde_json::json;
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::audit::Actor;
use wallet_core::clock::Clock as _;
use wallet_core::money_out;
use wallet_core::verify::{self, Scheduled};
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::programs::run;
use wallet_tests::{Database, TestApp, eventually};

use crate::cancel::cancelled;
use crate::flows::crash_every_job_before;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_that_was_raised_again_since_it_was_listed_stays_open() {
    let db = Database::migrated().await;
    let pool = db.pool().await;
    let mut held = pool.conn().await.unwrap();
    let conn = &mut *held;
    let raise = async |conn: &mut _, subject| {
        alarms::raise(conn, AlarmKind::Contradiction, subject, "words", Utc::now())
            .await
            .unwrap();
    };
    raise(conn, "once").await;
    raise(conn, "again").await;
    let listed = alarms::list_open(pool).await.unwrap();
    raise(conn, "again").await;
    for alarm in &listed {
        let closed = alarms::close_unless_seen_again(conn, alarm, Utc::now())
            .await
            .unwrap();
        assert_eq!(closed, alarm.subject == "once");
    }
    assert_eq!(
        db.count("alarms WHERE closed_at IS NULL AND subject = 'again'")
            .await,
        1
    );
    drop(held);
    db.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_job_that_goes_with_its_cancelled_transaction_takes_its_alarm_along() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(1_000).await;
    crash_every_job_before(&app, 3).await;
    let withdrawal = app.withdraw(&alice, &wallet, json!({ "amount": "5.00" })).await;
    let withdrawal = id_of(&withdrawal.data());
    let open = "alarms WHERE kind = 'job_parked' AND closed_at IS NULL";
    eventually("the job to be parked", async || app.db.count(open).await == 1).await;
    app.db.execute("DROP TRIGGER crash ON jobs", &[]).await;
    cancelled(&app, &alice, &withdrawal).await;
    assert_eq!(app.db.count(open).await, 0);
    app.finish_with(Leftovers {
        alarms: &["job_parked"],
        parked: 0,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_closes_an_open_alarm_on_record() {
    let app = TestApp::with_workers(0).await;
    {
        let conn = &mut app.db.pool().await.conn().await.unwrap();
        alarms::raise(conn, AlarmKind::SettlementDiffers, "t-1", "words", Utc::now())
            .await
            .unwrap();
    }
    let close = [
        "close-alarm",
        "settlement_differs",
        "t-1",
        "--reason",
        "booked by hand",
    ];
    let closed = run("wallet-worker", &close, &app.variables).await;
    assert_eq!(closed.code, Some(0), "{closed:?}");
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    let on_record = "audit_log WHERE actor LIKE 'operator:%' AND action = 'close_alarm' AND detail->>'reason' = 'booked by hand'";
    assert_eq!(app.db.count(on_record).await, 1);
    let again = run("wallet-worker", &close, &app.variables).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(
        again
            .err
            .contains("there is no open alarm settlement_differs t-1"),
        "{again:?}"
    );
    app.finish_with(Leftovers {
        alarms: &["settlement_differs"],
        parked: 0,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_that_is_gone_at_the_next_comparison_is_no_alarm_any_more() {
    let mut app = TestApp::with_workers(0).await;
    {
        let conn = &mut app.db.pool().await.conn().await.unwrap();
        alarms::raise(conn, AlarmKind::ReconciliationDiffers, "usd", "words", Utc::now())
            .await
            .unwrap();
    }
    app.start_worker_with(&[("RECONCILE_SECONDS", "60")]);
    let open = "alarms WHERE kind = 'reconciliation_differs' AND closed_at IS NULL";
    eventually("the alarm to be closed", async || app.db.count(open).await == 0).await;
    app.finish_with(Leftovers {
        alarms: &["reconciliation_differs"],
        parked: 0,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mark_of_a_clock_that_was_far_ahead_does_not_stop_the_checks() {
    let db = Database::migrated().await;
    let pool = db.pool().await;
    let every = TimeDelta::seconds(60);
    let begin = async |now: DateTime<Utc>| {
        let begun = verify::begin(pool, Scheduled::Quick, every, now).await.unwrap();
        let ended = verify::end(pool, Scheduled::Quick, None, now).await;
        ended.unwrap();
        begun.is_some()
    };
    let now = Utc::now();
    assert!(begin(now + TimeDelta::days(2)).await);
    assert!(begin(now).await, "two days ahead is nobody's present");
    assert!(
        !begin(now - TimeDelta::minutes(10)).await,
        "a clock that is a little behind begins nothing twice"
    );
    db.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_cannot_be_made_raise_an_alarm_until_they_can() {
    let mut app = TestApp::with_workers(0).await;
    let ahead = app.clock.now().checked_add_months(Months::new(3)).unwrap() - app.clock.now();
    let refuse = "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no tables today'; END $$;
                  CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION refuse()";
    app.db.client().await.batch_execute(refuse).await.unwrap();
    app.advance(ahead).await;
    app.start_worker();
    let open = "alarms WHERE kind = 'partitions_missing' AND closed_at IS NULL";
    eventually("the alarm", async || app.db.count(open).await == 1).await;
    app.stop_workers().await;
    app.db.execute("DROP EVENT TRIGGER refuse", &[]).await;
    app.start_worker();
    eventually("the alarm to be closed", async || app.db.count(open).await == 0).await;
    app.finish_with(Leftovers {
        alarms: &["partitions_missing"],
        parked: 0,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_that_tells_what_is_still_so_is_closed_only_when_nothing_else_can_end_it() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, his) = app.owner(0).await;
    app.send(&alice, &hers, &his, 100).await;
    app.db.execute("UPDATE jobs SET parked_at = now()", &[]).await;
    let job: i64 = app.db.value("SELECT id FROM jobs", &[]).await;
    let event = "INSERT INTO stripe_events (id, type, state, received_at, body_sha256) VALUES ('evt_1', 'charge.succeeded', 'parked', now(), '\\x00')";
    app.db.execute(event, &[]).await;
    let db = app.db.pool().await;
    money_out::stop(db, &Actor::Worker("w".to_owned()), "a check says so", Utc::now())
        .await
        .unwrap();
    for (kind, subject) in [
        (AlarmKind::JobParked, job.to_string()),
        (AlarmKind::EventParked, "evt_1".to_owned()),
    ] {
        let conn = &mut db.conn().await.unwrap();
        alarms::raise(conn, kind, &subject, "words", Utc::now())
            .await
            .unwrap();
    }
    let close = async |kind: &str, subject: &str, force: &[&str]| {
        let args = [&["close-alarm", kind, subject, "--reason", "seen"], force].concat();
        run("wallet-worker", &args, &app.variables).await
    };
    let (kind, subject) = ("money_out_stopped", "money_out");
    for (kind, subject, fix, may_be_forced) in [
        (
            "job_parked",
            job.to_string().as_str(),
            format!("`wallet-worker requeue {job}`"),
            false,
        ),
        (
            "event_parked",
            "evt_1",
            "`wallet-worker replay-events --id evt_1`, or give --force".to_owned(),
            true,
        ),
        (kind, subject, "`wallet-worker money-out start`".to_owned(), false),
    ] {
        let refused = close(kind, subject, &[]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.err.contains("is not over") && refused.err.contains(&fix),
            "{refused:?}"
        );
        let forced = close(kind, subject, &["--force"]).await;
        assert_eq!(forced.code, Some(i32::from(!may_be_forced)), "{forced:?}");
    }
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 2);
    let on_record = "audit_log WHERE action = 'close_alarm' AND (detail->>'force')::boolean";
    assert_eq!(app.db.count(on_record).await, 1);
    // What is over can be closed, whatever it was.
    app.db
        .execute("UPDATE switches SET is_open = true WHERE name = 'money_out'", &[])
        .await;
    let closed = close(kind, subject, &[]).await;
    assert_eq!(closed.code, Some(0), "{closed:?}");
    app.abandon().await;
}
