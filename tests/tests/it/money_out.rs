//! The switch that keeps money from leaving: nothing is sent, nothing is lost, and everything else continues.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use wallet_core::audit::Actor;
use wallet_core::clock::Clock as _;
use wallet_core::money_out::{self as switch, WAITS};
use wallet_dev::pace;
use wallet_dev::stack::port;
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::programs::{self, Ended};
use wallet_tests::{TestApp, User, eventually, until};

use crate::review::{in_review, review};

/// Runs the operator's command.
async fn money_out(app: &TestApp, args: &[&str]) -> Ended {
    let args: Vec<&str> = std::iter::once("money-out").chain(args.iter().copied()).collect();
    let ended = programs::run("wallet-worker", &args, &app.variables).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

async fn withdrawal(app: &TestApp, (user, wallet): &(User, String), amount: &str) -> String {
    id_of(
        &app.withdraw(user, wallet, json!({ "amount": amount }))
            .await
            .data(),
    )
}

/// Waits until so many jobs wait for money-out, whoever has claimed them at this moment.
async fn waiting(app: &TestApp, jobs: i64) {
    eventually("the jobs to wait for money-out", async || {
        app.db.count(&format!("jobs WHERE last_error = '{WAITS}'")).await == jobs
    })
    .await;
}

/// How often calls that send money out were tried.
async fn tries(app: &TestApp) -> i64 {
    let tries = "SELECT coalesce(sum(tries), 0)::bigint FROM stripe_calls WHERE operation IN ('transfer', 'payout', 'refund')";
    app.db.value(tries, &[]).await
}

async fn sent(app: &TestApp) -> usize {
    let mut sent = 0;
    for operation in ["transfer.create", "payout.create", "refund.create"] {
        sent += app.stripe.effects(operation).await.len();
    }
    sent
}

fn times_told(transaction: &Value) -> usize {
    transaction["timeline"].to_string().matches(WAITS).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_holds_twenty_withdrawals_and_a_refund_and_a_start_lets_them_all_finish() {
    let mut system = TestApp::with_workers(1).await;
    let port = port::free().unwrap().to_string();
    system.start_worker_with(&[("METRICS_PORT", &port)]);
    let app = &system;
    let payees = join_all((0..4).map(|_| app.payee(10_000))).await;
    let (alice, hers) = app.owner(0).await;
    let deposit = app.deposited(&alice, &hers, 5_000, "pm_card_visa").await;

    let stopped = money_out(app, &["stop", "--reason", "the bank has called"]).await;
    assert!(
        stopped.out.contains("money-out is stopped")
            && stopped.out.contains("by operator:")
            && stopped.out.contains(": the bank has called"),
        "{stopped:?}"
    );
    let mut ids = Vec::new();
    for payee in &payees {
        for _ in 0..5 {
            ids.push((payee.0.clone(), withdrawal(app, payee, "10.00").await));
        }
    }
    ids.push((
        alice.clone(),
        id_of(
            &app.refund(&alice, &deposit, json!({ "amount": "20.00" }))
                .await
                .data(),
        ),
    ));
    waiting(app, 21).await;
    // They look again, and go on waiting.
    app.advance(TimeDelta::minutes(2)).await;
    eventually("every job to have looked several times", async || {
        app.db.count("jobs WHERE fence < 3").await == 0
    })
    .await;
    for (user, id) in &ids {
        let held = app.transaction(user, id).await;
        assert_eq!(held["status"], "PROCESSING", "{held:#}");
        assert_eq!(times_told(&held), 1, "told, and told once: {held:#}");
    }
    assert_eq!((sent(app).await, tries(app).await), (0, 0));
    assert_eq!(
        app.db
            .count("jobs WHERE attempts > 1 OR starts > 1 OR parked_at IS NOT NULL")
            .await,
        0
    );
    for (user, wallet) in &payees {
        assert_eq!(app.balances(user, wallet).await, (5_000, 5_000));
    }

    // What is inside goes on, and what comes in.
    let (bob, his) = app.owner(0).await;
    let transfer = app.send(&alice, &hers, &his, 500).await;
    app.completed(&alice, &transfer).await;
    app.deposited(&bob, &his, 700, "pm_card_visa").await;
    assert_eq!(app.balances(&bob, &his).await, (1_200, 0));

    let page = async |path: &str| {
        let url = format!("http://127.0.0.1:{port}/{path}");
        until("the worker to answer", async || {
            app.client().get(&url).send().await.ok()
        })
        .await
        .text()
        .await
        .unwrap()
    };
    assert!(
        page("readyz").await.contains("by operator:")
            && page("readyz").await.contains(": the bank has called")
    );
    assert!(page("metrics").await.contains("\nwallet_money_out_stopped 1\n"));
    let again = money_out(app, &["stop", "--reason", "another"]).await;
    assert!(
        again.out.contains("stopped already") && again.out.contains("the bank has called"),
        "the first reason stays: {again:?}"
    );

    let began = Instant::now();
    let started = money_out(app, &["start"]).await;
    assert!(started.out.contains("money-out is open"), "{started:?}");
    for (user, id) in &ids {
        app.completed(user, id).await;
    }
    assert!(
        !pace::is_over(began.elapsed(), Duration::from_secs(20)),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(sent(app).await, 41, "20 transfers, 20 payouts, 1 refund");
    assert!(page("metrics").await.contains("\nwallet_money_out_stopped 0\n"));
    assert!(!page("readyz").await.contains("money-out"));
    assert!(money_out(app, &["start"]).await.out.contains("was not stopped"));
    let actions = "SELECT array_agg(action::text ORDER BY id) FROM audit_log WHERE actor LIKE 'operator:%' AND action LIKE '%money_out'";
    let actions: Vec<String> = app.db.value(actions, &[]).await;
    assert_eq!(actions, ["stop_money_out", "start_money_out"]);
    system.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_begins_after_the_stop_and_what_had_begun_is_recorded() {
    let app = TestApp::with_workers(2).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "latency_ms": 30, "times": 1_000 }))
        .await;
    let payees = join_all((0..4).map(|_| app.payee(10_000))).await;
    let mut ids = Vec::new();
    for payee in payees.iter().cycle().take(40) {
        ids.push((payee.0.clone(), withdrawal(&app, payee, "1.00").await));
    }
    eventually("some to be sent", async || tries(&app).await >= 5).await;
    money_out(&app, &["stop", "--reason", "in the middle of it"]).await;
    let begun = tries(&app).await;
    eventually("all that are not ended to wait", async || {
        let moving = "SELECT count(*) FROM jobs WHERE last_error IS DISTINCT FROM $1";
        app.db.value::<i64>(moving, &[&WAITS]).await == 0
    })
    .await;
    assert_eq!(tries(&app).await, begun, "a call began after the stop");
    let known = app
        .db
        .count("stripe_calls WHERE operation IN ('transfer', 'payout') AND outcome = 'succeeded'")
        .await;
    assert_eq!(
        usize::try_from(known).unwrap(),
        sent(&app).await,
        "what had begun is recorded"
    );
    assert!(
        app.db.count("wallet_transactions WHERE stage = 'held'").await > 0,
        "it came too late to show anything"
    );
    money_out(&app, &["start", "--reason", "it was a drill"]).await;
    for (user, id) in &ids {
        app.completed(user, id).await;
    }
    assert_eq!(sent(&app).await, 80);
    app.stripe.clear_faults().await;
    app.finish().await;
}

/// A start of money-out reports what a check found while an operator had stopped it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_would_stop_money_during_an_operator_s_stop_is_told() {
    let app = TestApp::with_workers(0).await;
    let stopped = money_out(&app, &["stop", "--reason", "maintenance"]).await;
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    let alarm = "alarms WHERE kind = 'money_out_stopped' AND closed_at IS NULL";
    assert_eq!(app.db.count(alarm).await, 0, "the operator knows");
    let db = app.db.pool().await;
    for _ in 0..2 {
        let worker = Actor::Worker("w".to_owned());
        let first = switch::stop(db, &worker, "the books do not agree", app.clock.now()).await;
        assert!(!first.unwrap(), "it was stopped before");
    }
    assert_eq!(
        app.db.count(&format!("{alarm} AND seen = 1")).await,
        1,
        "told once"
    );
    let status = money_out(&app, &["status"]).await.out;
    for words in [
        "maintenance",
        "a check says: no money goes out any more: the books do not agree",
    ] {
        assert!(status.contains(words), "{status}");
    }
    let started = money_out(&app, &["start"]).await;
    assert!(started.out.contains("the books do not agree"), "{started:?}");
    assert_eq!(app.db.count(alarm).await, 0);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_answer_was_lost_is_not_sent_again_before_the_start() {
    let app = TestApp::start().await;
    let payee = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "times": 1, "outcome": "drop_after" }))
        .await;
    let id = withdrawal(&app, &payee, "10.00").await;
    eventually("the answer to be lost", async || {
        app.db
            .count("stripe_calls WHERE operation = 'transfer' AND outcome = 'unknown'")
            .await
            == 1
    })
    .await;
    money_out(&app, &["stop", "--reason", "the answer was lost"]).await;
    app.advance(TimeDelta::minutes(10)).await;
    waiting(&app, 1).await;
    assert_eq!(tries(&app).await, 1);
    assert_eq!(
        app.balances(&payee.0, &payee.1).await,
        (9_000, 1_000),
        "still held"
    );
    money_out(&app, &["start"]).await;
    app.completed(&payee.0, &id).await;
    assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_is_not_held_by_a_stop_and_what_waits_can_be_cancelled() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let payee = app.payee(10_000).await;
    let (user, wallet) = &payee;
    let returned = withdrawal(&app, &payee, "70.00").await;
    app.at_stage(&returned, "paying_out").await;
    let payout = app.stripe_id(&returned, "stripe_payout_id").await;
    money_out(&app, &["stop", "--reason", "what comes back may come"]).await;
    let failed = json!({ "status": "failed", "failure_code": "account_closed" });
    app.stripe.control(&format!("payouts/{payout}"), failed).await;
    app.failed(user, &returned).await;
    assert_eq!(
        app.stripe.effects_of(&returned, "transfer_reversal.create").await,
        1
    );
    assert_eq!(app.balances(user, wallet).await, (10_000, 0));

    let waits = withdrawal(&app, &payee, "20.00").await;
    waiting(&app, 1).await;
    let asked = app.cancel(user, &waits).await;
    assert_eq!(asked.code(), None, "{asked:?}");
    assert_eq!(app.ended(user, &waits).await["status"], "CANCELLED");
    assert_eq!(app.balances(user, wallet).await, (10_000, 0));
    app.finish().await;
}

