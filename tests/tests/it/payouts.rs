//! Payouts whose money or account is changed by others in the meantime: in Stripe's dashboard, or at the account itself.
//!
//! What a bank does with a payout, including cancelled ones, is in `withdrawals`; so is a platform without money. The least that is paid
//! out is in `onboarding`.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::programs::run;
use wallet_tests::{TestApp, User, eventually};

const TOLD: Leftovers<'_> = Leftovers {
    alarms: &["transfer_reversed_outside"],
    parked: 0,
};

async fn withdrawn(app: &TestApp, user: &User, wallet: &str) -> String {
    id_of(
        &app.withdraw(user, wallet, json!({ "amount": "70.00" }))
            .await
            .data(),
    )
}

/// Requests of this operation are answered 429 until the faults are cleared.
async fn keep_waiting(app: &TestApp, operation: &str) {
    app.stripe
        .fault(json!({ "operation": operation, "outcome": "rate_limit" }))
        .await;
}

/// A transfer is reversed in the dashboard: so much of it, or all.
async fn reverse_outside(app: &TestApp, withdrawal: &str, amount: Option<i64>) {
    let transfer = app.stripe_id(withdrawal, "stripe_transfer_id").await;
    let order = amount.map_or(json!({}), |amount| json!({ "amount": amount }));
    app.stripe
        .control(&format!("transfers/{transfer}/reverse"), order)
        .await;
}

async fn payout_becomes(app: &TestApp, withdrawal: &str, status: &str) {
    let payout = app.stripe_id(withdrawal, "stripe_payout_id").await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": status }))
        .await;
}

async fn ends_as(app: &TestApp, user: &User, id: &str, status: &str) {
    app.hurry_until(
        &format!("{id} to be {status}"),
        TimeDelta::seconds(5),
        async || app.transaction(user, id).await["status"] == status,
    )
    .await;
}

/// What our own reversals took, in cents.
async fn taken_by_us(app: &TestApp, id: &str) -> Vec<i64> {
    let path = format!("/_control/effects?operation=transfer_reversal.create&transaction_id={id}");
    let effects = app.stripe.get(&path).await;
    let ours = effects.as_array().unwrap().iter();
    ours.filter(|effect| effect["request_id"].is_string())
        .map(|effect| effect["amount"].as_i64().unwrap())
        .collect()
}

