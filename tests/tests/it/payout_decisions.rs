//! Withdrawals whose payout finds no money on the connected account although our transfer has brought it: reported, and ended by an operator if
//! they do not end by themselves.

use chrono::TimeDelta;
use serde_json::json;
use wallet_core::clock::Clock;
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::programs::{Ended, run};
use wallet_tests::{TestApp, User};

const BY_OTHERS: &str = "alarms WHERE kind = 'payout_by_others' AND closed_at IS NULL";
const UNFUNDED: &str = "alarms WHERE kind = 'payout_unfunded' AND closed_at IS NULL";

async fn command(app: &TestApp, args: &[&str]) -> Ended {
    run("wallet-worker", args, &app.variables).await
}

async fn decide(app: &TestApp, decision: &str, id: &str) {
    let args = ["withdrawals", decision, id, "--reason", "the bank says so"];
    let decided = command(app, &args).await;
    assert_eq!(decided.code, Some(0), "{decided:?}");
}

async fn until(app: &TestApp, what: &str, step: TimeDelta, open: &str) {
    app.hurry_until(what, step, async || app.db.count(open).await == 1)
        .await;
}

/// Lets so much time pass, during which what waits is tried again and again.
async fn pass(app: &TestApp, time: TimeDelta) {
    let until = app.clock.now() + time;
    app.hurry_until("time to pass", TimeDelta::minutes(20), async || {
        app.clock.now() >= until
    })
    .await;
}

/// A withdrawal of 70.00 of 100.00 whose transfer was made and whose payout gets this answer.
async fn transferred(app: &TestApp, outcome: &str) -> (User, String, String) {
    let (alice, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "payouts.create", "outcome": outcome }))
        .await;
    let input = json!({ "amount": "70.00" });
    let id = id_of(&app.withdraw(&alice, &wallet, input).await.data());
    app.at_stage(&id, "transferred").await;
    (alice, wallet, id)
}

/// The account of the withdrawal has paid itself out, and an alarm was raised.
async fn paid_out_by_itself(app: &TestApp) -> (User, String, String) {
    let (alice, wallet, id) = transferred(app, "rate_limit").await;
    app.told(&alice, &id, "the payment provider is busy").await;
    let account = app.account_of(&wallet).await;
    let stopped = command(app, &["money-out", "stop", "--reason", "a test"]).await;
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    app.stripe.clear_faults().await;
    let params = [("amount", "7000"), ("currency", "usd")];
    app.stripe.form_as(&account, "/v1/payouts", &params).await;
    let started = command(app, &["money-out", "start"]).await;
    assert_eq!(started.code, Some(0), "{started:?}");
    until(app, "the alarm", TimeDelta::seconds(61), BY_OTHERS).await;
    (alice, wallet, id)
}

/// Makes Stripe keep back money of the account; a negative amount is released.
async fn keep_back(app: &TestApp, account: &str, amount: i64) {
    let order = json!({ "amount": amount, "account": account });
    app.stripe.control("balance/keep_back", order).await;
}

/// Money that is on the account and cannot be paid out yet is not missing: a transfer to an account under the recipient agreement takes a day longer
/// (<https://docs.stripe.com/connect/service-agreement-types#recipient>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_is_on_the_account_and_not_available_yet_is_waited_for_in_silence() {
    let app = TestApp::start().await;
    let (alice, wallet, id) = transferred(&app, "balance_insufficient").await;
    pass(&app, TimeDelta::hours(26)).await;
    assert_eq!(app.db.count("alarms").await, 0);
    assert!(
        !app.transaction(&alice, &id).await["timeline"]
            .to_string()
            .contains("owed something")
    );
    app.stripe.clear_faults().await;
    app.hurry_until("the payout", TimeDelta::minutes(20), async || {
        app.transaction(&alice, &id).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    app.finish().await;
}

/// An operator says that the bank has the money while it is still on the account: that is not carried out, and another decision takes its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_is_not_ended_as_paid_while_its_money_lies_on_the_account() {
    let app = TestApp::start().await;
    let (alice, wallet, id) = transferred(&app, "balance_insufficient").await;
    let account = app.account_of(&wallet).await;
    keep_back(&app, &account, 7_000).await;
    until(&app, "the alarm", TimeDelta::minutes(20), UNFUNDED).await;
    keep_back(&app, &account, -7_000).await;
    decide(&app, "paid", &id).await;
    let parked = "jobs WHERE kind = 'withdrawal_paid' AND last_error LIKE '%still has 70.00 usd%' AND parked_at IS NOT NULL";
    until(&app, "it to be parked", TimeDelta::seconds(1), parked).await;
    assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
    decide(&app, "taken-back", &id).await;
    app.hurry_until("the end", TimeDelta::minutes(20), async || {
        app.transaction(&alice, &id).await["status"] == "FAILED"
    })
    .await;
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    app.finish_with(Leftovers {
        alarms: &["job_parked", "payout_unfunded"],
        parked: 0,
    })
    .await;
}

