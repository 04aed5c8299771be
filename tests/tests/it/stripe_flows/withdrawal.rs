//! A withdrawal is a transfer and then a payout: two objects, two ways to fail.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::id_of;
use wallet_tests::{TestApp, User, eventually};

async fn withdrawn(app: &TestApp, user: &User, wallet: &str, amount: &str) -> String {
    id_of(
        &app.withdraw(user, wallet, json!({ "amount": amount }))
            .await
            .data(),
    )
}

/// The holder of a key of the connected account pays its money out.
async fn drained(app: &TestApp, account: &str, amount: &str) -> String {
    let params = [("amount", amount), ("currency", "usd")];
    id_of(&app.stripe.form_as(account, "/v1/payouts", &params).await)
}

/// A transfer has no status. `transfer.paid` and `transfer.failed` belong to an API before 2017: a program that waits for them waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_has_no_status_and_events_of_transfers_decide_nothing() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    app.stripe
        .webhook_fault(json!({ "event": "transfer.*", "drop": true }))
        .await;
    let (alice, wallet) = app.payee(10_000).await;
    let id = withdrawn(&app, &alice, &wallet, "70.00").await;
    app.at_stage(&id, "paying_out").await;
    let transfer = app.stripe_id(&id, "stripe_transfer_id").await;
    for kind in ["transfer.paid", "transfer.failed", "transfer.updated"] {
        let event = json!({
            "id": format!("evt_1{}", kind.replace('.', "")), "object": "event", "type": kind, "livemode": false,
            "data": { "object": { "id": transfer, "object": "transfer", "status": "failed" } },
        });
        assert_eq!(app.deliver_signed(&event).await, 200);
    }
    eventually("the events to be understood", async || {
        app.db
            .count("stripe_events WHERE type LIKE 'transfer.%' AND state <> 'received'")
            .await
            == 3
    })
    .await;
    assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000));
    let payout = app.stripe_id(&id, "stripe_payout_id").await;
    for status in ["in_transit", "paid"] {
        app.stripe
            .control(&format!("payouts/{payout}"), json!({ "status": status }))
            .await;
    }
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    app.finish().await;
}

/// Keep connected accounts on a manual payout schedule, or automatic payouts race ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_on_automatic_payouts_is_set_to_manual_before_money_is_sent_there() {
    let app = TestApp::start().await;
    let alice = User::new();
    let user = alice.id.to_string();
    let params = [
        ("type", "express"),
        ("country", "US"),
        ("capabilities[transfers][requested]", "true"),
        ("settings[payouts][schedule][interval]", "daily"),
        ("metadata[user_id]", user.as_str()),
    ];
    let account = id_of(&app.stripe.form("/v1/accounts", &params).await);
    app.stripe
        .control(&format!("accounts/{account}"), json!({ "onboard": true }))
        .await;
    let interval = async || {
        app.stripe.get(&format!("/v1/accounts/{account}")).await["settings"]["payouts"]["schedule"]["interval"]
            .clone()
    };
    assert_eq!(interval().await, "daily");
    let wallet = app.wallet(&alice, json!({ "stripeAccountId": account })).await;
    app.plant(&wallet, 1_000).await;
    let id = withdrawn(&app, &alice, &wallet, "10.00").await;
    app.completed(&alice, &id).await;
    assert_eq!(interval().await, "manual");
    app.finish().await;
}

/// The external account is disabled after a failure: the next payout to it is refused, and its money comes back too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_account_disabled_after_a_failure_brings_the_next_withdrawal_back_until_it_is_updated() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let account = app.account_of(&wallet).await;
    let first = withdrawn(&app, &alice, &wallet, "40.00").await;
    app.at_stage(&first, "paying_out").await;
    let payout = app.stripe_id(&first, "stripe_payout_id").await;
    let no_account = json!({ "status": "failed", "failure_code": "no_account" });
    app.stripe.control(&format!("payouts/{payout}"), no_account).await;
    let failed = app.failed(&alice, &first).await;
    assert!(
        failed["failureReason"]
            .as_str()
            .unwrap()
            .contains("No bank account could be located"),
        "{failed:#}"
    );
    app.stripe.settings(json!({ "payout_mode": "auto" })).await;
    let second = withdrawn(&app, &alice, &wallet, "40.00").await;
    app.failed(&alice, &second).await;
    assert_eq!(app.stripe.effects_of(&second, "payout.create").await, 0);
    assert_eq!(
        app.stripe.effects_of(&second, "transfer_reversal.create").await,
        1
    );
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    app.stripe
        .control(
            &format!("accounts/{account}"),
            json!({ "external_account": true }),
        )
        .await;
    let third = withdrawn(&app, &alice, &wallet, "40.00").await;
    app.completed(&alice, &third).await;
    assert_eq!(app.balances(&alice, &wallet).await, (6_000, 0));
    app.finish().await;
}

