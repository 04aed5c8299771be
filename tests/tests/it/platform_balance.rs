//! Users' money is in the platform's balance at Stripe: what takes it out of there is reported, and stops money-out.

use chrono::TimeDelta;
use serde_json::json;
use wallet_core::clock::Clock;
use wallet_tests::app::{Options, id_of};
use wallet_tests::{TestApp, eventually, programs};

pub(crate) const SHORT: &str = "alarms WHERE kind = 'platform_balance_short' AND closed_at IS NULL";
pub(crate) const TAKEN: &str = "alarms WHERE kind = 'platform_balance_taken' AND closed_at IS NULL";

/// A system whose platform owns nothing at Stripe, and which compares the balance every minute.
pub(crate) async fn app() -> TestApp {
    app_that_stops_on("violations").await
}

/// The same, which stops money-out on these findings.
async fn app_that_stops_on(findings: &str) -> TestApp {
    TestApp::with(Options {
        opening: 0,
        variables: vec![
            ("PLATFORM_BALANCE_SECONDS", "60".to_owned()),
            ("MONEY_OUT_STOPS_ON", findings.to_owned()),
        ],
        ..Options::default()
    })
    .await
}

/// The platform pays so many cents out to its own bank.
pub(crate) async fn take(app: &TestApp, cents: i64) {
    let amount = cents.to_string();
    let payout = [("amount", amount.as_str()), ("currency", "usd")];
    app.stripe.form("/v1/payouts", &payout).await;
}

pub(crate) async fn is_open(app: &TestApp) -> bool {
    app.db
        .value("SELECT is_open FROM switches WHERE name = 'money_out'", &[])
        .await
}

/// Lets the check run once more.
pub(crate) async fn look(app: &TestApp) {
    app.advance(TimeDelta::seconds(61)).await;
    let now = app.clock.now();
    let done = "SELECT count(*) FROM verifications WHERE name = 'backing' AND done_at >= $1";
    eventually("the balance to be looked at", async || {
        app.db.value::<i64>(done, &[&now]).await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_of_the_platform_that_takes_users_money_is_told_and_stops_money_out() {
    let app = app().await;
    let (alice, wallet) = app.payee(0).await;
    app.deposited(&alice, &wallet, 1_000, "pm_card_visa").await;
    app.at_rest().await;
    look(&app).await;
    assert_eq!(app.db.count(SHORT).await, 0, "Stripe holds what the wallets hold");
    assert!(is_open(&app).await);

    // The platform's own money is its own.
    app.top_up(500).await;
    let payout = [("amount", "500"), ("currency", "usd")];
    app.stripe.form("/v1/payouts", &payout).await;
    look(&app).await;
    assert_eq!(app.db.count(SHORT).await, 0);

    let payout = [("amount", "1"), ("currency", "usd")];
    app.stripe.form("/v1/payouts", &payout).await;
    look(&app).await;
    assert_eq!((app.db.count(SHORT).await, app.db.count(TAKEN).await), (1, 1));
    look(&app).await;
    assert!(!is_open(&app).await, "money-out is stopped");
    let id = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "5.00" }))
            .await
            .data(),
    );
    app.told(&alice, &id, "sending money is paused").await;
    assert_eq!(app.stripe.effects("transfer.create").await.len(), 0);
    let compared = programs::run("wallet-worker", &["reconcile"], &app.variables).await;
    assert_eq!(compared.code, Some(1), "{compared:?}");
    assert!(
        compared
            .out
            .contains("paid out to the platform's bank although it was not the platform's own"),
        "{compared:?}"
    );

    // The platform pays it back.
    app.top_up(1).await;
    look(&app).await;
    assert_eq!(app.db.count(SHORT).await, 0, "the alarm is over");
    assert_eq!(app.db.count(TAKEN).await, 0);
    let started = programs::run("wallet-worker", &["money-out", "start"], &app.variables).await;
    assert_eq!(started.code, Some(0), "{started:?}");
    app.completed(&alice, &id).await;
    look(&app).await;
    assert!(is_open(&app).await);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripe_s_fees_that_the_platform_has_not_made_up_for_are_told_and_stop_nothing() {
    let app = app().await;
    app.stripe
        .settings(json!({ "fee_basis_points": 290, "fee_fixed": 30 }))
        .await;
    let (alice, wallet) = app.owner(0).await;
    app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    app.at_rest().await;
    look(&app).await;
    let message = "SELECT message FROM alarms WHERE kind = 'platform_balance_short' AND closed_at IS NULL";
    let message: String = app.db.value(message, &[]).await;
    assert!(message.contains("pay in 3.20 usd"), "{message}");
    // Nobody hides it, or begins its time anew: it closes by itself.
    let close = [
        "close-alarm",
        "platform_balance_short",
        "usd",
        "--reason",
        "seen",
        "--force",
    ];
    let refused = programs::run("wallet-worker", &close, &app.variables).await;
    assert!(
        refused.code == Some(1) && refused.err.contains("pay in"),
        "{refused:?}"
    );
    // Where no worker looks by itself, nothing else would ever close it.
    let unwatched = app.variables.with(&[("PLATFORM_BALANCE_SECONDS", "0")]);
    let closed = programs::run("wallet-worker", &close, &unwatched).await;
    assert_eq!(closed.code, Some(0), "{closed:?}");
    assert!(is_open(&app).await);
    app.top_up(320).await;
    look(&app).await;
    assert_eq!(app.db.count(SHORT).await, 0);
    app.abandon().await;
}

