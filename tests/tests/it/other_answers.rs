//! Answers of Stripe's that are not what was requested, that belong to another transaction, that are too long, or that come too late.

use serde_json::{Value, json};
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::{TestApp, User, eventually};

const PARKED: Leftovers<'_> = Leftovers {
    alarms: &["job_parked"],
    parked: 1,
};

async fn withdrawn(app: &TestApp, user: &User, wallet: &str, amount: &str) -> String {
    let answer = app.withdraw(user, wallet, json!({ "amount": amount })).await;
    id_of(&answer.data())
}

async fn is_parked(app: &TestApp, id: &str) {
    let parked = "SELECT count(*) FROM jobs WHERE transaction_id = $1 AND parked_at IS NOT NULL";
    eventually("a person to be asked", async || {
        app.db.value::<i64>(parked, &[&uuid(id)]).await == 1
    })
    .await;
}

async fn answers(app: &TestApp, operation: &str, fields: Value) {
    app.stripe
        .fault(json!({ "operation": operation, "answers": fields }))
        .await;
}

/// One cent, another account and another currency: whatever it is, it is not what was requested, and the money stays held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_is_not_what_was_asked_for_moves_nothing_here() {
    for fields in [
        json!({ "amount": 1 }),
        json!({ "destination": "acct_1another" }),
        json!({ "currency": "eur" }),
    ] {
        let app = TestApp::start().await;
        let (alice, wallet) = app.payee(10_000).await;
        answers(&app, "transfers.create", fields.clone()).await;
        let id = withdrawn(&app, &alice, &wallet, "70.00").await;
        is_parked(&app, &id).await;
        app.at_stage(&id, "held").await;
        assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000), "{fields}");
        let line = app.told(&alice, &id, "support has been told").await;
        assert_eq!(line["status"], "PROCESSING");
        app.finish_with(PARKED).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_is_not_what_was_asked_for_completes_nothing() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    answers(&app, "payouts.create", json!({ "amount": 1, "status": "paid" })).await;
    let id = withdrawn(&app, &alice, &wallet, "70.00").await;
    is_parked(&app, &id).await;
    app.at_stage(&id, "transferred").await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000));
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_is_not_what_was_asked_for_gives_nothing_back_and_takes_nothing() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    app.stripe
        .webhook_fault(json!({ "event": "*refund*", "drop": true }))
        .await;
    answers(&app, "refunds.create", json!({ "amount": 1 })).await;
    let id = id_of(
        &app.refund(&alice, &deposit, json!({ "amount": "30.00" }))
            .await
            .data(),
    );
    is_parked(&app, &id).await;
    app.at_stage(&id, "held").await;
    assert_eq!(app.balances(&alice, &wallet).await, (7_000, 3_000));
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reversal_that_is_not_what_was_asked_for_credits_nothing() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let id = withdrawn(&app, &alice, &wallet, "70.00").await;
    app.at_stage(&id, "paying_out").await;
    answers(&app, "transfer_reversals.create", json!({ "amount": 1 })).await;
    let payout = app.stripe_id(&id, "stripe_payout_id").await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "canceled" }))
        .await;
    is_parked(&app, &id).await;
    app.at_stage(&id, "returning").await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000));
    app.abandon().await;
}

/// Stripe holds it until the account has the money, or gives it up (<https://docs.stripe.com/connect/pending-transfer-reversals>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reversal_that_has_not_succeeded_credits_nothing_until_it_has() {
    for (status, parked) in [
        ("pending", false),
        ("a_word_of_tomorrow", false),
        ("failed", true),
    ] {
        let app = TestApp::start().await;
        app.stripe.settings(json!({ "payout_mode": "manual" })).await;
        let (alice, wallet) = app.payee(10_000).await;
        let id = withdrawn(&app, &alice, &wallet, "70.00").await;
        app.at_stage(&id, "paying_out").await;
        answers(&app, "transfer_reversals.*", json!({ "status": status })).await;
        let payout = app.stripe_id(&id, "stripe_payout_id").await;
        app.stripe
            .control(&format!("payouts/{payout}"), json!({ "status": "canceled" }))
            .await;
        if parked {
            is_parked(&app, &id).await;
        } else {
            app.told(
                &alice,
                &id,
                "is taken back from your payout account as soon as that has it",
            )
            .await;
        }
        assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000), "{status}");
        app.at_stage(&id, "returning").await;
        if !parked {
            app.stripe.clear_faults().await;
            app.hurry_until("it to end", chrono::TimeDelta::minutes(10), async || {
                app.transaction(&alice, &id).await["status"] == "FAILED"
            })
            .await;
            assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
            assert_eq!(app.stripe.effects_of(&id, "transfer_reversal.create").await, 1);
            app.finish().await;
        } else {
            app.abandon().await;
        }
    }
}