/// One account serves all of a person's wallets: what a later withdrawal has sent there is not the money of the one that was paid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_is_ended_as_paid_beside_the_money_of_a_later_one() {
    let app = TestApp::start().await;
    let (alice, wallet, first) = paid_out_by_itself(&app).await;
    app.stripe
        .fault(json!({ "operation": "payouts.create", "outcome": "balance_insufficient" }))
        .await;
    app.deposited(&alice, &wallet, 7_000, "pm_card_visa").await;
    let input = json!({ "amount": "70.00" });
    let second = id_of(&app.withdraw(&alice, &wallet, input).await.data());
    app.at_stage(&second, "transferred").await;
    decide(&app, "paid", &first).await;
    app.hurry_until("the first to end", TimeDelta::minutes(1), async || {
        app.transaction(&alice, &first).await["status"] == "COMPLETED"
    })
    .await;
    app.stripe.clear_faults().await;
    app.hurry_until("the second to end", TimeDelta::minutes(20), async || {
        app.transaction(&alice, &second).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    app.at_rest().await;
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    app.abandon().await;
}

/// The freezing of the wallet gives no new knowledge of whether the bank was paid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_wallet_decides_nothing_that_a_person_has_to_find_out() {
    let app = TestApp::start().await;
    let (alice, wallet, id) = paid_out_by_itself(&app).await;
    let frozen = command(&app, &["wallets", "deactivate", &wallet, "--reason", "a tip"]).await;
    assert_eq!(frozen.code, Some(0), "{frozen:?}");
    pass(&app, TimeDelta::hours(3)).await;
    app.at_stage(&id, "transferred").await;
    decide(&app, "paid", &id).await;
    app.hurry_until("the end", TimeDelta::minutes(1), async || {
        app.transaction(&alice, &id).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    app.abandon().await;
}

/// A decision is shown as decided, and does not refer operators back to the commands that decide.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_that_is_being_taken_back_is_told_as_decided() {
    let app = TestApp::start().await;
    let (_, wallet, id) = paid_out_by_itself(&app).await;
    decide(&app, "taken-back", &id).await;
    app.at_stage(&id, "returning").await;
    let listed = command(&app, &["withdrawals", "list"]).await.out;
    assert!(
        listed.contains("DECIDED: its transfer is being taken back")
            && listed.contains("0 withdrawals to decide about"),
        "{listed}"
    );
    let parked = command(&app, &["parked"]).await.out;
    assert!(
        parked.contains("DECIDED: its transfer is being taken back"),
        "{parked}"
    );
    let again = command(&app, &["withdrawals", "paid", &id, "--reason", "no"]).await;
    assert!(again.err.contains("it is decided about"), "{again:?}");
    let close = ["close-alarm", "payout_by_others", &id, "--reason", "seen"];
    let close = command(&app, &close).await;
    assert!(
        close.code == Some(1)
            && close.err.contains("being taken back")
            && !close.err.contains("withdrawals paid"),
        "{close:?}"
    );
    // Stripe gives the reversal up, and nobody is told that it ends by itself.
    let gives_up = json!({ "operation": "transfer_reversals.*", "answers": { "status": "failed" } });
    app.stripe.fault(gives_up).await;
    let account = app.account_of(&wallet).await;
    let filled = json!({ "amount": 7_000, "account": account });
    app.stripe.control("balance/top_up", filled).await;
    app.hurry_until(
        "the reversal to be given up",
        TimeDelta::minutes(20),
        async || app.db.count("jobs WHERE parked_at IS NOT NULL").await == 1,
    )
    .await;
    let listed = command(&app, &["withdrawals", "list"]).await.out;
    let again = command(&app, &["withdrawals", "paid", &id, "--reason", "no"]).await;
    let close = ["close-alarm", "payout_by_others", &id, "--reason", "seen"];
    let close = command(&app, &close).await;
    for told in [&listed, &again.err, &close.err] {
        assert!(
            told.contains("has taken nothing back (failed)")
                && told.contains("`wallet-worker requeue ")
                && !told.contains("ends by itself"),
            "{told}"
        );
    }
    assert!(
        listed.contains("0 withdrawals to decide about, 1 that wait for a parked job"),
        "{listed}"
    );
    app.abandon().await;
}

/// From the moment of the decision on, also while no worker has carried it out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_that_is_on_its_way_is_told_wherever_the_withdrawal_is_listed() {
    let mut app = TestApp::start().await;
    let (_, _, id) = paid_out_by_itself(&app).await;
    app.stop_workers().await;
    decide(&app, "paid", &id).await;
    let listed = command(&app, &["withdrawals", "list"]).await.out;
    let parked = command(&app, &["parked"]).await.out;
    for told in [&listed, &parked] {
        assert!(
            told.contains("  DECIDED: job ") && told.contains("(withdrawal_paid) carries it out"),
            "{told}"
        );
    }
    assert!(listed.contains("0 withdrawals to decide about"), "{listed}");
    let close = ["close-alarm", "payout_by_others", &id, "--reason", "seen"];
    let close = command(&app, &close).await;
    assert!(
        close.err.contains("it is decided: job ") && !close.err.contains("withdrawals taken-back"),
        "{close:?}"
    );
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_whose_account_has_paid_itself_out_ends_as_an_operator_decides() {
    for (decision, status, balances) in [
        ("paid", "COMPLETED", (3_000, 0)),
        ("taken-back", "FAILED", (10_000, 0)),
    ] {
        let app = TestApp::start().await;
        let (alice, wallet, id) = paid_out_by_itself(&app).await;
        let listed = command(&app, &["withdrawals", "list"]).await.out;
        assert!(
            listed.contains(&id) && listed.contains("payout_by_others"),
            "{listed}"
        );
        let close = [
            "close-alarm",
            "payout_by_others",
            &id,
            "--reason",
            "seen",
            "--force",
        ];
        let refused = command(&app, &close).await;
        assert_eq!(refused.code, Some(1), "nobody could decide any more: {refused:?}");
        assert!(
            refused
                .err
                .contains("the withdrawal is transferred; `wallet-worker withdrawals paid"),
            "{refused:?}"
        );
        decide(&app, decision, &id).await;
        if decision == "taken-back" {
            // Nothing can be taken back from an account that has nothing.
            app.at_stage(&id, "returning").await;
            assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000));
            let account = app.account_of(&wallet).await;
            let filled = json!({ "amount": 7_000, "account": account });
            app.stripe.control("balance/top_up", filled).await;
        }
        app.hurry_until("the end", TimeDelta::minutes(20), async || {
            app.transaction(&alice, &id).await["status"] == status
        })
        .await;
        app.at_rest().await;
        assert_eq!(app.balances(&alice, &wallet).await, balances, "{decision}");
        assert_eq!(app.db.count(BY_OTHERS).await, 0, "the alarm is over");
        assert_eq!(app.stripe.effects_of(&id, "payout.create").await, 0);
        let again = command(&app, &["withdrawals", "paid", &id, "--reason", "again"]).await;
        assert_eq!(again.code, Some(1), "{again:?}");
        let told = Leftovers {
            alarms: &["payout_by_others"],
            parked: 0,
        };
        app.finish_with(told).await;
    }
}