/// A payout may fail long after it was paid: its return is possible for at least thirty days.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_fails_a_month_after_it_was_paid_is_credited_again() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(1_000).await;
    let id = withdrawn(&app, &alice, &wallet, "10.00").await;
    app.completed(&alice, &id).await;
    app.at_rest().await;
    app.advance(TimeDelta::days(31)).await;
    let payout = app.stripe_id(&id, "stripe_payout_id").await;
    app.stripe
        .control(
            &format!("payouts/{payout}"),
            json!({ "status": "failed", "failure_code": "account_closed" }),
        )
        .await;
    let back = id_of(&app.relative(&alice, &id).await);
    let back = app.completed(&alice, &back).await;
    assert_eq!(
        (&back["amount"], &back["direction"]),
        (&json!("10.00"), &json!("IN"))
    );
    assert_eq!(app.balances(&alice, &wallet).await, (1_000, 0));
    app.finish().await;
}

/// gumroad #5480: the transfer lands pending, so the immediate payout fails. gumroad #3943: a balance that eats the transfer makes a
/// loop of transfers and reversals. Here the payout waits, with one transfer and no reversal, and its owner reads why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_waits_for_money_that_is_not_available_on_the_connected_account_and_nothing_loops() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    let account = app.account_of(&wallet).await;
    app.stripe
        .fault(json!({ "operation": "payouts.create", "times": 3, "outcome": "balance_insufficient" }))
        .await;
    let id = withdrawn(&app, &alice, &wallet, "70.00").await;
    let waiting = app
        .told(
            &alice,
            &id,
            "the funds are not available at the payment provider yet",
        )
        .await;
    assert_eq!(waiting["status"], "PROCESSING");
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000));
    app.hurry_until("the payout to be made", TimeDelta::seconds(61), async || {
        app.transaction(&alice, &id).await["status"] == "COMPLETED"
    })
    .await;
    let payouts = app.stripe.get_as(&account, "/v1/payouts").await;
    assert_eq!(payouts["data"].as_array().unwrap().len(), 1);
    assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 1);
    assert_eq!(app.stripe.effects_of(&id, "transfer_reversal.create").await, 0);
    // One line for the reason, not one for each try.
    let done = app.transaction(&alice, &id).await;
    let lines = done["timeline"].as_array().unwrap();
    let waits = lines.iter().filter(|line| line["kind"] == "waiting").count();
    assert_eq!(waits, 1, "{done:#}");
    app.finish().await;
}

/// Money that never comes is reported to an operator: the money stays held, nothing is tried for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_does_not_come_for_weeks_is_told_to_a_person_and_stays_held() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "payouts.create", "outcome": "balance_insufficient" }))
        .await;
    let id = withdrawn(&app, &alice, &wallet, "70.00").await;
    let account = app.account_of(&wallet).await;
    app.at_stage(&id, "transferred").await;
    let kept = json!({ "amount": 7_000, "account": account });
    app.stripe.control("balance/keep_back", kept).await;
    app.told(&alice, &id, "not available at the payment provider yet")
        .await;
    app.hurry_until("a person to be told", TimeDelta::days(12), async || {
        app.db.count("jobs WHERE parked_at IS NOT NULL").await == 1
    })
    .await;
    let parked = app.told(&alice, &id, "support has been told").await;
    assert_eq!(parked["status"], "PROCESSING");
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000));
    app.finish_with(wallet_tests::app::Leftovers {
        alarms: &["job_parked", "payout_unfunded"],
        parked: 1,
    })
    .await;
}

/// A reversal needs the money on the connected account. gumroad #6620: the balance went back to unpaid while the transfer was not
/// reversed, and was paid again. Here it stays held until the money is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_back_yet_is_not_spendable_and_is_taken_back_once() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let account = app.account_of(&wallet).await;
    let id = withdrawn(&app, &alice, &wallet, "70.00").await;
    app.at_stage(&id, "paying_out").await;
    let payout = app.stripe_id(&id, "stripe_payout_id").await;
    // The reversal comes to a moment in which somebody has emptied the account.
    app.stripe
        .fault(json!({ "operation": "transfer_reversals.create", "outcome": "rate_limit" }))
        .await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "failed" }))
        .await;
    app.told(&alice, &id, "the payment provider is busy").await;
    app.stripe
        .control(
            &format!("accounts/{account}"),
            json!({ "external_account": true }),
        )
        .await;
    let others = drained(&app, &account, "7000").await;
    app.stripe.clear_faults().await;
    app.hurry_until("the reversal to wait", TimeDelta::seconds(5), async || {
        app.transaction(&alice, &id).await["timeline"]
            .to_string()
            .contains("not available at the payment provider yet")
    })
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000));
    let again = app.withdraw(&alice, &wallet, json!({ "amount": "70.00" })).await;
    assert_eq!(again.code(), Some("INSUFFICIENT_FUNDS"));
    app.stripe
        .control(&format!("payouts/{others}"), json!({ "status": "canceled" }))
        .await;
    app.hurry_until("the withdrawal to end", TimeDelta::seconds(61), async || {
        app.transaction(&alice, &id).await["status"] == "FAILED"
    })
    .await;
    assert_eq!(app.stripe.effects_of(&id, "transfer_reversal.create").await, 1);
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    app.finish().await;
}