/// The answer names the transfer of an earlier withdrawal, of the same amount to the same account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_another_transaction_s_is_told_to_a_person_at_once() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(30_000).await;
    let first = withdrawn(&app, &alice, &wallet, "70.00").await;
    app.completed(&alice, &first).await;
    let transfer = app.stripe_id(&first, "stripe_transfer_id").await;
    answers(&app, "transfers.create", json!({ "id": transfer })).await;
    let second = withdrawn(&app, &alice, &wallet, "70.00").await;
    is_parked(&app, &second).await;
    let message: String = app
        .db
        .value(
            "SELECT message FROM alarms WHERE kind = 'foreign_object' AND subject = $1",
            &[&transfer],
        )
        .await;
    assert!(message.contains(&first) && message.contains(&second), "{message}");
    let tried = "SELECT attempts FROM jobs WHERE transaction_id = $1";
    assert_eq!(
        app.db.value::<i32>(tried, &[&uuid(&second)]).await,
        1,
        "it is not tried again"
    );
    app.at_stage(&second, "held").await;
    assert_eq!(app.balances(&alice, &wallet).await, (16_000, 7_000));
    app.abandon().await;
}

/// Nine megabytes for one transfer: it may have been made. Once Stripe answers as usual, the key tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_too_long_leaves_the_outcome_unknown_and_the_key_tells_it() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "nth": 1, "padding_bytes": 9_000_000 }))
        .await;
    let id = withdrawn(&app, &alice, &wallet, "70.00").await;
    app.told(&alice, &id, "has not confirmed the outcome yet").await;
    app.hurry_until("it to be paid", chrono::TimeDelta::seconds(5), async || {
        app.transaction(&alice, &id).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 1);
    app.finish().await;
}

/// A payout is paid and sent back at once. Both are observed while the withdrawal is being paid out, and the second observation is settled when the
/// first has completed it: that is no contradiction, and the money that came back is the wallet's again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_was_overtaken_looks_again_and_books_what_has_become_of_it() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let id = withdrawn(&app, &alice, &wallet, "70.00").await;
    app.at_stage(&id, "paying_out").await;
    app.at_rest().await;
    let payout = app.stripe_id(&id, "stripe_payout_id").await;
    let becomes = async |status: &str| {
        app.stripe
            .control(&format!("payouts/{payout}"), json!({ "status": status }))
            .await;
    };
    becomes("in_transit").await;
    // Its own look is over before the one that is overtaken begins.
    app.told(&alice, &id, "on its way to your bank").await;
    app.at_rest().await;
    app.stripe
        .fault(json!({ "operation": "payouts.retrieve", "outcome": "normal" }))
        .await;
    let holder = app.db.connect().await;
    let row = format!("SELECT 1 FROM wallets WHERE id = '{wallet}' FOR UPDATE");
    holder.batch_execute(&format!("BEGIN; {row}")).await.unwrap();
    becomes("paid").await;
    let waits = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the first look to be settled", async || {
        app.db.count(waits).await > 0
    })
    .await;
    becomes("failed").await;
    eventually("the second look", async || app.stripe.fault_hits().await[0] >= 2).await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    app.completed(&alice, &id).await;
    let back = id_of(&app.relative(&alice, &id).await);
    assert_eq!(app.completed(&alice, &back).await["amount"], "70.00");
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    app.finish().await;
}

/// The whole payment has been refunded, by a refund that names this transaction and whose key this database has lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_was_made_before_is_found_by_its_name_when_nothing_is_left_to_refund() {
    let mut app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    app.at_rest().await;
    app.stop_workers().await;
    let id = id_of(&app.refund(&alice, &deposit, json!({})).await.data());
    let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let params = [
        ("payment_intent", intent.as_str()),
        ("metadata[transaction_id]", id.as_str()),
    ];
    let made = id_of(&app.stripe.form("/v1/refunds", &params).await);
    app.start_worker();
    app.completed(&alice, &id).await;
    assert_eq!(app.stripe_id(&id, "stripe_refund_id").await, made);
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_to_an_account_that_does_not_exist_is_told_as_one_about_the_account() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "outcome": "no_such_destination" }))
        .await;
    let id = withdrawn(&app, &alice, &wallet, "70.00").await;
    let failed = app.failed(&alice, &id).await;
    assert_eq!(
        failed["failureReason"],
        "PAYOUT_ACCOUNT_REFUSED: the payout account does not exist or is not connected to the platform"
    );
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    app.finish().await;
}

/// Stripe refuses a refund with the same code before and after the bank's decision; the refusal's words follow the dispute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_of_a_payment_that_was_lost_in_a_dispute_is_not_told_to_wait_for_the_bank() {
    for (decided, words) in [
        (Some("lost"), "has taken the payment back for good in a dispute"),
        (None, "it decides, and it cannot be refunded meanwhile"),
    ] {
        let mut app = TestApp::start().await;
        let (alice, wallet) = app.owner(0).await;
        let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
        app.at_rest().await;
        app.stop_workers().await;
        let id = id_of(&app.refund(&alice, &deposit, json!({})).await.data());
        let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
        app.stripe.webhook_fault(json!({ "drop": true })).await;
        let dispute = app
            .stripe
            .control("disputes", json!({ "payment_intent": intent }))
            .await;
        if let Some(status) = decided {
            let path = format!("disputes/{}", id_of(&dispute));
            app.stripe.control(&path, json!({ "status": status })).await;
        }
        app.start_worker();
        let failed = app.failed(&alice, &id).await;
        let reason = failed["failureReason"].as_str().unwrap();
        assert!(
            reason.starts_with("REFUND_FAILED: ") && reason.contains(words),
            "{reason}"
        );
        app.abandon().await;
    }
}
