//! The ledger compared with Stripe: what agrees, each way in which they can differ, and a backup that is older than Stripe.

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use wallet_core::verify::{self, Scope};
use wallet_tests::app::{Options, id_of};
use wallet_tests::database::{dump, restore};
use wallet_tests::{Database, TestApp, eventually, programs};

/// The output of the operator's command, and its exit code.
async fn reconcile(variables: &wallet_tests::system::Variables, args: &[&str]) -> (Value, i32) {
    let args: Vec<&str> = ["reconcile", "--json"].iter().chain(args).copied().collect();
    let ended = programs::run("wallet-worker", &args, variables).await;
    let told = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"));
    (told, ended.code.unwrap())
}

/// Cents of a figure.
fn cents(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no amount: {value}"));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{:0<2}", &part[..part.len().min(2)])
        .parse()
        .unwrap()
}

fn usd(told: &Value) -> &Value {
    told["figures"]
        .as_array()
        .unwrap()
        .iter()
        .find(|figure| figure["currency"] == "usd")
        .unwrap()
}

/// What differs: cause, cents, transaction or empty, whether it is explained.
fn differences(told: &Value) -> Vec<(String, i64, String, bool)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: Vec<_> = told["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                text(&it["cause"]),
                cents(&it["amount"]),
                text(&it["transaction"]),
                it["explained"] == true,
            )
        })
        .collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_every_flow_the_books_and_stripe_agree_to_the_cent() {
    let app = TestApp::start().await;
    app.stripe
        .settings(json!({ "fee_basis_points": 290, "fee_fixed": 30, "dispute_fee": 1_500 }))
        .await;
    let (alice, wallet) = app.payee(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let disputed = app.deposited(&alice, &wallet, 2_000, "pm_card_visa").await;
    let refund = id_of(
        &app.refund(&alice, &deposit, json!({ "amount": "20.00" }))
            .await
            .data(),
    );
    app.completed(&alice, &refund).await;
    let paid = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "30.00" }))
            .await
            .data(),
    );
    app.completed(&alice, &paid).await;
    let intent = app.stripe_id(&disputed, "stripe_payment_intent_id").await;
    let dispute = app
        .stripe
        .control("disputes", json!({ "payment_intent": intent }))
        .await;
    let dispute = dispute["id"].as_str().unwrap().to_owned();
    app.stripe
        .control(&format!("disputes/{dispute}"), json!({ "status": "lost" }))
        .await;
    let lost = id_of(&app.relative(&alice, &disputed).await);
    app.completed(&alice, &lost).await;
    // A payout that came back after it was paid.
    let payout = app.stripe_id(&paid, "stripe_payout_id").await;
    let failed = json!({ "status": "failed", "failure_code": "account_closed" });
    app.stripe.control(&format!("payouts/{payout}"), failed).await;
    let back = id_of(&app.relative(&alice, &paid).await);
    app.completed(&alice, &back).await;
    let account = app.stripe_id(&paid, "stripe_account_id").await;
    app.stripe
        .control(
            &format!("accounts/{account}"),
            json!({ "external_account": true }),
        )
        .await;
    // And one that is under way.
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let under_way = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    app.at_stage(&under_way, "paying_out").await;
    app.at_rest().await;

    // A few questions that fail do not discard the others.
    for operation in ["balance.retrieve", "balance_transactions.list", "payouts.list"] {
        app.stripe
            .fault(json!({ "operation": operation, "outcome": "rate_limit", "times": 1 }))
            .await;
    }
    let (told, code) = reconcile(&app.variables, &[]).await;
    assert_eq!(
        (code, &told["explained"], &told["differences"]),
        (0, &json!(true), &json!([])),
        "{told:#}"
    );
    let figures = usd(&told);
    // Fees: 3.20 and 0.88 of the payments, 15.00 of the dispute.
    let own = 100_000_000;
    let clearing = 10_000 - 320 + 2_000 - 88 - 2_000 - 2_000 - 1_500 - 1_000;
    assert_eq!(
        (cents(&figures["own"]), cents(&figures["clearing"])),
        (own, clearing),
        "{told:#}"
    );
    assert_eq!(cents(&figures["balance"]), own + clearing);
    assert_eq!(
        (cents(&figures["connected"]), cents(&figures["inTransit"])),
        (1_000, 1_000)
    );
    assert_eq!((cents(&figures["rest"]), cents(&figures["all"])), (0, 0));
    assert_eq!(figures["checked"], true, "{told:#}");
    assert_eq!(
        (&told["movements"], &told["own"]),
        (&json!(8), &json!(1)),
        "{told:#}"
    );
    let payout = app.stripe_id(&under_way, "stripe_payout_id").await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "paid" }))
        .await;
    app.completed(&alice, &under_way).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_differ_is_listed_with_its_likely_cause() {
    let mut app = TestApp::start().await;
    app.stripe
        .settings(json!({ "fee_basis_points": 290, "fee_fixed": 30 }))
        .await;
    let (alice, wallet) = app.payee(0).await;
    let refunded = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let paid = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "30.00" }))
            .await
            .data(),
    );
    app.completed(&alice, &paid).await;
    app.at_rest().await;
    app.stripe
        .fault(json!({ "operation": "charges.retrieve", "outcome": "rate_limit", "times": 1_000 }))
        .await;
    let without_fee = app.deposited(&alice, &wallet, 5_000, "pm_card_visa").await;
    app.stop_workers().await;
    app.stripe.clear_faults().await;

    // Nobody hears of these.
    app.stripe
        .webhook_fault(json!({ "event": "*", "drop": true }))
        .await;
    let intent = app.stripe_id(&refunded, "stripe_payment_intent_id").await;
    app.stripe
        .control("refunds", json!({ "payment_intent": intent, "amount": 1_000 }))
        .await;
    let account = app.stripe_id(&paid, "stripe_account_id").await;
    let transfer = [
        ("amount", "500"),
        ("currency", "usd"),
        ("destination", account.as_str()),
    ];
    app.stripe.form("/v1/transfers", &transfer).await;
    app.plant_unbacked(&wallet, 700).await;
    let planted: String = app
        .db
        .value(
            "SELECT id::text FROM wallet_transactions WHERE reference = 'planted'",
            &[],
        )
        .await;
    // Stripe may be late with the movement of a payment, but not by an hour.
    let aged = format!(
        "ALTER TABLE ledger_entries DISABLE TRIGGER USER;
         UPDATE ledger_entries SET created_at = created_at - interval '2 hours' WHERE transaction_id = '{planted}';
         ALTER TABLE ledger_entries ENABLE ALWAYS TRIGGER append_only;
         ALTER TABLE ledger_entries ENABLE ALWAYS TRIGGER balanced;"
    );
    app.db.client().await.batch_execute(&aged).await.unwrap();

    let expected = |fee_is_expected| {
        let mut expected = vec![
            (
                "event not received yet".to_owned(),
                -1_000,
                refunded.clone(),
                false,
            ),
            (
                "fee not booked yet".to_owned(),
                -175,
                without_fee.clone(),
                fee_is_expected,
            ),
            ("made outside".to_owned(), -500, String::new(), false),
            ("made outside".to_owned(), 500, String::new(), false),
            ("missing at Stripe".to_owned(), -700, planted.clone(), false),
        ];
        expected.sort();
        expected
    };
    let (told, code) = reconcile(&app.variables, &[]).await;
    assert_eq!((code, differences(&told)), (1, expected(true)), "{told:#}");
    assert_eq!(
        cents(&usd(&told)["rest"]),
        0,
        "all of the balance is explained: {told:#}"
    );
    assert!(
        told["differences"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["transaction"] == planted.as_str() || it["ageSeconds"].as_i64().unwrap() < 600),
        "{told:#}"
    );
    app.db
        .execute("DELETE FROM jobs WHERE kind = 'deposit_fee'", &[])
        .await;
    let (told, _) = reconcile(&app.variables, &[]).await;
    assert_eq!(
        differences(&told),
        expected(false),
        "nobody will book the fee any more: {told:#}"
    );

    // An operator knows what the transfer was; the event is found by paging.
    let outside = told["differences"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["words"].as_str().unwrap().starts_with("transfer "));
    let movement = outside.unwrap()["about"].as_str().unwrap().to_owned();
    let explain = ["reconcile", "explain", &movement, "--reason", "a supplier"];
    let explained = programs::run("wallet-worker", &explain, &app.variables).await;
    assert_eq!(explained.code, Some(0), "{explained:?}");
    // What is a user's cannot be declared the platform's own, and what was can be taken back.
    let before = app.db.digest().await;
    let charges = app.stripe.get("/v1/balance_transactions?type=charge").await;
    let of_user = charges["data"][0]["id"].as_str().unwrap().to_owned();
    let wrong = ["reconcile", "explain", &of_user, "--reason", "a slip"];
    let refused = programs::run("wallet-worker", &wrong, &app.variables).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("is of transaction"), "{refused:?}");
    // Nor what gives a payment back and will be booked by its own event.
    let refunds = app.stripe.get("/v1/balance_transactions?type=refund").await;
    let of_refund = refunds["data"][0]["id"].as_str().unwrap().to_owned();
    let early = ["reconcile", "explain", &of_refund, "--reason", "a slip"];
    let refused = programs::run("wallet-worker", &early, &app.variables).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused
            .err
            .contains(&format!("gives back transaction {refunded}")),
        "{refused:?}"
    );
    assert_eq!(app.db.digest().await, before);
    let forget = ["reconcile", "forget", &movement, "--reason", "another look"];
    for code in [0, 1] {
        let forgotten = programs::run("wallet-worker", &forget, &app.variables).await;
        assert_eq!(forgotten.code, Some(code), "{forgotten:?}");
    }
    let explained = programs::run("wallet-worker", &explain, &app.variables).await;
    assert_eq!(explained.code, Some(0), "{explained:?}");
    app.stripe.clear_faults().await;
    app.start_worker();
    app.advance(TimeDelta::seconds(61)).await;
    let booked = app.relative(&alice, &refunded).await;
    app.completed(&alice, &id_of(&booked)).await;
    let (told, _) = reconcile(&app.variables, &["--since", "2020-01-01T00:00:00Z"]).await;
    let causes: Vec<String> = differences(&told).into_iter().map(|it| it.0).collect();
    assert_eq!(
        causes,
        ["fee not booked yet", "made outside", "missing at Stripe"],
        "{told:#}"
    );
    assert_eq!(cents(&usd(&told)["rest"]), 0, "{told:#}");
    app.abandon().await;
}