/// Stripe keeps money of a platform back for connected accounts with negative balances whose losses it bears: it is still the platform's
/// (`connect_reserved`, <https://docs.stripe.com/api/balance/balance_object>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_stripe_keeps_back_is_not_taken_for_stolen() {
    let app = app().await;
    let (alice, wallet) = app.owner(0).await;
    app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    app.at_rest().await;
    app.stripe
        .control("balance/reserve", json!({ "amount": 6_000 }))
        .await;
    look(&app).await;
    look(&app).await;
    assert_eq!(app.db.count(SHORT).await, 0);
    assert_eq!(app.db.count(TAKEN).await, 0);
    // What is taken beside it is.
    take(&app, 100).await;
    look(&app).await;
    assert_eq!(app.db.count(TAKEN).await, 1);
    app.abandon().await;
}

/// What a refund from outside, a dispute, or a refund of ours takes is booked when Stripe reports it, in whatever order, and with whatever
/// delay; the wallets' owners do not wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_payers_take_back_stops_nothing_however_late_it_is_told_or_final() {
    let app = app().await;
    app.stripe
        .settings(json!({ "fee_basis_points": 290, "fee_fixed": 30, "refund_pending_ms": 86_400_000 }))
        .await;
    let (ada, hers) = app.owner(0).await;
    let (ben, his) = app.owner(0).await;
    app.deposited(&ben, &his, 100_000, "pm_card_visa").await;
    let refunded = app.deposited(&ada, &hers, 10_000, "pm_card_pendingRefund").await;
    let disputed = app.deposited(&ada, &hers, 10_000, "pm_card_visa").await;
    let input = json!({ "toWalletId": his, "amount": "200.00" });
    let sent = id_of(&app.transfer(&ada, &hers, input).await.data());
    app.completed(&ada, &sent).await;
    app.at_rest().await;
    look(&app).await;
    // Pending at Stripe, whose balance is less by it already.
    let intent = app.stripe_id(&refunded, "stripe_payment_intent_id").await;
    app.stripe
        .control("refunds", json!({ "payment_intent": intent }))
        .await;
    eventually("the refund to be known", async || {
        app.db
            .count("wallet_transactions WHERE flow = 'outside_refund' AND stage = 'refunding'")
            .await
            == 1
    })
    .await;
    for _ in 0..3 {
        look(&app).await;
        assert_eq!(app.db.count(TAKEN).await, 0, "a pending refund is no theft");
    }
    // Taken before it is told of.
    let late = json!({ "event": "charge.dispute.*", "delay_ms": 90_000 });
    app.stripe.webhook_fault(late).await;
    app.stripe
        .fault(json!({ "operation": "events.list", "outcome": "error_503" }))
        .await;
    let intent = app.stripe_id(&disputed, "stripe_payment_intent_id").await;
    app.stripe
        .control("disputes", json!({ "payment_intent": intent }))
        .await;
    look(&app).await;
    assert_eq!(app.db.count(TAKEN).await, 1, "told, as nothing explains it yet");
    assert!(
        is_open(&app).await,
        "and looked at again before anything is stopped"
    );
    app.stripe.clear_faults().await;
    app.advance(TimeDelta::seconds(35)).await;
    eventually("the dispute to be known", async || {
        app.db
            .count("wallet_transactions WHERE flow = 'dispute' AND stage = 'disputed'")
            .await
            == 1
    })
    .await;
    app.at_rest().await;
    look(&app).await;
    assert_eq!(app.db.count(TAKEN).await, 0);
    assert!(is_open(&app).await, "an ordinary dispute stops nobody's money");
    app.abandon().await;
}

