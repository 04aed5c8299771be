//! Cancelling: what may be cancelled at which stage, and the refusal if it may not.

use std::time::Duration;

use chrono::TimeDelta;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use wallet_core::clock::Clock as _;
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::{Answer, Role, TestApp, User, eventually};

/// A deposit that waits for its payer, and its intent.
pub(crate) async fn awaiting(app: &TestApp, user: &User, wallet: &str, amount: &str) -> (String, String) {
    let id = id_of(
        &app.deposit(user, wallet, json!({ "amount": amount }))
            .await
            .data(),
    );
    app.at_stage(&id, "awaiting_payment").await;
    let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
    (id, intent)
}

pub(crate) async fn status_of(app: &TestApp, intent: &str) -> Value {
    app.stripe.get(&format!("/v1/payment_intents/{intent}")).await["status"].clone()
}

/// Cancels it and waits until it is.
pub(crate) async fn cancelled(app: &TestApp, user: &User, id: &str) {
    let _ = app.cancel(user, id).await.data();
    let ended = app.ended(user, id).await;
    assert_eq!(ended["status"], "CANCELLED", "{ended:#}");
    let reason = ended["failureReason"].as_str().unwrap();
    assert!(reason.starts_with("CANCELLED_BY_OWNER: "), "{reason}");
    // Asked again it is what it is.
    assert_eq!(app.cancel(user, id).await.data()["status"], "CANCELLED");
}