/// What an operator returns is sent out like any refund: it waits, the command says so, and it is counted among what has waited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_gives_back_waits_for_the_start_and_is_told_as_that() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, _, id) = in_review(&mut app, "9900", "usd").await;
    money_out(&app, &["stop", "--reason", "the bank has called"]).await;
    let decided = review(&app, &["return", &id, "--reason", "not what was asked for"]).await;
    assert_eq!(decided.code, Some(0), "{decided:?}");
    assert!(
        decided.out.contains("money-out is stopped: the refund waits"),
        "{decided:?}"
    );
    waiting(&app, 1).await;
    // It looks again by itself every few seconds; here the start has to wake it.
    let later = "UPDATE jobs SET run_at = run_at + interval '1 day'";
    app.db.execute(later, &[]).await;
    let status = money_out(&app, &["status"]).await.out;
    assert!(status.contains("1 jobs wait for it"), "{status}");
    let listed = review(&app, &["list"]).await.out;
    assert!(
        listed.contains("(return_review) carries it out: ") && listed.contains(WAITS),
        "{listed}"
    );
    let started = money_out(&app, &["start"]).await.out;
    assert!(started.contains("1 jobs have waited for it"), "{started}");
    app.failed(&alice, &id).await;
    assert_eq!(sent(&app).await, 1);
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}