/// What the ledger says is on connected accounts, in cents.
async fn in_transit(app: &TestApp) -> i64 {
    let sum = "SELECT coalesce(100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'stripe:in_transit'";
    app.db.value(sum, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_is_taken_back_outside_before_its_payout_ends_the_withdrawal_and_the_rest_is_taken_back()
 {
    for (others, ours) in [(None, vec![]), (Some(3_000), vec![4_000])] {
        let app = TestApp::start().await;
        let (alice, wallet) = app.payee(10_000).await;
        keep_waiting(&app, "payouts.create").await;
        let id = withdrawn(&app, &alice, &wallet).await;
        app.told(&alice, &id, "the payment provider is busy").await;
        reverse_outside(&app, &id, others).await;
        eventually("the reversal to be known", async || app.alarms().await.len() == 1).await;
        app.stripe.clear_faults().await;
        ends_as(&app, &alice, &id, "FAILED").await;
        let failed = app.told(&alice, &id, "taken back by somebody else").await;
        let reason = failed["failureReason"].as_str().unwrap();
        assert!(
            reason.starts_with("PAYOUT_FAILED: the money was taken back"),
            "{reason}"
        );
        assert_eq!(taken_by_us(&app, &id).await, ours);
        assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
        assert_eq!(in_transit(&app).await, 0);
        app.finish_with(TOLD).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_payout_what_others_took_back_is_not_taken_twice() {
    // Known by its event, or found when the rest is taken back.
    for told in [true, false] {
        for (others, ours) in [(None, vec![]), (Some(3_000), vec![4_000])] {
            let app = TestApp::start().await;
            app.stripe.settings(json!({ "payout_mode": "manual" })).await;
            let drop = json!({ "event": "transfer.*", "drop": true });
            if !told {
                app.stripe.webhook_fault(drop).await;
            }
            let (alice, wallet) = app.payee(10_000).await;
            let id = withdrawn(&app, &alice, &wallet).await;
            app.at_stage(&id, "paying_out").await;
            keep_waiting(&app, "transfer_reversals.create").await;
            payout_becomes(&app, &id, "failed").await;
            app.told(&alice, &id, "the payment provider is busy").await;
            reverse_outside(&app, &id, others).await;
            if told {
                eventually("the reversal to be known", async || app.alarms().await.len() == 1).await;
            }
            app.stripe.clear_faults().await;
            ends_as(&app, &alice, &id, "FAILED").await;
            assert_eq!(taken_by_us(&app, &id).await, ours, "told {told}");
            assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
            assert_eq!(in_transit(&app).await, 0);
            app.finish_with(TOLD).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reversal_that_was_under_way_when_others_took_a_part_asks_for_the_rest_under_a_key_of_its_own() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let id = withdrawn(&app, &alice, &wallet).await;
    app.at_stage(&id, "paying_out").await;
    app.stripe
        .fault(json!({ "operation": "transfer_reversals.create", "nth": 1, "outcome": "drop_before" }))
        .await;
    keep_waiting(&app, "transfer_reversals.create").await;
    payout_becomes(&app, &id, "failed").await;
    app.told(&alice, &id, "has not confirmed the outcome yet").await;
    reverse_outside(&app, &id, Some(3_000)).await;
    app.stripe.clear_faults().await;
    ends_as(&app, &alice, &id, "FAILED").await;
    assert_eq!(taken_by_us(&app, &id).await, [4_000]);
    let attempts = "SELECT count(*) FROM stripe_calls WHERE operation = 'reversal' AND subject_id = $1";
    assert_eq!(app.db.value::<i64>(attempts, &[&uuid(&id)]).await, 2);
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    app.finish_with(TOLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paid_withdrawal_of_which_others_took_a_part_back_is_credited_whole_when_its_payout_returns() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    let id = withdrawn(&app, &alice, &wallet).await;
    app.completed(&alice, &id).await;
    // The account has other money, from which the platform takes.
    let account = app.account_of(&wallet).await;
    app.stripe
        .control("balance/top_up", json!({ "amount": 3_000, "account": account }))
        .await;
    reverse_outside(&app, &id, Some(3_000)).await;
    eventually("the reversal to be known", async || app.alarms().await.len() == 1).await;
    assert_eq!(
        app.balances(&alice, &wallet).await,
        (3_000, 0),
        "nobody is credited for it"
    );
    assert_eq!(in_transit(&app).await, 3_000);
    payout_becomes(&app, &id, "failed").await;
    let back = id_of(&app.relative(&alice, &id).await);
    let back = app.completed(&alice, &back).await;
    assert_eq!(back["amount"], "70.00");
    assert_eq!(taken_by_us(&app, &id_of(&back)).await, [4_000]);
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    assert_eq!(in_transit(&app).await, 0);
    app.finish_with(TOLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_disabled_and_enabled_meanwhile_closes_and_opens_withdrawals() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(30_000).await;
    let account = app.account_of(&wallet).await;
    let enabled = async |payouts_enabled: bool| {
        let change = json!({ "payouts_enabled": payouts_enabled });
        app.stripe.control(&format!("accounts/{account}"), change).await;
        let known = format!("stripe_accounts WHERE payouts_enabled = {payouts_enabled}");
        eventually("it to be known", async || app.db.count(&known).await == 1).await;
    };
    // One on its way to the bank, one before its payout, one before its transfer.
    let paid = withdrawn(&app, &alice, &wallet).await;
    app.at_stage(&paid, "paying_out").await;
    keep_waiting(&app, "payouts.create").await;
    let sent = withdrawn(&app, &alice, &wallet).await;
    app.at_stage(&sent, "transferred").await;
    keep_waiting(&app, "accounts.retrieve").await;
    let held = withdrawn(&app, &alice, &wallet).await;
    app.told(&alice, &held, "the payment provider is busy").await;
    assert_eq!(app.balances(&alice, &wallet).await, (9_000, 21_000));
    app.stripe.clear_faults().await;
    keep_waiting(&app, "payouts.create").await;
    enabled(false).await;
    app.stripe.clear_faults().await;
    for (id, word, transfers) in [
        (&held, "PAYOUT_ACCOUNT_REFUSED: ", 0),
        (&sent, "PAYOUT_FAILED: ", 1),
    ] {
        ends_as(&app, &alice, id, "FAILED").await;
        let failed = app.transaction(&alice, id).await;
        assert!(
            failed["failureReason"].as_str().unwrap().starts_with(word),
            "{failed:#}"
        );
        assert_eq!(app.stripe.effects_of(id, "transfer.create").await, transfers);
        assert_eq!(
            app.stripe.effects_of(id, "transfer_reversal.create").await,
            transfers
        );
    }
    let closed = app.withdraw(&alice, &wallet, json!({ "amount": "70.00" })).await;
    assert_eq!(closed.code(), Some("INVALID_STATE"));
    // What the bank has on its way is the bank's.
    for status in ["in_transit", "paid"] {
        payout_becomes(&app, &paid, status).await;
    }
    app.completed(&alice, &paid).await;
    assert_eq!(app.balances(&alice, &wallet).await, (23_000, 0));
    enabled(true).await;
    app.stripe.settings(json!({ "payout_mode": "auto" })).await;
    let again = withdrawn(&app, &alice, &wallet).await;
    app.completed(&alice, &again).await;
    assert_eq!(app.balances(&alice, &wallet).await, (16_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_closed_before_its_payout_brings_the_money_back_and_closes_withdrawals() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    let account = app.account_of(&wallet).await;
    keep_waiting(&app, "payouts.create").await;
    let id = withdrawn(&app, &alice, &wallet).await;
    app.told(&alice, &id, "the payment provider is busy").await;
    app.stripe
        .control(&format!("accounts/{account}/deauthorize"), json!({}))
        .await;
    app.stripe.clear_faults().await;
    ends_as(&app, &alice, &id, "FAILED").await;
    assert_eq!(app.stripe.effects_of(&id, "transfer_reversal.create").await, 1);
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    let known = "stripe_accounts WHERE NOT payouts_enabled AND disabled_reason = 'disconnected'";
    eventually("it to be known", async || app.db.count(known).await == 1).await;
    let closed = app.withdraw(&alice, &wallet, json!({ "amount": "70.00" })).await;
    assert_eq!(closed.code(), Some("INVALID_STATE"));
    app.finish().await;
}

async fn money_out(app: &TestApp, args: &[&str]) {
    let args = [&["money-out"], args].concat();
    let done = run("wallet-worker", &args, &app.variables).await;
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// The person of a connected account with a dashboard of its own pays it out, whenever that is
/// (<https://docs.stripe.com/connect/payouts-connected-accounts>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_the_account_makes_before_ours_is_told_to_its_owner_and_an_operator_once() {
    let told = "your payout account has paid itself out before our payout was made";
    let open = "alarms WHERE kind = 'payout_by_others' AND closed_at IS NULL";
    for (amount, is_told) in [("7000", true), ("1", true), ("0", false)] {
        let app = TestApp::start().await;
        let (alice, wallet) = app.payee(10_000).await;
        keep_waiting(&app, "payouts.create").await;
        let id = withdrawn(&app, &alice, &wallet).await;
        app.told(&alice, &id, "the payment provider is busy").await;
        let account = app.stripe_id(&id, "stripe_account_id").await;
        // Our payout comes after theirs.
        money_out(&app, &["stop", "--reason", "a test"]).await;
        app.stripe.clear_faults().await;
        if is_told {
            let params = [("amount", amount), ("currency", "usd")];
            app.stripe.form_as(&account, "/v1/payouts", &params).await;
        }
        money_out(&app, &["start"]).await;
        if !is_told {
            ends_as(&app, &alice, &id, "COMPLETED").await;
            assert_eq!(app.db.count(open).await, 0);
            app.abandon().await;
            continue;
        }
        app.hurry_until("the alarm", TimeDelta::seconds(61), async || {
            app.db.count(open).await == 1
        })
        .await;
        let message: String = app.db.value(&format!("SELECT message FROM {open}"), &[]).await;
        for name in [&id, &wallet, &account] {
            assert!(message.contains(name.as_str()), "{name} is not in {message}");
        }
        app.told(&alice, &id, told).await;
        // Asked again and again, it is told once; the money stays held.
        let tries = "SELECT fence FROM jobs WHERE kind = 'withdrawal_payout'";
        let before: i64 = app.db.value(tries, &[]).await;
        app.hurry_until("three more tries", TimeDelta::minutes(20), async || {
            app.db.value::<i64>(tries, &[]).await >= before + 3
        })
        .await;
        let timeline = app.transaction(&alice, &id).await["timeline"].to_string();
        assert_eq!(timeline.matches(told).count(), 1, "{timeline}");
        assert_eq!(
            app.db
                .value::<i32>(&format!("SELECT seen FROM {open}"), &[])
                .await,
            1
        );
        assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000));
        app.abandon().await;
    }
}

/// Several events report one payout, and after a pause several may be processed while it is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_on_its_way_is_told_once_however_many_events_show_it() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let id = withdrawn(&app, &alice, &wallet).await;
    app.at_stage(&id, "paying_out").await;
    payout_becomes(&app, &id, "in_transit").await;
    app.told(&alice, &id, "on its way to your bank").await;
    let payout = app.stripe_id(&id, "stripe_payout_id").await;
    let account = app.account_of(&wallet).await;
    let object = json!({ "id": payout, "object": "payout", "status": "in_transit" });
    let again = json!({ "type": "payout.updated", "object": object, "account": account });
    app.stripe.control("events", again).await;
    eventually("the other event to be looked at", async || {
        let done = "stripe_events WHERE type = 'payout.updated' AND state = 'processed'";
        app.db.count(done).await >= 2
    })
    .await;
    let lines = app.transaction(&alice, &id).await["timeline"].to_string();
    assert_eq!(lines.matches("on its way to your bank").count(), 1, "{lines}");
    payout_becomes(&app, &id, "paid").await;
    app.completed(&alice, &id).await;
    app.finish().await;
}
