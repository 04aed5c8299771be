//! Creating calls that no job makes: a person waits for them, and their rows are the only record of them.

use std::ffi::OsString;

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;
use wallet_core::clock::SharedClock;
use wallet_core::config::WorkerConfig;
use wallet_core::foundation::Foundation;
use wallet_core::ids::{JobId, UserId};
use wallet_core::jobs::Claim;
use wallet_core::money::Currency;
use wallet_core::stripe::{CallError, CreateAccount, ErrorClass, StripeCalls};
use wallet_tests::TestApp;

/// The calls of another process.
async fn calls(app: &TestApp) -> StripeCalls {
    let config = WorkerConfig::read(&|name: &str| app.variables.get(name).map(OsString::from)).unwrap();
    let db = app.db.pool().await.clone();
    let clock: SharedClock = app.clock.clone();
    let foundation = Foundation::new(db, clock, config.encryption);
    foundation.stripe_calls(&config.stripe).unwrap()
}

fn account(person: Uuid) -> CreateAccount {
    CreateAccount {
        user_id: UserId::from_uuid(person),
        currency: Currency::USD,
        opening: None,
    }
}

async fn accounts_made(app: &TestApp) -> usize {
    app.stripe.effects("account.create").await.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_job_is_made_once_and_remembered() {
    let app = TestApp::with_workers(0).await;
    let calls = calls(&app).await;
    let person = Uuid::new_v4();
    let made = calls.run_unclaimed(person, account(person)).await.unwrap();
    assert!(matches!(&made.answer, Some(account) if account.payout_interval.as_deref() == Some("manual")));
    let again = calls.run_unclaimed(person, account(person)).await.unwrap();
    assert!(again.answer.is_none() && again.id == made.id);
    assert_eq!(accounts_made(&app).await, 1);
    let row = "stripe_calls WHERE operation = 'account' AND outcome = 'succeeded' AND tries = 1 AND encrypted_params IS NULL";
    assert_eq!(app.db.count(row).await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_asked_for_again_under_the_same_key() {
    let app = TestApp::with_workers(0).await;
    app.stripe
        .fault(json!({ "operation": "accounts.create", "nth": 1, "outcome": "drop_after" }))
        .await;
    let calls = calls(&app).await;
    let person = Uuid::new_v4();
    let lost = calls.run_unclaimed(person, account(person)).await.unwrap_err();
    assert!(
        matches!(&lost, CallError::Stripe(error) if error.class == ErrorClass::Unknown),
        "{lost:?}"
    );
    let made = calls.run_unclaimed(person, account(person)).await.unwrap();
    assert!(made.answer.is_some());
    assert_eq!(accounts_made(&app).await, 1);
    assert_eq!(app.db.count("stripe_calls WHERE tries = 2").await, 1);
    app.advance(TimeDelta::hours(25)).await;
    let later = calls.run_unclaimed(person, account(person)).await.unwrap();
    assert_eq!(later.id, made.id, "what is recorded does not grow old");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_recorded_is_not_replaced_by_what_is_found_later() {
    let app = TestApp::with_workers(0).await;
    let calls = calls(&app).await;
    let person = Uuid::new_v4();
    let made = calls.run_unclaimed(person, account(person)).await.unwrap();
    calls
        .adopt(person, &account(person), "acct_1Another")
        .await
        .unwrap();
    let later = calls.run_unclaimed(person, account(person)).await.unwrap();
    assert_eq!(later.id, made.id);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_clicks_five_times_gets_one_account() {
    let app = TestApp::with_workers(0).await;
    let calls = calls(&app).await;
    let person = Uuid::new_v4();
    let clicks = (0..5).map(|_| calls.run_unclaimed(person, account(person)));
    let answers: Vec<_> = join_all(clicks).await.into_iter().map(Result::unwrap).collect();
    // They took turns: the first made it, the others found it.
    let fresh = answers.iter().filter(|it| it.answer.is_some()).count();
    assert_eq!(fresh, 1);
    assert!(answers.iter().all(|answer| answer.id == answers[0].id));
    assert_eq!(accounts_made(&app).await, 1);
    assert_eq!(
        app.db.count("stripe_calls WHERE tries = 1").await,
        1,
        "and nobody else sent anything"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_make_a_call_at_once_make_one_object() {
    let app = TestApp::with_workers(0).await;
    let (one, other) = (calls(&app).await, calls(&app).await);
    let person = Uuid::new_v4();
    let (one, other) = tokio::join!(
        one.run_unclaimed(person, account(person)),
        other.run_unclaimed(person, account(person)),
    );
    for answer in [one, other] {
        let good = match &answer {
            Ok(_) => true,
            Err(CallError::Stripe(error)) => error.class == ErrorClass::InUse,
            Err(_) => false,
        };
        assert!(good, "{answer:?}");
    }
    assert_eq!(accounts_made(&app).await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claimed_call_still_needs_its_claim() {
    let app = TestApp::with_workers(0).await;
    let calls = calls(&app).await;
    let person = Uuid::new_v4();
    let claim = Claim {
        job: JobId(1),
        fence: 1,
    };
    let refused = calls.run(claim, person, account(person)).await.unwrap_err();
    assert!(matches!(refused, CallError::ClaimVoid), "{refused:?}");
    assert_eq!(accounts_made(&app).await, 0);
    app.finish().await;
}

/// A job that a worker holds, or has held; its lease ends in so many seconds, or there is none.
async fn job(app: &TestApp, lease: Option<f64>) -> JobId {
    let plant = "INSERT INTO jobs (queue, kind, unique_key, run_at, created_at, fence, lease_until, lease_owner)
                 VALUES ('maintenance', 'of_tomorrow', gen_random_uuid()::text, now(), now(), 7, clock_timestamp() + make_interval(secs => $1), 'test')
                 RETURNING id";
    JobId(app.db.value(plant, &[&lease]).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_a_try_extends_the_claim_so_that_nobody_takes_the_job_over_while_the_call_is_sent() {
    let app = TestApp::with_workers(0).await;
    let calls = calls(&app).await;
    let left = "SELECT extract(epoch FROM lease_until - clock_timestamp())::float8 FROM jobs WHERE id = $1";
    // Nearly over, over and not taken by anybody, and fresh.
    for lease in [1.0, -5.0, 14.0] {
        let job = job(&app, Some(lease)).await;
        let claim = Claim { job, fence: 7 };
        let person = Uuid::new_v4();
        let made = calls.run(claim, person, account(person)).await;
        assert!(made.is_ok(), "{lease}: {made:?}");
        let left: f64 = app.db.value(left, &[&job.0]).await;
        assert!(left > 0.0 && left <= 15.0, "{lease}: {left} s left");
    }
    assert_eq!(accounts_made(&app).await, 3);
    // Taken over, or given back.
    for (lease, fence) in [(Some(14.0), 6), (Some(14.0), 8), (None, 7)] {
        let claim = Claim {
            job: job(&app, lease).await,
            fence,
        };
        let person = Uuid::new_v4();
        let refused = calls.run(claim, person, account(person)).await.unwrap_err();
        assert!(matches!(refused, CallError::ClaimVoid), "{refused:?}");
    }
    assert_eq!(accounts_made(&app).await, 3);
    app.db
        .execute("DELETE FROM jobs WHERE lease_owner = 'test'", &[])
        .await;
    app.abandon().await;
}
