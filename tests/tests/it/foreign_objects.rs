//! Objects at Stripe that claim to be ours: any holder of a key can write metadata, which proves nothing.

use serde_json::json;
use wallet_tests::app::{id_of, uuid};
use wallet_tests::{TestApp, User, eventually};

/// A payout of a connected account, made by a holder of the account's key, with the money it needs.
async fn foreign_payout(
    app: &TestApp,
    account: &str,
    amount: &str,
    bank: Option<&str>,
    withdrawal: &str,
) -> String {
    app.stripe
        .control(
            "balance/top_up",
            json!({ "amount": amount.parse::<i64>().unwrap(), "account": account }),
        )
        .await;
    let mut params = vec![
        ("amount", amount),
        ("currency", "usd"),
        ("metadata[transaction_id]", withdrawal),
    ];
    params.extend(bank.map(|bank| ("destination", bank)));
    id_of(&app.stripe.form_as(account, "/v1/payouts", &params).await)
}

async fn becomes(app: &TestApp, payout: &str, status: &str) {
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": status }))
        .await;
}

async fn paid(app: &TestApp, payout: &str) {
    for status in ["in_transit", "paid"] {
        becomes(app, payout, status).await;
    }
}

/// Waits until this payout is reported, by the one alarm that there is for its account.
async fn told_of(app: &TestApp, payout: &str) {
    let about = format!(
        "alarms WHERE kind = 'foreign_object' AND subject LIKE 'acct_%' AND message LIKE '{payout} %'"
    );
    app.hurry_until("somebody to be told", chrono::TimeDelta::seconds(5), async || {
        app.db.count(&about).await == 1
    })
    .await;
    assert_eq!(app.db.count("alarms WHERE kind = 'foreign_object'").await, 1);
}

async fn withdrawn(app: &TestApp, user: &User, wallet: &str, bank: Option<&str>) -> String {
    let input = json!({ "amount": "30.00", "bankId": bank });
    id_of(&app.withdraw(user, wallet, input).await.data())
}