fn assert_too_late(answer: &Answer, fix: &str) {
    assert_eq!(answer.code(), Some("INVALID_STATE"), "{answer:?}");
    let message = answer.message();
    assert!(
        message.contains("cannot be cancelled") && message.contains(fix),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_accepted_is_cancelled_whatever_its_type_and_nothing_moves() {
    let mut app = TestApp::start().await;
    let (alice, hers) = app.payee(10_000).await;
    let (bob, his) = app.owner(10_000).await;
    let deposit = app.deposited(&alice, &hers, 5_000, "pm_card_visa").await;
    let input = json!({ "toWalletId": his, "amount": "20.00" });
    let payment = id_of(&app.pay(&alice, &hers, input.clone()).await.data());
    app.completed(&alice, &payment).await;
    app.at_rest().await;
    app.stop_workers().await;
    let waits = [
        (
            &alice,
            app.deposit(&alice, &hers, json!({ "amount": "25.00" })).await,
        ),
        (
            &alice,
            app.withdraw(&alice, &hers, json!({ "amount": "25.00" })).await,
        ),
        (&alice, app.transfer(&alice, &hers, input.clone()).await),
        (&alice, app.pay(&alice, &hers, input).await),
        (&bob, app.refund(&bob, &payment, json!({})).await),
        (&alice, app.refund(&alice, &deposit, json!({})).await),
    ];
    // Cancelling comes first; what was asked for is worked on after it.
    app.start_worker_with(&[("WORKER_QUEUES", "maintenance")]);
    for (user, answer) in waits {
        cancelled(&app, user, &id_of(&answer.data())).await;
    }
    app.start_worker();
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &hers).await, (13_000, 0));
    assert_eq!(app.balances(&bob, &his).await, (11_980, 0));
    for operation in ["transfer.create", "payout.create", "refund.create"] {
        assert_eq!(app.stripe.effects(operation).await, Vec::<Value>::new());
    }
    assert_eq!(app.stripe.effects("payment_intent.create").await.len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_is_cancelled_while_it_waits_for_its_payer_and_refused_at_every_later_stage() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (waiting, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    let stranger = app.cancel(&User::new(), &waiting).await;
    assert_eq!(stranger.code(), Some("TRANSACTION_NOT_FOUND"), "{stranger:?}");
    cancelled(&app, &alice, &waiting).await;
    assert_eq!(status_of(&app, &intent).await, "canceled");
    assert_eq!(
        app.stripe.confirm(&intent, "pm_card_visa").await,
        400,
        "nobody can pay it any more"
    );

    let paid = app.deposited(&alice, &wallet, 3_000, "pm_card_visa").await;
    assert_too_late(
        &app.cancel(&alice, &paid).await,
        "it is completed; ask for a refund instead",
    );
    let declined = json!({ "amount": "25.00", "stripePaymentMethodId": "pm_card_chargeDeclined" });
    let declined = id_of(&app.deposit(&alice, &wallet, declined).await.data());
    app.failed(&alice, &declined).await;
    assert_too_late(&app.cancel(&alice, &declined).await, "it has failed already");
    let (reviewed, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    app.stripe
        .control(
            &format!("payment_intents/{intent}/receive"),
            json!({ "amount": 2_000 }),
        )
        .await;
    app.at_stage(&reviewed, "in_review").await;
    assert_too_late(&app.cancel(&alice, &reviewed).await, "the money is on its way");
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_cancelled_in_the_moment_in_which_its_intent_is_made_is_cancelled_at_stripe_too() {
    let app = TestApp::with_workers(3).await;
    let (alice, wallet) = app.owner(0).await;
    let (app_, alice_, wallet_) = (&app, &alice, &wallet);
    let ids: Vec<String> = stream::iter(0..16)
        .map(|n| async move {
            let deposit = app_.deposit(alice_, wallet_, json!({ "amount": "25.00" })).await;
            let id = id_of(&deposit.data());
            // From before the call to after it was recorded.
            tokio::time::sleep(Duration::from_millis(5 * n)).await;
            let _ = app_.cancel(alice_, &id).await.data();
            id
        })
        .buffered(4)
        .collect()
        .await;
    for id in &ids {
        let open = "wallet_transactions WHERE status IN ('pending', 'processing')";
        app.hurry_until("every deposit to end", TimeDelta::seconds(5), async || {
            app.db.count(open).await == 0
        })
        .await;
        assert_eq!(app.transaction(&alice, id).await["status"], "CANCELLED");
    }
    let intents = app.stripe.get("/v1/payment_intents?limit=100").await;
    for intent in intents["data"].as_array().unwrap() {
        assert_eq!(intent["status"], "canceled");
    }
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelling_that_waits_for_the_intent_looks_often_and_uses_up_no_attempts() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    // Each intent is made, and no answer says so.
    app.stripe
        .fault(json!({ "operation": "payment_intents.create", "outcome": "drop_after" }))
        .await;
    // Nor does an event, which would end the waiting.
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let id = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    eventually("a call without an answer", async || {
        app.stripe.fault_hits().await[0] > 0
    })
    .await;
    let _ = app.cancel(&alice, &id).await.data();
    // The cancelling looks so often that there is hardly a moment at which nobody is at work; a leap that is shorter than a lease disturbs
    // nobody.
    let waits = "SELECT coalesce(bool_and(run_at > $1 AND lease_until IS NULL), false) FROM jobs WHERE kind = 'deposit_intent'";
    eventually("more such calls", async || {
        if app.stripe.fault_hits().await[0] > 5 {
            return true;
        }
        if app.db.value(waits, &[&app.clock.now()]).await {
            app.advance(TimeDelta::seconds(5)).await;
        }
        false
    })
    .await;
    let soon = app.clock.now() + TimeDelta::seconds(16);
    let late = "SELECT count(*) FROM jobs WHERE kind = 'cancel' AND (attempts > 1 OR run_at > $1)";
    let late: i64 = app.db.value(late, &[&soon]).await;
    assert_eq!((app.db.count("jobs WHERE kind = 'cancel'").await, late), (1, 0));
    app.stripe.clear_faults().await;
    app.hurry_until("the end", TimeDelta::seconds(16), async || {
        app.transaction(&alice, &id).await["status"] == "CANCELLED"
    })
    .await;
    let intents = app.stripe.get("/v1/payment_intents?limit=100").await;
    for intent in intents["data"].as_array().unwrap() {
        assert_eq!(intent["status"], "canceled");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_is_cancelled_while_nothing_was_sent_and_refused_at_every_later_stage() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "outcome": "balance_insufficient" }))
        .await;
    let withdraw = async || {
        let input = json!({ "amount": "40.00" });
        id_of(&app.withdraw(&alice, &wallet, input).await.data())
    };
    let held = withdraw().await;
    app.told(&alice, &held, "not available at the payment provider yet")
        .await;
    assert_eq!(app.balances(&alice, &wallet).await, (6_000, 4_000));
    cancelled(&app, &alice, &held).await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    assert_eq!(app.stripe.effects_of(&held, "transfer.create").await, 0);
    app.stripe.clear_faults().await;

    app.stripe
        .fault(json!({ "operation": "payouts.create", "outcome": "balance_insufficient" }))
        .await;
    let sent = withdraw().await;
    app.at_stage(&sent, "transferred").await;
    assert_too_late(&app.cancel(&alice, &sent).await, "the money is on its way");
    app.stripe.clear_faults().await;
    app.hurry_until("the payout", TimeDelta::seconds(61), async || {
        app.transaction(&alice, &sent).await["timeline"]
            .to_string()
            .contains("po_")
    })
    .await;
    app.at_stage(&sent, "paying_out").await;
    assert_too_late(&app.cancel(&alice, &sent).await, "the money is on its way");
    let payout = app.stripe_id(&sent, "stripe_payout_id").await;
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "paid" }))
        .await;
    app.completed(&alice, &sent).await;
    assert_too_late(&app.cancel(&alice, &sent).await, "it is completed");
    assert_eq!(app.balances(&alice, &wallet).await, (6_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_in_one_step_and_what_stripe_told_of_cannot_be_taken_back() {
    let app = TestApp::start().await;
    app.stripe
        .settings(json!({ "refund_pending_ms": 3_600_000 }))
        .await;
    let (alice, wallet) = app.owner(10_000).await;
    let (bob, his) = app.owner(0).await;
    let transfer = app.send(&alice, &wallet, &his, 1_000).await;
    app.completed(&alice, &transfer).await;
    assert_too_late(&app.cancel(&alice, &transfer).await, "it is completed");
    let input = json!({ "toWalletId": his, "amount": "20.00" });
    let payment = id_of(&app.pay(&alice, &wallet, input).await.data());
    app.completed(&alice, &payment).await;
    assert_too_late(
        &app.cancel(&alice, &payment).await,
        "it is completed; ask for a refund instead",
    );
    let refund = id_of(&app.refund(&bob, &payment, json!({})).await.data());
    app.completed(&bob, &refund).await;
    assert_too_late(&app.cancel(&bob, &refund).await, "it is completed");
    let of_payee = app.cancel(&bob, &payment).await;
    assert_eq!(of_payee.code(), Some("FORBIDDEN"), "{of_payee:?}");
    assert_eq!(
        of_payee.message(),
        "only the person who asked for a transaction, or an operator, may cancel it"
    );

    let deposit = app
        .deposited(&alice, &wallet, 5_000, "pm_card_pendingRefund")
        .await;
    let to_card = id_of(
        &app.refund(&alice, &deposit, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    app.at_stage(&to_card, "refunding").await;
    assert_too_late(&app.cancel(&alice, &to_card).await, "the money is on its way");
    let object = app.stripe_id(&to_card, "stripe_refund_id").await;
    app.stripe
        .control(&format!("refunds/{object}"), json!({ "status": "succeeded" }))
        .await;
    app.completed(&alice, &to_card).await;
    let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
    let dispute = app
        .stripe
        .control("disputes", json!({ "payment_intent": intent, "amount": 4_000 }))
        .await;
    let disputed = "SELECT id::text FROM wallet_transactions WHERE flow = 'dispute' AND stage = 'disputed'";
    eventually("the dispute", async || {
        !app.db.rows(disputed, &[]).await.is_empty()
    })
    .await;
    let ours: String = app.db.value(disputed, &[]).await;
    assert_too_late(&app.cancel(&alice, &ours).await, "the money is on its way");
    app.stripe
        .control(
            &format!("disputes/{}", id_of(&dispute)),
            json!({ "status": "lost" }),
        )
        .await;
    app.completed(&alice, &ours).await;
    assert_eq!(app.balances(&alice, &wallet).await, (9_000, 0));
    assert_eq!(app.balances(&bob, &his).await, (1_000, 0));
    app.finish().await;
}

/// While a bank debit is under way Stripe cancels nothing (<https://docs.stripe.com/api/payment_intents/cancel>); when the bank does not pay,
/// the intent waits for another payment method.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_asked_for_while_a_bank_debit_is_under_way_is_carried_out_when_the_bank_does_not_pay()
{
    // By the payer's client or by the server; told by an event, or found out.
    for (by_payer, told) in [(true, true), (true, false), (false, true)] {
        let app = TestApp::start().await;
        app.stripe.settings(json!({ "bank_debit_ms": 345_600_000 })).await;
        let (alice, wallet) = app.owner(0).await;
        let method = "pm_usBankAccount_insufficientFunds";
        let mut input = json!({ "amount": "40.00", "paymentMethod": "BANK_TRANSFER" });
        if !by_payer {
            input["stripePaymentMethodId"] = json!(method);
        }
        let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
        app.at_stage(&id, "awaiting_payment").await;
        let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
        if by_payer {
            app.stripe.confirm(&intent, method).await;
        }
        assert_eq!(status_of(&app, &intent).await, "processing");
        let _ = app.cancel(&alice, &id).await.data();
        app.told(
            &alice,
            &id,
            "it is cancelled as soon as the payment provider allows it",
        )
        .await;
        app.at_rest().await;
        assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
        if !told {
            let drop = json!({ "event": "payment_intent.*", "drop": true });
            app.stripe.webhook_fault(drop).await;
        }
        app.advance(TimeDelta::days(4)).await;
        app.hurry_until("it to be cancelled", TimeDelta::hours(1), async || {
            app.transaction(&alice, &id).await["status"] == "CANCELLED"
        })
        .await;
        let ended = app.transaction(&alice, &id).await;
        let reason = ended["failureReason"].as_str().unwrap();
        assert!(reason.starts_with("CANCELLED_BY_OWNER: "), "{ended:#}");
        assert_eq!(
            status_of(&app, &intent).await,
            "canceled",
            "nobody can pay it any more"
        );
        assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
        app.finish().await;
    }
}

/// Requested repeatedly, by whomever, it is one cancellation: one job, one line, one audit record, and Stripe is not asked again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_asked_for_again_and_again_is_one_wish() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "bank_debit_ms": 345_600_000 })).await;
    let operator = User::with_role(Role::Operator);
    // The first wish counts, whoever repeats it.
    for (first, again, code) in [
        ("owner", &operator, "CANCELLED_BY_OWNER: "),
        ("operator", &operator, "CANCELLED_BY_OPERATOR: "),
    ] {
        let (alice, wallet) = app.owner(0).await;
        let first = if first == "owner" { &alice } else { &operator };
        let input = json!({ "amount": "40.00", "paymentMethod": "BANK_TRANSFER" });
        let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
        app.at_stage(&id, "awaiting_payment").await;
        let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
        app.stripe
            .confirm(&intent, "pm_usBankAccount_insufficientFunds")
            .await;
        let _ = app.cancel(first, &id).await.data();
        app.told(&alice, &id, "it is cancelled as soon as").await;
        app.at_rest().await;
        let kept = async || {
            let lines = app.transaction(&alice, &id).await["timeline"]
                .as_array()
                .unwrap()
                .len();
            let audited =
                "SELECT count(*) FROM audit_log WHERE action = 'cancel' AND $1 = ANY(transaction_ids)";
            let audited: i64 = app.db.value(audited, &[&uuid(&id)]).await;
            let asked = app.stripe.fault_hits().await;
            (lines, audited, app.db.count("jobs").await, asked)
        };
        // What concerns the payment; of other things a worker asks by the clock.
        let payments = json!({ "path": "/v1/payment_intents*", "outcome": "normal" });
        app.stripe.fault(payments).await;
        let before = kept().await;
        assert_eq!(before.1, 1);
        for by in std::iter::repeat_n([&alice, again], 20).flatten() {
            assert_eq!(app.cancel(by, &id).await.data()["status"], "PROCESSING");
        }
        stream::iter(0..20)
            .for_each_concurrent(None, async |_| drop(app.cancel(&alice, &id).await.data()))
            .await;
        app.at_rest().await;
        assert_eq!(kept().await, before);
        app.stripe.clear_faults().await;
        app.advance(TimeDelta::days(4)).await;
        let ended = app.ended(&alice, &id).await;
        let reason = ended["failureReason"].as_str().unwrap();
        assert!(reason.starts_with(code), "{ended:#}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_pays_after_a_cancellation_was_asked_for_has_paid() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "bank_debit_ms": 345_600_000 })).await;
    let (alice, wallet) = app.owner(0).await;
    let input = json!({ "amount": "40.00", "paymentMethod": "BANK_TRANSFER" });
    let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
    app.at_stage(&id, "awaiting_payment").await;
    let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
    app.stripe.confirm(&intent, "pm_usBankAccount_success").await;
    let _ = app.cancel(&alice, &id).await.data();
    app.told(&alice, &id, "it is cancelled as soon as").await;
    app.advance(TimeDelta::days(4)).await;
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (4_000, 0));
    app.finish().await;
}

/// The timeline says who cancelled: an operator is not the owner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_cancels_is_not_cancelled_by_its_owner() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let operator = User::with_role(Role::Operator);
    for (by, code) in [
        (&operator, "CANCELLED_BY_OPERATOR: "),
        (&alice, "CANCELLED_BY_OWNER: "),
    ] {
        let (id, _) = awaiting(&app, &alice, &wallet, "10.00").await;
        let _ = app.cancel(by, &id).await.data();
        let ended = app.ended(&alice, &id).await;
        let reason = ended["failureReason"].as_str().unwrap();
        assert!(reason.starts_with(code), "{reason}");
    }
    app.finish().await;
}
