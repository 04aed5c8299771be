//! What Stripe refuses stops the smallest thing it can be about: a refused key stops everything, a refused account or kind of object only itself.

use serde_json::{Value, json};
use wallet_dev::stack::port;
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::{TestApp, User, eventually, until};

async fn withdrawn(app: &TestApp, user: &User, wallet: &str) -> String {
    let answer = app.withdraw(user, wallet, json!({ "amount": "10.00" })).await;
    id_of(&answer.data())
}

async fn is_parked(app: &TestApp, id: &str) -> bool {
    let parked = "SELECT count(*) FROM jobs WHERE transaction_id = $1 AND parked_at IS NOT NULL";
    app.db.value::<i64>(parked, &[&uuid(id)]).await == 1
}

async fn page(app: &TestApp, url: &str) -> String {
    until("a page", async || app.client().get(url).send().await.ok())
        .await
        .text()
        .await
        .unwrap()
}

/// A key that Stripe does not accept is reported by an alarm, a metric and readiness, and all of them clear when the key works again.
async fn the_key_is_refused(outcome: &str) {
    let mut system = TestApp::with_workers(0).await;
    let port = port::free().unwrap().to_string();
    system.start_worker_with(&[("METRICS_PORT", &port)]);
    let app = &system;
    let worker = format!("http://127.0.0.1:{port}");
    let ready = format!("{}/readyz", app.base());
    let (alice, wallet) = app.payee(5_000).await;
    app.stripe.fault(json!({ "outcome": outcome })).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let input = json!({ "amount": "10.00", "stripePaymentMethodId": "pm_card_visa" });
        ids.push(id_of(&app.deposit(&alice, &wallet, input).await.data()));
    }
    ids.push(withdrawn(app, &alice, &wallet).await);
    let open = "alarms WHERE kind = 'stripe_key_refused' AND closed_at IS NULL";
    eventually("an alarm about the key", async || app.db.count(open).await == 1).await;
    for url in [format!("{worker}/readyz"), ready.clone()] {
        let told = page(app, &url).await;
        assert!(told.contains("Stripe refuses our key"), "{url}: {told}");
    }
    let gauge = async |value: u8| {
        page(app, &format!("{worker}/metrics"))
            .await
            .contains(&format!("\nwallet_stripe_key_refused {value}\n"))
    };
    eventually("the metric to say so", async || gauge(1).await).await;
    assert_eq!(
        app.db.count("wallet_transactions WHERE status = 'failed'").await,
        0
    );
    assert_eq!(app.db.count("jobs WHERE parked_at IS NOT NULL").await, 0);

    app.stripe.clear_faults().await;
    for id in &ids {
        app.completed(&alice, id).await;
    }
    eventually("the alarm to be over", async || app.db.count(open).await == 0).await;
    eventually("the metric to say so", async || gauge(0).await).await;
    for url in [format!("{worker}/readyz"), ready] {
        assert!(!page(app, &url).await.contains("refuses"), "{url}");
    }
    system
        .finish_with(Leftovers {
            alarms: &["stripe_key_refused"],
            ..Leftovers::default()
        })
        .await;
}

/// <https://docs.stripe.com/api/errors>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_is_told_within_seconds_and_all_goes_on_when_it_works_again() {
    the_key_is_refused("error_401").await;
}

/// <https://docs.stripe.com/error-codes>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_has_expired_is_told_within_seconds_and_all_goes_on_when_it_works_again() {
    the_key_is_refused("error_401_expired").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_refused_while_nobody_needs_it_is_told_all_the_same() {
    let app = TestApp::with_workers(0).await;
    app.stripe.fault(json!({ "outcome": "error_401" })).await;
    let mut app = app;
    app.start_worker();
    let open = "alarms WHERE kind = 'stripe_key_refused' AND closed_at IS NULL";
    eventually("an alarm about the key", async || app.db.count(open).await == 1).await;
    app.stripe.clear_faults().await;
    eventually("the alarm to be over", async || app.db.count(open).await == 0).await;
    app.finish_with(Leftovers {
        alarms: &["stripe_key_refused"],
        ..Leftovers::default()
    })
    .await;
}

/// The requests that Stripe refused by the faults in force.
async fn refused(app: &TestApp) -> u64 {
    app.stripe.fault_hits().await.iter().sum()
}