/// What lies in suspense and is being returned has left Stripe's balance before the refund is final: that is booked, and stops nobody's money.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pending_refund_of_suspended_money_stops_nothing() {
    for by_us in [true, false] {
        let app = app().await;
        app.stripe
            .settings(json!({ "refund_pending_ms": 432_000_000_u64 }))
            .await;
        let (ada, hers) = app.owner(0).await;
        app.deposited(&ada, &hers, 1_000, "pm_card_visa").await;
        let id = id_of(
            &app.deposit(&ada, &hers, json!({ "amount": "500.00" }))
                .await
                .data(),
        );
        app.at_stage(&id, "awaiting_payment").await;
        let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
        let received =
            json!({ "amount": 40_000, "currency": "usd", "payment_method": "pm_card_pendingRefund" });
        app.stripe
            .control(&format!("payment_intents/{intent}/receive"), received)
            .await;
        app.at_stage(&id, "in_review").await;
        app.at_rest().await;
        if by_us {
            let args = ["review", "return", &id, "--reason", "the payer asked"];
            let decided = programs::run("wallet-worker", &args, &app.variables).await;
            assert_eq!(decided.code, Some(0), "{decided:?}");
        } else {
            app.stripe
                .control("refunds", json!({ "payment_intent": intent }))
                .await;
        }
        app.told(&ada, &id, "is being returned to the payer").await;
        app.at_rest().await;
        for _ in 0..3 {
            look(&app).await;
            assert_eq!(app.db.count(TAKEN).await, 0, "by us: {by_us}");
        }
        assert!(is_open(&app).await);
        // And a cent that is taken besides is still seen.
        take(&app, 1).await;
        look(&app).await;
        assert_eq!(app.db.count(TAKEN).await, 1);
        app.abandon().await;
    }
}

/// An inquiry takes nothing (<https://docs.stripe.com/disputes/how-disputes-work>), however long it is open, so it explains nothing that is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_is_taken_while_an_inquiry_is_open_is_told_and_an_inquiry_that_becomes_a_dispute_is_not() {
    for (taken, is_told) in [(1, true), (2_000, true), (0, false)] {
        let app = app().await;
        let (alice, wallet) = app.owner(0).await;
        let deposit = app
            .deposited(&alice, &wallet, 10_000, "pm_card_bypassPending")
            .await;
        let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
        let inquiry =
            json!({ "payment_intent": intent, "amount": 5_000, "status": "warning_needs_response" });
        let inquiry = id_of(&app.stripe.control("disputes", inquiry).await);
        eventually("the inquiry to be known", async || {
            app.db
                .count("wallet_transactions WHERE flow = 'dispute' AND stage = 'accepted'")
                .await
                == 1
        })
        .await;
        app.advance(TimeDelta::minutes(11)).await;
        app.at_rest().await;
        if taken > 0 {
            take(&app, taken).await;
        } else {
            app.stripe
                .control(
                    &format!("disputes/{inquiry}"),
                    json!({ "status": "needs_response" }),
                )
                .await;
            eventually("the dispute to be known", async || {
                app.db
                    .count("wallet_transactions WHERE flow = 'dispute' AND stage = 'disputed'")
                    .await
                    == 1
            })
            .await;
            app.at_rest().await;
            app.advance(TimeDelta::minutes(11)).await;
            app.at_rest().await;
        }
        look(&app).await;
        look(&app).await;
        assert_eq!(app.db.count(TAKEN).await == 1, is_told, "{taken} taken");
        assert_eq!(is_open(&app).await, !is_told);
        app.abandon().await;
    }
}

