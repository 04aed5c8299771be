//! Running workers check the ledger without a command.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::{TestApp, eventually, programs};

/// Waits for a quick check of the ledger, a minute later.
async fn after_a_minute(app: &TestApp) {
    let before = looked_at(app).await;
    app.advance(TimeDelta::seconds(61)).await;
    eventually("the books to be checked", async || looked_at(app).await > before).await;
}

/// When the last quick check ended, in milliseconds; 0 before the first.
async fn looked_at(app: &TestApp) -> i64 {
    let at = "SELECT coalesce(max(extract(epoch FROM done_at) * 1000), 0)::bigint FROM verifications WHERE name = 'quick'";
    app.db.value(at, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_worker_raises_an_alarm_within_a_minute_and_stops_money_out() {
    let app = TestApp::with_workers(2).await;
    let (alice, wallet) = app.payee(1_000).await;
    let change = |by: &str| format!("UPDATE wallets SET balance = balance {by} WHERE id = $1");
    eventually("the books to be checked at the start", async || {
        looked_at(&app).await > 0
    })
    .await;
    assert_eq!(app.alarms().await, Vec::<String>::new());
    app.db.execute(&change("+ 1"), &[&uuid(&wallet)]).await;
    after_a_minute(&app).await;
    after_a_minute(&app).await;
    assert_eq!(
        app.alarms().await,
        ["invariant_violated", "money_out_stopped"],
        "once, however often it is seen"
    );
    let alarm = app
        .db
        .rows("SELECT subject, message FROM alarms ORDER BY kind", &[])
        .await;
    let told: [&str; 2] = [alarm[0].get(0), alarm[0].get(1)];
    assert!(told[0] == "I6 balances" && told[1].contains(&wallet), "{told:?}");
    let switch = "SELECT reason FROM switches WHERE NOT is_open AND changed_by LIKE 'worker:%'";
    assert_eq!(app.db.value::<String>(switch, &[]).await, "violated: I6 balances");

    let id = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    eventually("the withdrawal to wait", async || {
        app.db
            .count("jobs WHERE kind = 'withdrawal_transfer' AND last_error LIKE 'sending money is paused%'")
            .await
            == 1
    })
    .await;
    app.db.execute(&change("- 1"), &[&uuid(&wallet)]).await;
    let started = programs::run(
        "wallet-worker",
        &["money-out", "start", "--reason", "fixed"],
        &app.variables,
    )
    .await;
    assert_eq!(started.code, Some(0), "{started:?}");
    app.completed(&alice, &id).await;
    let open: i64 = app
        .db
        .count("alarms WHERE kind = 'money_out_stopped' AND closed_at IS NULL")
        .await;
    assert_eq!(open, 0, "closed by the start");
    app.finish_with(Leftovers {
        alarms: &["invariant_violated", "money_out_stopped"],
        parked: 0,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_complete_set_runs_by_itself_and_closes_what_holds_again() {
    let mut app = TestApp::with_workers(0).await;
    let (_, wallet) = app.owner(1_000).await;
    let change = |by: &str| format!("UPDATE wallets SET balance = balance {by} WHERE id = $1");
    app.db.execute(&change("+ 1"), &[&uuid(&wallet)]).await;
    app.start_worker_with(&[
        ("VERIFY_QUICK_SECONDS", "0"),
        ("VERIFY_COMPLETE_SECONDS", "60"),
        ("MONEY_OUT_STOPS_ON", "nothing"),
    ]);
    let open = async || {
        app.db
            .count("alarms WHERE kind = 'invariant_violated' AND closed_at IS NULL")
            .await
    };
    eventually("what only all rows together tell", async || open().await == 3).await;
    assert_eq!(
        app.db.count("switches WHERE is_open").await,
        1,
        "the environment says so"
    );
    app.db.execute(&change("- 1"), &[&uuid(&wallet)]).await;
    app.advance(TimeDelta::seconds(61)).await;
    eventually("the alarms to be closed", async || open().await == 0).await;
    app.finish_with(Leftovers {
        alarms: &["invariant_violated"; 3],
        parked: 0,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_of_the_quick_set_is_closed_a_minute_after_the_mend_and_not_before() {
    let mut app = TestApp::with_workers(0).await;
    let (_, wallet) = app.owner(1_000).await;
    app.start_worker_with(&[
        ("VERIFY_COMPLETE_SECONDS", "0"),
        ("MONEY_OUT_STOPS_ON", "nothing"),
    ]);
    eventually("the books to be checked at the start", async || {
        looked_at(&app).await > 0
    })
    .await;
    let open = async || {
        app.db
            .count(
                "alarms WHERE kind = 'invariant_violated' AND subject = 'I6 balances' AND closed_at IS NULL",
            )
            .await
    };
    let change = |by: &str| format!("UPDATE wallets SET balance = balance {by} WHERE id = $1");
    app.db.execute(&change("+ 1"), &[&uuid(&wallet)]).await;
    after_a_minute(&app).await;
    assert_eq!(open().await, 1);
    // The wallet has left what a quick check looks at, and is wrong all the same.
    for _ in 0..4 {
        after_a_minute(&app).await;
        assert_eq!(open().await, 1, "still violated");
    }
    app.db.execute(&change("- 1"), &[&uuid(&wallet)]).await;
    after_a_minute(&app).await;
    assert_eq!(open().await, 0);
    app.finish_with(Leftovers {
        alarms: &["invariant_violated"],
        parked: 0,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_cannot_be_made_raises_an_alarm_until_it_can() {
    let app = TestApp::with_workers(1).await;
    app.owner(1_000).await;
    eventually("the books to be checked at the start", async || {
        looked_at(&app).await > 0
    })
    .await;
    let open = async || {
        app.db
            .count("alarms WHERE kind = 'check_not_made' AND subject = 'quick' AND closed_at IS NULL")
            .await
    };
    let asked = async || -> i64 {
        let at =
            "SELECT (extract(epoch FROM asked_at) * 1000)::bigint FROM verifications WHERE name = 'quick'";
        app.db.value(at, &[]).await
    };
    app.db
        .execute("ALTER TABLE ledger_entries RENAME TO hidden", &[])
        .await;
    for _ in 0..3 {
        assert_eq!(open().await, 0, "a failure or two may be a restart of PostgreSQL");
        let before = asked().await;
        app.advance(TimeDelta::seconds(61)).await;
        eventually("the check to be tried", async || asked().await > before).await;
    }
    eventually("the alarm", async || open().await == 1).await;
    app.db
        .execute("ALTER TABLE hidden RENAME TO ledger_entries", &[])
        .await;
    after_a_minute(&app).await;
    eventually("the alarm to be closed", async || open().await == 0).await;
    app.finish_with(Leftovers {
        alarms: &["check_not_made"],
        parked: 0,
    })
    .await;
}
