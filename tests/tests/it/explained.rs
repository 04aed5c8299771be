//! Movements at Stripe that an operator explains: what the command prints for each, what happens to it, and what is booked after all.

use chrono::TimeDelta;
use serde_json::{Value, json};
use wallet_tests::app::id_of;
use wallet_tests::programs::{Ended, run};
use wallet_tests::{TestApp, User};

use crate::cancel;

/// A deposit of 100.00 usd of which 15.00 are refunded in the dashboard, unnoticed, while no worker runs.
async fn refunded_unheard() -> (TestApp, User, String) {
    let mut app = TestApp::start().await;
    let (ada, wallet) = app.owner(0).await;
    let deposit = app.deposited(&ada, &wallet, 10_000, "pm_card_visa").await;
    app.at_rest().await;
    app.stop_workers().await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    let part = json!({ "payment_intent": intent, "amount": 1_500 });
    app.stripe.control("refunds", part).await;
    (app, ada, deposit)
}

/// The newest movement of a kind.
async fn movement(app: &TestApp, kind: &str) -> Value {
    let path = format!("/v1/balance_transactions?type={kind}");
    app.stripe.get(&path).await["data"][0].clone()
}

async fn explain(app: &TestApp, movement: &str, forced: bool) -> Ended {
    let mut args = vec![
        "reconcile",
        "explain",
        movement,
        "--reason",
        "nothing comes of it",
    ];
    if forced {
        args.push("--force");
    }
    run("wallet-worker", &args, &app.variables).await
}

async fn reconciled(app: &TestApp) -> Ended {
    run("wallet-worker", &["reconcile"], &app.variables).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_explained_and_is_booked_after_all_counts_once() {
    let (mut app, ada, deposit) = refunded_unheard().await;
    let refund = id_of(&movement(&app, "refund").await);
    let early = explain(&app, &refund, false).await;
    assert_eq!(early.code, Some(1), "{early:?}");
    assert!(early.err.contains("replay-events"), "{early:?}");
    let forced = explain(&app, &refund, true).await;
    assert_eq!(forced.code, Some(0), "{forced:?}");
    assert!(forced.out.contains("the platform bears it"), "{forced:?}");
    let told = reconciled(&app).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    // The list of events brings it.
    app.stripe.clear_faults().await;
    app.start_worker();
    app.advance(TimeDelta::seconds(61)).await;
    let booked = id_of(&app.relative(&ada, &deposit).await);
    app.completed(&ada, &booked).await;
    app.at_rest().await;
    for _ in 0..2 {
        let told = reconciled(&app).await;
        assert_eq!(told.code, Some(0), "{told:?}");
    }
    let explained = format!("platform_movements WHERE id = '{refund}'");
    assert_eq!(app.db.count(&explained).await, 0);
    let forgotten = "audit_log WHERE action = 'forget_explained_movement'";
    assert_eq!(app.db.count(forgotten).await, 1);
    app.finish().await;
}

/// A payment and a transfer of transactions that were lost with the old database, and a transfer of one that ended here without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_restored_backup_does_not_have_is_told_as_what_it_is() {
    let mut app = TestApp::start().await;
    let (ada, wallet) = app.payee(0).await;
    app.deposited(&ada, &wallet, 5_000, "pm_card_visa").await;
    app.at_rest().await;
    let stop = ["money-out", "stop", "--reason", "a backup is restored"];
    let stopped = run("wallet-worker", &stop, &app.variables).await;
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    let input = json!({ "amount": "20.00" });
    let given_back = id_of(&app.withdraw(&ada, &wallet, input).await.data());
    app.at_stage(&given_back, "held").await;
    cancel::cancelled(&app, &ada, &given_back).await;
    app.stop_workers().await;
    let lost = uuid::Uuid::now_v7().to_string();
    let payment = [
        ("amount", "2500"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("payment_method_types[]", "card"),
        ("metadata[transaction_id]", lost.as_str()),
    ];
    app.stripe.form("/v1/payment_intents", &payment).await;
    let account = app.account_of(&wallet).await;
    let transfer = async |of: &str| {
        let params = [
            ("amount", "2000"),
            ("currency", "usd"),
            ("destination", account.as_str()),
            ("metadata[transaction_id]", of),
        ];
        app.stripe.form("/v1/transfers", &params).await;
        id_of(&movement(&app, "transfer").await)
    };
    let not_here = format!("is of transaction {lost}, which these books do not have");
    let ended = format!("is of transaction {given_back}, which has ended here as cancelled");
    for (movement, says, fix, means) in [
        (
            id_of(&movement(&app, "charge").await),
            &not_here,
            "refund the payment in Stripe's dashboard",
            "no wallet is credited",
        ),
        (
            transfer(&lost).await,
            &not_here,
            "reverse the transfer in Stripe's dashboard",
            "no wallet pays for it",
        ),
        (
            transfer(&given_back).await,
            &ended,
            "reverse the transfer in Stripe's dashboard",
            "no wallet pays for it",
        ),
    ] {
        let refused = explain(&app, &movement, false).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        for words in [says.as_str(), fix, means] {
            assert!(refused.err.contains(words), "{words}: {refused:?}");
        }
        assert!(!refused.err.contains("replay-events"), "{refused:?}");
        let told = reconciled(&app).await;
        assert_eq!(told.code, Some(1), "{told:?}");
        let forced = explain(&app, &movement, true).await;
        assert_eq!(forced.code, Some(0), "{forced:?}");
        assert!(forced.out.contains(means), "{forced:?}");
    }
    let told = reconciled(&app).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    app.abandon().await;
}

/// What takes back a failed bank debit may name a refund instead of the payment: it still belongs to the deposit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_debit_is_its_deposit_s_whatever_its_movement_names() {
    let (app, _, deposit) = refunded_unheard().await;
    let refund = movement(&app, "refund").await;
    let names = json!({ "type": "payment_failure_refund", "source": refund["source"] });
    app.stripe
        .fault(json!({ "operation": "balance_transactions.retrieve", "answers": names }))
        .await;
    let refused = explain(&app, &id_of(&refund), false).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let of = format!("is of transaction {deposit}");
    assert!(refused.err.contains(&of), "{refused:?}");
    app.abandon().await;
}