/// The border between what the ledger explains and what was taken is one cent, whatever is already missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_cent_less_than_fees_and_debts_explain_was_taken_and_stops_money_out() {
    let app = app().await;
    app.stripe
        .settings(json!({ "fee_basis_points": 290, "fee_fixed": 30, "dispute_fee": 0 }))
        .await;
    let (alice, wallet) = app.owner(0).await;
    let (_, bens) = app.owner(0).await;
    app.deposited(&alice, &wallet, 10_000, "pm_card_bypassPending")
        .await;
    // A debt besides: the money of a disputed deposit has gone on to somebody else.
    let disputed = app
        .deposited(&alice, &wallet, 2_000, "pm_card_bypassPending")
        .await;
    let sent = app.send(&alice, &wallet, &bens, 12_000).await;
    app.completed(&alice, &sent).await;
    let intent = app.stripe_id(&disputed, "stripe_payment_intent_id").await;
    app.stripe
        .control("disputes", json!({ "payment_intent": intent }))
        .await;
    eventually("the debt", async || app.owed(&wallet).await == 2_000).await;
    app.at_rest().await;
    look(&app).await;
    // 3.20 and 0.88 of fees, 20.00 of debt.
    let short = format!("{SHORT} AND message LIKE '%pay in 24.08 usd%'");
    assert_eq!(app.db.count(&short).await, 1);
    assert!(is_open(&app).await, "fees and debts stop nothing");
    take(&app, 1).await;
    look(&app).await;
    let short = format!("{SHORT} AND message LIKE '%pay in 24.09 usd%'");
    assert_eq!(app.db.count(&short).await, 1);
    look(&app).await;
    assert!(!is_open(&app).await, "money was taken");
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_it_stops_money_out_on_any_shortage_and_not_on_exactly_enough() {
    let app = app_that_stops_on("violations,shortages").await;
    app.stripe
        .settings(json!({ "fee_basis_points": 290, "fee_fixed": 30 }))
        .await;
    let (alice, wallet) = app.owner(0).await;
    app.top_up(320).await;
    app.deposited(&alice, &wallet, 10_000, "pm_card_bypassPending")
        .await;
    app.at_rest().await;
    look(&app).await;
    assert_eq!(app.db.count(SHORT).await, 0);
    assert!(is_open(&app).await, "Stripe holds exactly what the wallets hold");
    take(&app, 1).await;
    look(&app).await;
    assert_eq!(app.db.count(SHORT).await, 1);
    assert!(!is_open(&app).await);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_schedule_of_the_platform_is_told_at_the_start_with_the_mend() {
    let mut app = TestApp::with_workers(0).await;
    let open = "alarms WHERE kind = 'platform_payout_schedule' AND closed_at IS NULL";
    for interval in ["daily", "weekly", "monthly"] {
        app.stripe
            .settings(json!({ "platform_payout_interval": interval }))
            .await;
        app.start_worker();
        eventually("an alarm about the schedule", async || {
            app.db
                .count(&format!("{open} AND message LIKE '%({interval})%to manual%'"))
                .await
                == 1
        })
        .await;
        app.stop_workers().await;
        app.stripe
            .settings(json!({ "platform_payout_interval": "manual" }))
            .await;
        app.start_worker();
        eventually("the alarm to be over", async || app.db.count(open).await == 0).await;
        app.stop_workers().await;
    }
    app.abandon().await;
}