/// The account's balance was negative: what our transfer brought is gone, and there is no payout to be found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_lacks_the_money_for_hours_is_told_of_and_the_withdrawal_goes_on_or_is_decided() {
    for (end, status, balances) in [
        ("filled up", "COMPLETED", (3_000, 0)),
        ("paid", "COMPLETED", (3_000, 0)),
        ("taken-back", "FAILED", (10_000, 0)),
    ] {
        let app = TestApp::start().await;
        let (alice, wallet, id) = transferred(&app, "balance_insufficient").await;
        let account = app.account_of(&wallet).await;
        keep_back(&app, &account, 7_000).await;
        app.told(
            &alice,
            &id,
            "the funds are not available at the payment provider yet",
        )
        .await;
        pass(&app, TimeDelta::hours(5)).await;
        assert_eq!(app.db.count(UNFUNDED).await, 0, "a transfer may take a moment");
        let early = command(&app, &["withdrawals", end, &id, "--reason", "a guess"]).await;
        assert_ne!(early.code, Some(0), "nobody decides before somebody was told");
        until(&app, "the alarm", TimeDelta::minutes(20), UNFUNDED).await;
        let sentence: String = app
            .db
            .value("SELECT message FROM alarms WHERE kind = 'payout_unfunded'", &[])
            .await;
        for named in [id.as_str(), &wallet, &account, "70.00", "withdrawals taken-back"] {
            assert!(sentence.contains(named), "{named}: {sentence}");
        }
        let told = "which does not have it to pay out";
        app.told(&alice, &id, told).await;
        pass(&app, TimeDelta::hours(7)).await;
        let lines = app.transaction(&alice, &id).await["timeline"].to_string();
        assert_eq!(lines.matches(told).count(), 1, "told once: {lines}");
        assert_eq!(
            app.balances(&alice, &wallet).await,
            (3_000, 7_000),
            "it stays held"
        );
        if end == "filled up" {
            app.stripe.clear_faults().await;
        } else {
            decide(&app, end, &id).await;
        }
        if end != "paid" {
            keep_back(&app, &account, -7_000).await;
        }
        app.hurry_until("the end", TimeDelta::minutes(20), async || {
            app.transaction(&alice, &id).await["status"] == status
        })
        .await;
        app.at_rest().await;
        assert_eq!(app.balances(&alice, &wallet).await, balances, "{end}");
        assert_eq!(app.db.count(UNFUNDED).await, 0, "the alarm is over");
        let told = Leftovers {
            alarms: &["payout_unfunded"],
            parked: 0,
        };
        app.finish_with(told).await;
    }
}