/// The banks of an account, two of them.
async fn banks_of(app: &TestApp, account: &str) -> [String; 2] {
    app.stripe
        .form(
            &format!("/v1/accounts/{account}/external_accounts"),
            &[
                ("external_account[object]", "bank_account"),
                ("external_account[country]", "US"),
                ("external_account[currency]", "usd"),
                ("external_account[routing_number]", "110000000"),
                ("external_account[account_number]", "000123456789"),
            ],
        )
        .await;
    let found = app.stripe.get(&format!("/v1/accounts/{account}")).await;
    [0, 1].map(|n| id_of(&found["external_accounts"]["data"][n]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_others_made_completes_no_withdrawal_whatever_its_metadata_says() {
    // 1.00 for 30.00, one cent less, the very amount, and the very amount to another bank.
    for (amount, other_bank) in [("100", false), ("2999", false), ("3000", false), ("3000", true)] {
        let app = TestApp::start().await;
        app.stripe.settings(json!({ "payout_mode": "manual" })).await;
        let (alice, wallet) = app.payee(10_000).await;
        let account = app.account_of(&wallet).await;
        let [bank, other] = banks_of(&app, &account).await;
        let id = withdrawn(&app, &alice, &wallet, Some(&bank)).await;
        app.at_stage(&id, "paying_out").await;
        let goes_to = if other_bank { &other } else { &bank };
        let foreign = foreign_payout(&app, &account, amount, Some(goes_to), &id).await;
        paid(&app, &foreign).await;
        told_of(&app, &foreign).await;
        assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
        assert_eq!(app.balances(&alice, &wallet).await, (7_000, 3_000));
        // One of theirs that fails fails nothing either.
        let failing = foreign_payout(&app, &account, amount, Some(goes_to), &id).await;
        becomes(&app, &failing, "failed").await;
        told_of(&app, &failing).await;
        assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
        let ours = app.stripe_id(&id, "stripe_payout_id").await;
        paid(&app, &ours).await;
        app.completed(&alice, &id).await;
        assert_eq!(app.balances(&alice, &wallet).await, (7_000, 0));
        app.at_rest().await;
        // The planted payouts are in the effect log under the withdrawal's id, so that log is not compared here.
        app.abandon().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_others_made_before_ours_is_not_taken_for_it() {
    let mut app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let account = app.account_of(&wallet).await;
    app.stripe
        .fault(json!({ "operation": "payouts.create", "outcome": "rate_limit" }))
        .await;
    let id = withdrawn(&app, &alice, &wallet, None).await;
    app.told(&alice, &id, "the payment provider is busy").await;
    app.stop_workers().await;
    app.stripe.clear_faults().await;
    // One of another amount is refused at once; the very one waits until our own call has been made.
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let small = foreign_payout(&app, &account, "100", None, &id).await;
    paid(&app, &small).await;
    told_of(&app, &small).await;
    let same = foreign_payout(&app, &account, "3000", None, &id).await;
    paid(&app, &same).await;
    eventually("the event to be looked at", async || {
        app.db
            .count("jobs WHERE last_error = 'the call that would have made it is still to come'")
            .await
            > 0
    })
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (7_000, 3_000));
    app.start_worker();
    app.at_stage(&id, "paying_out").await;
    let ours = app.stripe_id(&id, "stripe_payout_id").await;
    assert!(![&small, &same].contains(&&ours));
    told_of(&app, &same).await;
    assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
    paid(&app, &ours).await;
    app.completed(&alice, &id).await;
    app.at_rest().await;
    app.abandon().await;
}

/// A withdrawal may wait for weeks, and a holder of the account's key can make as many payouts that name it as they like.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_made_by_us_within_a_day_is_somebody_elses() {
    let mut app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let account = app.account_of(&wallet).await;
    app.stop_workers().await;
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let id = withdrawn(&app, &alice, &wallet, None).await;
    let theirs = foreign_payout(&app, &account, "3000", None, &id).await;
    let waits = "jobs WHERE last_error = 'the call that would have made it is still to come'";
    eventually("the event to be looked at", async || {
        app.db.count(waits).await > 0
    })
    .await;
    app.advance(chrono::TimeDelta::hours(25)).await;
    told_of(&app, &theirs).await;
    eventually("nothing to wait for it", async || app.db.count(waits).await == 0).await;
    // The call that comes after that finds what it has made.
    app.start_worker();
    app.at_stage(&id, "paying_out").await;
    let ours = app.stripe_id(&id, "stripe_payout_id").await;
    assert_ne!(ours, theirs);
    paid(&app, &ours).await;
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (7_000, 0));
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_takes_only_what_is_in_all_what_was_sent() {
    // The outcome of our payout stays unknown for a day: then Stripe is looked at. Others have made payouts that name the withdrawal.
    let mut app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let account = app.account_of(&wallet).await;
    app.stripe
        .fault(json!({ "operation": "payouts.create", "outcome": "drop_before" }))
        .await;
    let id = withdrawn(&app, &alice, &wallet, None).await;
    app.told(&alice, &id, "has not confirmed the outcome yet").await;
    app.stop_workers().await;
    app.stripe.clear_faults().await;
    let small = foreign_payout(&app, &account, "100", None, &id).await;
    app.advance(chrono::TimeDelta::hours(24)).await;
    app.start_worker();
    app.at_stage(&id, "paying_out").await;
    let ours = app.stripe_id(&id, "stripe_payout_id").await;
    assert_ne!(ours, small);
    let found = app.stripe.get_as(&account, &format!("/v1/payouts/{ours}")).await;
    assert_eq!(found["amount"], 3_000);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_take_back_of_a_transfer_is_theirs_also_when_it_names_the_withdrawal() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let id = withdrawn(&app, &alice, &wallet, None).await;
    app.at_stage(&id, "paying_out").await;
    let ours = app.stripe_id(&id, "stripe_payout_id").await;
    becomes(&app, &ours, "canceled").await;
    app.stripe
        .fault(json!({ "operation": "transfer_reversals.create", "nth": 1, "outcome": "rate_limit" }))
        .await;
    app.failed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));

    let second = withdrawn(&app, &alice, &wallet, None).await;
    app.at_stage(&second, "paying_out").await;
    let account = app.account_of(&wallet).await;
    app.stripe
        .control("balance/top_up", json!({ "amount": 1_000, "account": account }))
        .await;
    let transfer = app.stripe_id(&second, "stripe_transfer_id").await;
    let params = [("amount", "1000"), ("metadata[transaction_id]", second.as_str())];
    app.stripe
        .form(&format!("/v1/transfers/{transfer}/reversals"), &params)
        .await;
    eventually("it to be known as somebody else's", async || {
        app.alarms()
            .await
            .contains(&"transfer_reversed_outside".to_owned())
    })
    .await;
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_others_made_of_the_very_amount_is_not_credited_unseen() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let (alice, wallet) = app.owner(0).await;
    let id = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    let params = [
        ("amount", "2500"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("payment_method_types[]", "card"),
        ("metadata[transaction_id]", id.as_str()),
    ];
    let foreign = id_of(&app.stripe.form("/v1/payment_intents", &params).await);
    eventually("the event to be looked at", async || {
        app.db
            .count("jobs WHERE last_error = 'the call that would have made it is still to come'")
            .await
            > 0
    })
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.start_worker();
    app.at_stage(&id, "awaiting_payment").await;
    assert_ne!(app.stripe_id(&id, "stripe_payment_intent_id").await, foreign);
    app.hurry_until("a person to be told", chrono::TimeDelta::seconds(5), async || {
        !app.alarms().await.is_empty()
    })
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    let kept = "SELECT count(*) FROM stripe_calls WHERE subject_id = $1 AND operation = 'payment_intent'";
    assert_eq!(app.db.value::<i64>(kept, &[&uuid(&id)]).await, 1);
    app.abandon().await;
}

/// One account at Stripe often serves several businesses; payments of another business are not ours to read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_in_currencies_that_nobody_here_uses_are_ignored_and_hold_nobody_up() {
    let app = TestApp::start().await;
    for currency in ["thb", "isk", "twd", "vnd", "clp", "thb"] {
        let sold = [
            ("amount", "500000"),
            ("currency", currency),
            ("payment_method", "pm_card_visa"),
            ("confirm", "true"),
        ];
        let sold = id_of(&app.stripe.form("/v1/payment_intents", &sold).await);
        let refund = [("payment_intent", sold.as_str()), ("amount", "1000")];
        app.stripe.form("/v1/refunds", &refund).await;
    }
    let ignored =
        "stripe_events WHERE note LIKE '%currency%' AND type ~ '^(payment_intent|refund|charge.refund)'";
    eventually("each of them to be ignored", async || {
        app.db.count(&format!("{ignored} AND state = 'ignored'")).await >= 12
    })
    .await;
    assert_eq!(
        app.db.count("jobs WHERE attempts > 1").await,
        0,
        "none was tried again"
    );
    let (alice, wallet) = app.owner(0).await;
    let input = json!({ "amount": "10.00", "stripePaymentMethodId": "pm_card_visa" });
    let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
    app.completed(&alice, &id).await;
    app.finish().await;
}

/// A deposit has one payment: another one that names it, and what happens to that one later, belongs to others, and nothing waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_of_a_payment_that_only_names_a_paid_deposit_is_ignored_at_once() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 2_500, "pm_card_visa").await;
    app.at_rest().await;
    let params = [
        ("amount", "2500"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("payment_method_types[]", "card"),
        ("metadata[transaction_id]", deposit.as_str()),
    ];
    let foreign = id_of(&app.stripe.form("/v1/payment_intents", &params).await);
    let refund = [("payment_intent", foreign.as_str())];
    app.stripe.form("/v1/refunds", &refund).await;
    let ignored = "stripe_events WHERE type LIKE 'refund.%' AND note = 'the refund is of no deposit of ours'";
    app.hurry_until(
        "the refund to be ignored",
        chrono::TimeDelta::seconds(5),
        async || app.db.count(&format!("{ignored} AND state = 'ignored'")).await >= 1,
    )
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    app.abandon().await;
}
