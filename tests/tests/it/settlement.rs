//! In which currencies the platform is paid: what Stripe converts (<https://docs.stripe.com/currencies/conversions>) is no credit of what was
//! paid, and stops nobody else.

use serde_json::{Value, json};
use wallet_tests::app::{Options, id_of, uuid};
use wallet_tests::{TestApp, User, eventually, programs};

/// A system on an account at Stripe that is paid in US dollars alone; `configured`: `STRIPE_SETTLEMENT_CURRENCIES`, if it is set.
async fn paid_in_dollars(configured: Option<&str>) -> TestApp {
    let configured = configured.map(|codes| ("STRIPE_SETTLEMENT_CURRENCIES", codes.to_owned()));
    let mut app = TestApp::with(Options {
        workers: 0,
        variables: configured.into_iter().collect(),
        ..Options::default()
    })
    .await;
    app.stripe
        .settings(json!({ "settlement_currencies": ["usd"] }))
        .await;
    app.start_worker();
    app
}

fn by_card(amount: &str) -> Value {
    json!({ "amount": amount, "stripePaymentMethodId": "pm_card_visa" })
}

async fn deposit(app: &TestApp, user: &User, wallet: &str, amount: &str) -> String {
    id_of(&app.deposit(user, wallet, by_card(amount)).await.data())
}

/// What lies in suspense for a transaction, as amount and currency.
async fn suspended(app: &TestApp, id: &str) -> Vec<String> {
    let sums = "SELECT trim_scale(sum(amount))::text || ' ' || currency FROM ledger_entries
                 WHERE account = 'platform:suspense' AND transaction_id = $1 GROUP BY currency HAVING sum(amount) <> 0";
    let rows = app.db.rows(sums, &[&uuid(id)]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The books hold by the operator's word, and money may leave.
async fn assert_sound(app: &TestApp) {
    let verified = programs::run("wallet-worker", &["verify"], &app.variables).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let is_open = "SELECT is_open FROM switches WHERE name = 'money_out'";
    assert!(app.db.value::<bool>(is_open, &[]).await, "money-out is open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_currency_in_which_the_platform_is_not_paid_is_not_offered() {
    let app = paid_in_dollars(Some("usd")).await;
    let create = "mutation($i: CreateWalletInput!) { createWallet(input: $i) { id } }";
    let alice = User::new();
    for currency in ["eur", "EUR", "gbp", "jpy"] {
        let refused = app
            .gql(&alice, create, json!({ "i": { "currency": currency } }))
            .await;
        assert_eq!(
            (refused.code(), refused.field()),
            (Some("VALIDATION_ERROR"), Some("currency")),
            "{currency}"
        );
        assert!(refused.message().contains("must be one of usd"), "{refused:?}");
    }
    // A wallet of before: what it holds stays usable, and nothing more is paid into it.
    let (ben, wallet) = app.owner(0).await;
    app.db
        .execute(
            "UPDATE wallets SET currency = 'eur' WHERE id = $1",
            &[&uuid(&wallet)],
        )
        .await;
    let refused = app.deposit(&ben, &wallet, by_card("10.00")).await;
    assert_eq!(
        (refused.code(), refused.field()),
        (Some("VALIDATION_ERROR"), Some("walletId"))
    );
    assert!(refused.message().contains("a wallet in usd"), "{refused:?}");
    let (carl, dollars) = app.owner(0).await;
    app.deposited(&carl, &dollars, 1_000, "pm_card_visa").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_stripe_converts_is_no_credit_that_can_never_be_paid_out_and_stops_nobody() {
    let app = paid_in_dollars(None).await;
    let mut converted = Vec::new();
    for currency in ["eur", "gbp", "chf"] {
        let user = User::new();
        let wallet = app.wallet(&user, json!({ "currency": currency })).await;
        let id = deposit(&app, &user, &wallet, "100.00").await;
        app.at_stage(&id, "in_review").await;
        assert_eq!(app.balances(&user, &wallet).await, (0, 0), "{currency}");
        assert_eq!(suspended(&app, &id).await, ["108 usd"], "{currency}");
        let told = app
            .told(&user, &id, "108.00 usd received instead of 100.00")
            .await;
        assert_eq!(told["status"], "PROCESSING");
        converted.push(id);
    }
    app.at_rest().await;
    assert_sound(&app).await;
    // A dispute of such a payment moves dollars as well.
    let intent = app.stripe_id(&converted[0], "stripe_payment_intent_id").await;
    app.stripe
        .control("disputes", json!({ "payment_intent": intent }))
        .await;
    eventually("the dispute to be booked", async || {
        suspended(&app, &converted[0]).await.is_empty()
    })
    .await;
    app.at_rest().await;
    assert_sound(&app).await;
    // Others are credited in dollars and paid out.
    let (dora, dollars) = app.payee(0).await;
    app.deposited(&dora, &dollars, 2_000, "pm_card_visa").await;
    let paid = id_of(
        &app.withdraw(&dora, &dollars, json!({ "amount": "20.00" }))
            .await
            .data(),
    );
    app.completed(&dora, &paid).await;
    // One alarm for each; the disputed one says what is left of it.
    for (which, count) in [
        ("", 3),
        ("AND message LIKE '108.00 usd received%'", 2),
        ("AND message LIKE '%dispute%'", 1),
    ] {
        let alarms = format!("alarms WHERE kind = 'payment_mismatch' {which}");
        assert_eq!(app.db.count(&alarms).await, count, "{which}");
    }
    app.abandon().await;
}

/// The first that comes converted has been credited: it is told, and the next are not credited any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_changes_its_currencies_is_noticed_with_its_first_payment() {
    let app = TestApp::start().await;
    let user = User::new();
    let wallet = app.wallet(&user, json!({ "currency": "eur" })).await;
    let before = deposit(&app, &user, &wallet, "10.00").await;
    app.completed(&user, &before).await;
    app.at_rest().await;
    assert_eq!(app.alarms().await, Vec::<String>::new());
    app.stripe
        .settings(json!({ "settlement_currencies": ["usd"] }))
        .await;
    let first = deposit(&app, &user, &wallet, "10.00").await;
    eventually("the change to be told", async || {
        let told = "alarms WHERE kind = 'settlement_differs' AND message LIKE '%cannot be paid out%'";
        app.db.count(told).await == 1
    })
    .await;
    app.completed(&user, &first).await;
    let second = deposit(&app, &user, &wallet, "10.00").await;
    app.at_stage(&second, "in_review").await;
    assert_eq!(suspended(&app, &second).await, ["10.8 usd"]);
    assert_eq!(app.balances(&user, &wallet).await, (2_000, 0));
    app.stripe.settings(json!({ "settlement_currencies": [] })).await;
    let third = deposit(&app, &user, &wallet, "10.00").await;
    app.completed(&user, &third).await;
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_currency_that_stripe_does_not_know_of_is_told_at_the_start() {
    let mut app = paid_in_dollars(Some("usd,eur,gbp")).await;
    let open = "alarms WHERE kind = 'platform_settlement' AND closed_at IS NULL";
    eventually("an alarm about the currencies", async || {
        app.db
            .count(&format!(
                "{open} AND message LIKE '%names eur, gbp, %converted to usd%'"
            ))
            .await
            == 1
    })
    .await;
    app.stop_workers().await;
    app.start_worker_with(&[("STRIPE_SETTLEMENT_CURRENCIES", "USD")]);
    eventually("the alarm to be over", async || app.db.count(open).await == 0).await;
    app.abandon().await;
}