/// Our payout was made and its answer was lost, then an operator decides: nothing is paid twice, and Stripe's answer counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_of_ours_that_may_have_been_made_decides_before_an_operator_does() {
    for decision in ["paid", "taken-back"] {
        let app = TestApp::start().await;
        let (alice, wallet, id) = paid_out_by_itself(&app).await;
        let account = app.account_of(&wallet).await;
        let fault = json!({ "operation": "payouts.create", "outcome": "drop_after" });
        app.stripe.fault(fault).await;
        let filled = json!({ "amount": 7_000, "account": account });
        app.stripe.control("balance/top_up", filled).await;
        app.hurry_until("the payout to be made", TimeDelta::minutes(20), async || {
            app.stripe.effects_of(&id, "payout.create").await == 1
        })
        .await;
        decide(&app, decision, &id).await;
        app.advance(TimeDelta::seconds(30)).await;
        app.stripe.clear_faults().await;
        app.hurry_until("the end", TimeDelta::seconds(61), async || {
            app.transaction(&alice, &id).await["status"] == "COMPLETED"
        })
        .await;
        app.at_rest().await;
        assert_eq!(app.stripe.effects_of(&id, "payout.create").await, 1);
        assert_eq!(app.stripe.effects_of(&id, "transfer_reversal.create").await, 0);
        assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0), "{decision}");
        assert_eq!(app.db.count(BY_OTHERS).await, 0, "the alarm is over");
        app.abandon().await;
    }
}