/// A refund and what returns its money have one object at Stripe and are two transactions here; one that failed before it was booked
/// has moved nothing (<https://docs.stripe.com/reports/balance-transaction-types>: `refund`, `refund_failure`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_came_back_agrees_whenever_it_failed_and_whoever_made_it() {
    let app = TestApp::start().await;
    app.stripe
        .settings(json!({ "refund_pending_ms": 3_600_000, "fee_basis_points": 290, "fee_fixed": 30 }))
        .await;
    let (alice, wallet) = app.owner(0).await;
    let becomes = async |refund: &str, status: &str| {
        app.stripe
            .control(&format!("refunds/{refund}"), json!({ "status": status }))
            .await;
    };
    // Ours: failed after it had succeeded, and while it was pending.
    for states in [["succeeded", "failed"].as_slice(), &["failed"]] {
        let deposit = app
            .deposited(&alice, &wallet, 3_000, "pm_card_pendingRefund")
            .await;
        let refund = id_of(&app.refund(&alice, &deposit, json!({})).await.data());
        app.at_stage(&refund, "refunding").await;
        let object = app.stripe_id(&refund, "stripe_refund_id").await;
        for state in states {
            becomes(&object, state).await;
            if *state == "succeeded" {
                app.completed(&alice, &refund).await;
            }
        }
        if states.len() == 2 {
            let back = id_of(&app.relative(&alice, &refund).await);
            app.completed(&alice, &back).await;
        } else {
            app.failed(&alice, &refund).await;
        }
    }
    // Somebody else's, of which nobody heard before it had failed.
    let deposit = app
        .deposited(&alice, &wallet, 1_000, "pm_card_pendingRefund")
        .await;
    app.at_rest().await;
    let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let order = json!({ "payment_intent": intent, "amount": 601 });
    let made = id_of(&app.stripe.control("refunds", order).await);
    becomes(&made, "failed").await;
    app.stripe.clear_faults().await;
    app.at_rest().await;
    let (told, code) = reconcile(&app.variables, &[]).await;
    assert_eq!(
        (code, &told["explained"], differences(&told)),
        (0, &json!(true), vec![]),
        "{told:#}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_platform_owned_before_can_be_written_down() {
    let app = TestApp::with_workers(0).await;
    // Later than the second in which the simulator has got its money.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let later = chrono::Utc::now().to_rfc3339();
    let since = ["--since", later.as_str()];
    let (told, code) = reconcile(&app.variables, &since).await;
    assert_eq!((code, cents(&usd(&told)["rest"])), (1, 100_000_000), "{told:#}");
    let opening = [
        "reconcile",
        "opening",
        "usd",
        "1000000.00",
        "--reason",
        "the statement of October",
    ];
    let written = programs::run("wallet-worker", &opening, &app.variables).await;
    assert_eq!(written.code, Some(0), "{written:?}");
    assert!(!written.out.contains("until now"), "{written:?}");
    let (told, code) = reconcile(&app.variables, &since).await;
    assert_eq!((code, cents(&usd(&told)["rest"])), (0, 0), "{told:#}");
    // What is replaced is told, and what stands there can be looked up.
    let show = ["reconcile", "opening", "usd"];
    let shown = programs::run("wallet-worker", &show, &app.variables).await;
    assert!(
        shown.out.contains("1000000.00 usd were the platform's own"),
        "{shown:?}"
    );
    let none = ["reconcile", "opening", "eur"];
    let none = programs::run("wallet-worker", &none, &app.variables).await;
    assert!(none.out.contains("nothing is written down in eur"), "{none:?}");
    assert_eq!(
        app.db
            .count("audit_log WHERE action = 'explain_movement' AND actor LIKE 'operator:%'")
            .await,
        1
    );
    let again = programs::run("wallet-worker", &opening, &app.variables).await;
    assert!(
        again.out.contains("1000000.00 usd was written down until now"),
        "{again:?}"
    );
    let nowhere = app.variables.with(&[("STRIPE_API_BASE", "http://127.0.0.1:1")]);
    let unknown = programs::run("wallet-worker", &["reconcile"], &nowhere).await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    app.stripe.fault(json!({ "outcome": "error_401" })).await;
    let (told, code) = reconcile(&app.variables, &since).await;
    let why = told["error"]["message"].as_str().unwrap();
    assert_eq!(code, 2, "{why}");
    assert!(
        why.contains("refuses the key") && why.contains("STRIPE_SECRET_KEY"),
        "{why}"
    );
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_worker_compares_by_itself_and_stops_money_out_when_it_is_told_to() {
    let app = TestApp::with(Options {
        variables: vec![
            ("RECONCILE_SECONDS", "60".to_owned()),
            ("MONEY_OUT_STOPS_ON", "violations,differences".to_owned()),
        ],
        ..Options::default()
    })
    .await;
    let done = async || {
        app.db
            .count("verifications WHERE name = 'reconcile' AND done_at IS NOT NULL")
            .await
            == 1
    };
    eventually("the first comparison", async || done().await).await;
    assert_eq!(app.alarms().await, Vec::<String>::new());
    let account = app.stripe.account(wallet_tests::User::new().id).await;
    let transfer = [
        ("amount", "500"),
        ("currency", "usd"),
        ("destination", account.as_str()),
    ];
    app.stripe.form("/v1/transfers", &transfer).await;
    app.advance(TimeDelta::seconds(61)).await;
    eventually("the alarm", async || {
        app.db.count("switches WHERE NOT is_open").await == 1
    })
    .await;
    assert_eq!(
        app.alarms().await,
        ["money_out_stopped", "reconciliation_differs"]
    );
    let message: String = app
        .db
        .value(
            "SELECT message FROM alarms WHERE kind = 'reconciliation_differs'",
            &[],
        )
        .await;
    assert!(message.contains("-5.00 usd, made outside"), "{message}");
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_under_load_holds_and_shows_what_stripe_did_since() {
    let app = TestApp::with_workers(2).await;
    let (alice, wallet) = app.owner(0).await;
    let (_, other) = app.owner(0).await;
    app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let url = app.db.url().await;
    let load = async {
        for _ in 0..10 {
            join_all((0..10).map(|_| app.send(&alice, &wallet, &other, 10))).await;
        }
    };
    let (backup, ()) = tokio::join!(dump(&url, &[]), load);
    let later = app.deposited(&alice, &wallet, 3_000, "pm_card_visa").await;
    app.at_rest().await;

    let restored = Database::empty().await;
    restore(&restored.url().await, &backup).await;
    let verified = verify::verify(restored.pool().await, Scope::Complete, 5, |_, _| {})
        .await
        .unwrap();
    assert!(verified.holds(), "{:?}", verified.violated().collect::<Vec<_>>());
    let variables = app.variables.with(&[("DATABASE_URL", &restored.url().await)]);
    let (told, code) = reconcile(&variables, &[]).await;
    let since = ("ours, but not in these books".to_owned(), 3_000, later, false);
    assert_eq!((code, differences(&told)), (1, vec![since]), "{told:#}");
    assert_eq!(cents(&usd(&told)["rest"]), 0);
    restored.drop().await;
    app.finish().await;
}