/// Ben's account, or what only he needs, is refused: his withdrawal is parked with an alarm after a few tries, and nobody else notices.
async fn one_account_is_refused(fault: impl Fn(&str) -> Value, sent: usize, operation: &str) {
    let app = TestApp::start().await;
    let (ben, his) = app.payee(1_000).await;
    let account = app.account_of(&his).await;
    app.stripe.fault(fault(&account)).await;
    let stuck = withdrawn(&app, &ben, &his).await;
    eventually("the first refusal", async || refused(&app).await > 0).await;
    for _ in 0..3 {
        let (alice, hers) = app.payee(1_000).await;
        let paid = withdrawn(&app, &alice, &hers).await;
        app.completed(&alice, &paid).await;
        app.deposited(&alice, &hers, 500, "pm_card_visa").await;
    }
    eventually("a person to be called", async || is_parked(&app, &stuck).await).await;
    let told = "SELECT last_error FROM jobs WHERE transaction_id = $1";
    let told: String = app.db.value(told, &[&uuid(&stuck)]).await;
    let alarm: String = app.db.value("SELECT message FROM alarms", &[]).await;
    for words in [
        &format!("{operation} at Stripe: ") as &str,
        "http 403",
        "request req_",
    ] {
        assert!(
            told.contains(words) && alarm.contains(words),
            "{words} in {told:?} and {alarm:?}"
        );
    }
    let owners = "transaction_events WHERE message LIKE '%req\\_%' OR message LIKE '%at Stripe: %'";
    assert_eq!(app.db.count(owners).await, 0, "which is no word for the owner");
    let calls = refused(&app).await;
    assert!((2..=6).contains(&calls), "{calls} refused calls");
    let away = "transaction_events WHERE message LIKE '%cannot be reached%'";
    assert_eq!(app.db.count(away).await, 0, "no lane was paused");
    assert_eq!(app.stripe.effects_of(&stuck, "transfer.create").await, sent);
    assert_eq!(app.balances(&ben, &his).await, (0, 1_000), "the money is held");
    app.finish_with(Leftovers {
        alarms: &["job_parked"],
        parked: 1,
    })
    .await;
}

/// <https://docs.stripe.com/connect/standard-accounts#deauthorize>, <https://docs.stripe.com/error-codes>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_account_that_may_not_be_read_stops_only_its_own_withdrawal() {
    one_account_is_refused(
        |account| json!({ "path": format!("/v1/accounts/{account}"), "outcome": "error_403_account" }),
        0,
        "retrieve_account",
    )
    .await;
}

/// <https://docs.stripe.com/error-codes>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_account_that_may_not_be_paid_out_stops_only_its_own_withdrawal() {
    one_account_is_refused(
        |account| json!({ "path": "/v1/payouts", "account": account, "outcome": "error_403_account" }),
        1,
        "create_payout",
    )
    .await;
}

/// <https://docs.stripe.com/api/errors>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_account_that_is_refused_without_a_code_stops_only_its_own_withdrawal() {
    one_account_is_refused(
        |account| json!({ "path": "/v1/payouts", "account": account, "outcome": "error_403" }),
        1,
        "create_payout",
    )
    .await;
}

/// <https://docs.stripe.com/keys/restricted-api-keys>
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_may_not_read_disputes_stops_only_what_is_about_disputes() {
    let app = TestApp::start().await;
    let (ben, his) = app.owner(0).await;
    app.stripe
        .fault(json!({ "path": "/v1/disputes*", "outcome": "error_403" }))
        .await;
    app.deposited(&ben, &his, 1_000, "pm_card_createDispute").await;
    eventually("the first refusal", async || refused(&app).await > 0).await;
    let (alice, hers) = app.payee(1_000).await;
    let paid = withdrawn(&app, &alice, &hers).await;
    app.completed(&alice, &paid).await;
    app.deposited(&alice, &hers, 500, "pm_card_visa").await;
    eventually("a person to be called", async || {
        app.db
            .count("jobs WHERE parked_at IS NOT NULL AND kind = 'stripe_event'")
            .await
            > 0
    })
    .await;
    let away = "transaction_events WHERE message LIKE '%cannot be reached%'";
    assert_eq!(app.db.count(away).await, 0, "no lane was paused");
    // The permission comes, and an operator has it tried again.
    app.stripe.clear_faults().await;
    app.db
        .execute(
            "UPDATE jobs SET parked_at = NULL, attempts = 0, handed_over_at = NULL WHERE parked_at IS NOT NULL",
            &[],
        )
        .await;
    eventually("the dispute to be booked", async || {
        app.db.count("wallet_transactions WHERE flow = 'dispute'").await == 1
    })
    .await;
    app.abandon().await;
}
