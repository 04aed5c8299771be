//! Money in suspense, and what an operator decides about it.

use serde_json::json;
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::programs::{Ended, run};
use wallet_tests::{TestApp, User, eventually};

use crate::cancel::cancelled;
use crate::deposits::paid_at_stripe;

pub(crate) async fn review(app: &TestApp, args: &[&str]) -> Ended {
    let args: Vec<&str> = std::iter::once("review").chain(args.iter().copied()).collect();
    run("wallet-worker", &args, &app.variables).await
}

/// A deposit of 25.00 usd for which another amount arrived: our intent is not created, and one with our metadata is paid.
pub(crate) async fn in_review(app: &mut TestApp, minor: &str, currency: &str) -> (User, String, String) {
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let (alice, wallet) = app.owner(0).await;
    let input = json!({ "amount": "25.00" });
    let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
    paid_at_stripe(app, minor, currency, &id).await;
    app.at_stage(&id, "in_review").await;
    app.start_worker();
    app.at_rest().await;
    (alice, wallet, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_for_a_deposit_in_review_is_credited_once_when_an_operator_says_so() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, wallet, id) = in_review(&mut app, "9900", "usd").await;
    let listed = review(&app, &["list"]).await.out;
    assert!(listed.starts_with(&format!("{id}  99.00 usd since ")), "{listed}");
    assert!(
        listed.ends_with("deposit of 25.00 usd, in_review\n1 amounts in suspense\n"),
        "{listed}"
    );
    let close = [
        "close-alarm",
        "payment_mismatch",
        &id,
        "--reason",
        "seen",
        "--force",
    ];
    let refused = run("wallet-worker", &close, &app.variables).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused
            .err
            .contains("99.00 usd lies in suspense; `wallet-worker review credit"),
        "{refused:?}"
    );
    let alarm = "SELECT message FROM alarms WHERE kind = 'payment_mismatch'";
    let alarm: String = app.db.value(alarm, &[]).await;
    for command in ["credit", "return"] {
        let command = format!("`wallet-worker review {command} {id}`");
        assert!(alarm.contains(&command), "{alarm}");
    }
    assert!(!alarm.contains("support"), "who reads it decides: {alarm}");
    let closed = review(&app, &["close", &id, "--reason", "no patience"]).await;
    assert_eq!(closed.code, Some(1), "{closed:?}");
    for command in ["credit", "return"] {
        let command = format!("`wallet-worker review {command} {id}`");
        assert!(closed.err.contains(&command), "it can be given back: {closed:?}");
    }
    let credited = review(&app, &["credit", &id, "--reason", "the payer agrees"]).await;
    assert_eq!(credited.code, Some(0), "{credited:?}");
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (9_900, 0));
    let credited = app.transaction(&alice, &id).await;
    assert_eq!(credited["amount"], "99.00", "{credited:#}");
    let told = credited["timeline"].to_string();
    assert!(
        told.contains("support has decided: 99.00 usd credited of the 25.00 usd that were asked for"),
        "{told}"
    );
    let reason = "SELECT detail->>'reason' FROM audit_log WHERE action = 'credit_review'";
    assert_eq!(app.db.value::<String>(reason, &[]).await, "the payer agrees");
    app.at_rest().await;
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    let again = review(&app, &["credit", &id, "--reason", "again"]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("is completed, not in review"), "{}", again.err);
    assert_eq!(review(&app, &["list"]).await.out, "0 amounts in suspense\n");
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_in_another_currency_cannot_be_credited_and_the_operator_is_told_the_mend() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, wallet, id) = in_review(&mut app, "2500", "eur").await;
    for (transaction, words) in [
        (
            id.as_str(),
            "25.00 eur came in another currency than the wallet's: give it back by `wallet-worker review return`",
        ),
        (
            "01900000-0000-7000-8000-000000000001",
            "`wallet-worker review list` lists what is in suspense",
        ),
        ("tomorrow", "tomorrow is no transaction id"),
    ] {
        let refused = review(&app, &["credit", transaction, "--reason", "why not"]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains(words), "{}", refused.err);
    }
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}

/// What was credited is the amount: it is what the owner reads, what can be refunded, and what the history adds up to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_what_was_credited_by_review_can_be_refunded() {
    for (minor, shown) in [("1000", "10.00"), ("2499", "24.99"), ("9900", "99.00")] {
        let mut app = TestApp::with_workers(0).await;
        let (alice, wallet, id) = in_review(&mut app, minor, "usd").await;
        let credited = review(&app, &["credit", &id, "--reason", "the payer agrees"]).await;
        assert_eq!(credited.code, Some(0), "{credited:?}");
        let credited = app.completed(&alice, &id).await;
        assert_eq!(credited["amount"], shown, "{credited:#}");
        let more = app.refund(&alice, &id, json!({ "amount": "99.01" })).await;
        assert_eq!(more.code(), Some("INVALID_STATE"), "{more:?}");
        let all = id_of(&app.refund(&alice, &id, json!({})).await.data());
        assert_eq!(app.completed(&alice, &all).await["amount"], shown);
        assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
        app.finish_with(Leftovers {
            alarms: &["payment_mismatch"],
            ..Leftovers::default()
        })
        .await;
    }
}

/// A part of what lies in suspense is refunded in the dashboard: the rest waits for a decision, and either can be made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_partial_refund_the_rest_of_a_review_is_credited_or_refunded() {
    for (part, credits) in [(4_000, true), (1, true), (4_000, false)] {
        let mut app = TestApp::with_workers(0).await;
        let (alice, wallet, id) = in_review(&mut app, "9900", "usd").await;
        let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
        let refund = |amount| json!({ "payment_intent": intent, "amount": amount });
        app.stripe.control("refunds", refund(part)).await;
        app.told(&alice, &id, "refunded to the payer").await;
        app.at_stage(&id, "in_review").await;
        let rest = 9_900 - part;
        if credits {
            let done = review(&app, &["credit", &id, "--reason", "the rest is right"]).await;
            assert_eq!(done.code, Some(0), "{done:?}");
            app.completed(&alice, &id).await;
            assert_eq!(app.balances(&alice, &wallet).await, (rest, 0));
        } else {
            app.stripe.control("refunds", refund(rest)).await;
            app.failed(&alice, &id).await;
            assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
        }
        assert_eq!(review(&app, &["list"]).await.out, "0 amounts in suspense\n");
        app.at_rest().await;
        assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
        app.finish_with(Leftovers {
            alarms: &["payment_mismatch"],
            ..Leftovers::default()
        })
        .await;
    }
}

/// What lies in suspense, in cents of whatever currency.
async fn suspense(app: &TestApp) -> i64 {
    let sum = "SELECT coalesce(100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'platform:suspense'";
    app.db.value(sum, &[]).await
}

/// A deposit that its owner has cancelled, and that is still paid.
async fn paid_too_late(app: &TestApp, alice: &User, wallet: &str) -> String {
    let id = id_of(
        &app.deposit(alice, wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    cancelled(app, alice, &id).await;
    paid_at_stripe(app, "2500", "usd", &id).await;
    app.told(alice, &id, "was paid after the deposit had ended").await;
    app.at_rest().await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_came_after_its_deposit_had_ended_is_returned_by_an_operator_once_on_record() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("WORKER_QUEUES", "maintenance,webhooks")]);
    let (alice, wallet) = app.owner(1_000).await;
    let id = paid_too_late(&app, &alice, &wallet).await;
    assert_eq!(suspense(&app).await, 2_500);
    let blank = review(&app, &["return", &id, "--reason", " "]).await;
    assert_eq!(blank.code, Some(2), "a reason says something: {blank:?}");
    let args = ["return", &id, "--reason", "the payer asked for it", "--json"];
    let returned = review(&app, &args).await;
    assert_eq!(returned.code, Some(0), "{returned:?}");
    let told: serde_json::Value = serde_json::from_str(&returned.out).unwrap();
    assert_eq!(told["transaction"], id);
    assert!(told["job"].is_i64(), "{told}");
    let ended = app.told(&alice, &id, "25.00 usd refunded to the payer").await;
    assert_eq!(ended["status"], "CANCELLED", "it stays as it ended");
    app.at_rest().await;
    assert_eq!(
        (suspense(&app).await, app.balances(&alice, &wallet).await),
        (0, (1_000, 0))
    );
    assert_eq!(app.stripe.effects("refund.create").await.len(), 1);
    let on_record = "audit_log WHERE action = 'return_review' AND detail->>'reason' = 'the payer asked for it' AND actor LIKE 'operator:%'";
    assert_eq!(app.db.count(on_record).await, 1);
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    let again = review(&app, &["return", &id, "--reason", "again"]).await;
    assert_eq!(again.code, Some(1));
    assert!(
        again.err.contains("not one amount lies in suspense"),
        "{}",
        again.err
    );
    let verified = run("wallet-worker", &["verify"], &app.variables).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
    app.finish_with(Leftovers {
        alarms: &["late_payment"],
        ..Leftovers::default()
    })
    .await;
}

/// Related cases: what is in review in another currency, a lost answer of Stripe's, and what was refunded in the dashboard in the meantime.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_review_is_returned_as_well_and_never_twice() {
    for fault in [None, Some("drop_after"), Some("error_500_after_effect")] {
        let mut app = TestApp::with_workers(0).await;
        let (alice, wallet, id) = in_review(&mut app, "2500", "eur").await;
        if let Some(outcome) = fault {
            app.stripe
                .fault(json!({ "operation": "refunds.create", "nth": 1, "outcome": outcome }))
                .await;
        }
        let returned = review(&app, &["return", &id, "--reason", "wrong currency"]).await;
        assert_eq!(returned.code, Some(0), "{fault:?}: {returned:?}");
        app.hurry_until("the end", chrono::TimeDelta::seconds(61), async || {
            app.transaction(&alice, &id).await["status"] == "FAILED"
        })
        .await;
        assert_eq!(suspense(&app).await, 0, "{fault:?}");
        assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
        assert_eq!(app.stripe.effects("refund.create").await.len(), 1, "{fault:?}");
        app.finish_with(Leftovers {
            alarms: &["payment_mismatch"],
            ..Leftovers::default()
        })
        .await;
    }
}

/// A deposit of 500.00 usd for which its payer sends 400.00, by a card that decides how a refund ends.
async fn paid_too_little(app: &mut TestApp, card: &str) -> (User, String, String, String) {
    app.start_worker();
    let (alice, wallet) = app.owner(0).await;
    let input = json!({ "amount": "500.00" });
    let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
    app.at_stage(&id, "awaiting_payment").await;
    let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
    let received = json!({ "amount": 40_000, "currency": "usd", "payment_method": card });
    app.stripe
        .control(&format!("payment_intents/{intent}/receive"), received)
        .await;
    app.at_stage(&id, "in_review").await;
    app.at_rest().await;
    (alice, wallet, id, intent)
}

/// The newest refund of a payment.
async fn refund_of(app: &TestApp, intent: &str) -> serde_json::Value {
    let listed = app
        .stripe
        .get(&format!("/v1/refunds?payment_intent={intent}"))
        .await;
    listed["data"][0].clone()
}

async fn becomes(app: &TestApp, refund: &str, status: &str) {
    app.stripe
        .control(&format!("refunds/{refund}"), json!({ "status": status }))
        .await;
}

const OPEN: &str = "alarms WHERE closed_at IS NULL";
const FAILED: &str = "alarms WHERE kind = 'return_failed' AND closed_at IS NULL";

/// A refund may fail after it had succeeded, or while it is pending (<https://docs.stripe.com/refunds#failed-refunds>): then the money is on
/// the platform's balance again, and an operator decides again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_whose_return_fails_lies_in_suspense_again_and_a_person_is_told_once() {
    for states in [["succeeded", "failed"].as_slice(), &["failed"], &["canceled"]] {
        let mut app = TestApp::with_workers(0).await;
        app.stripe
            .settings(json!({ "refund_pending_ms": 3_600_000 }))
            .await;
        let (alice, wallet, id, intent) = paid_too_little(&mut app, "pm_card_pendingRefund").await;
        app.stripe
            .webhook_fault(json!({ "event": "refund.*", "duplicate": 3 }))
            .await;
        let decided = review(&app, &["return", &id, "--reason", "not what was asked for"]).await;
        assert_eq!(decided.code, Some(0), "{decided:?}");
        app.told(&alice, &id, "400.00 usd is being returned to the payer")
            .await;
        let refund = id_of(&refund_of(&app, &intent).await);
        for state in states {
            becomes(&app, &refund, state).await;
            if *state == "succeeded" {
                app.told(&alice, &id, "400.00 usd refunded to the payer").await;
                assert_eq!(suspense(&app).await, 0);
                assert_eq!(app.db.count(OPEN).await, 0);
            }
        }
        app.told(&alice, &id, "did not reach the payer").await;
        app.at_rest().await;
        assert_eq!(suspense(&app).await, 40_000, "{states:?}");
        assert_eq!(app.db.count(FAILED).await, 1, "{states:?}");
        let timeline = app.transaction(&alice, &id).await["timeline"].to_string();
        assert_eq!(
            timeline.matches("did not reach the payer").count(),
            1,
            "{timeline}"
        );
        let listed = review(&app, &["list"]).await.out;
        assert!(listed.contains(&format!("{id}  400.00 usd since ")), "{listed}");
        let compared = run("wallet-worker", &["reconcile"], &app.variables).await;
        assert_eq!(compared.code, Some(0), "{states:?}: {compared:?}");
        // The operator has it returned once more, and it arrives.
        let again = review(&app, &["return", &id, "--reason", "another card"]).await;
        assert_eq!(again.code, Some(0), "{again:?}");
        app.at_rest().await;
        let second = id_of(&refund_of(&app, &intent).await);
        assert_ne!(second, refund);
        becomes(&app, &second, "succeeded").await;
        eventually("the alarms to be over", async || app.db.count(OPEN).await == 0).await;
        app.failed(&alice, &id).await;
        assert_eq!(
            (suspense(&app).await, app.balances(&alice, &wallet).await),
            (0, (0, 0))
        );
        app.finish_with(Leftovers {
            alarms: &["payment_mismatch", "return_failed"],
            ..Leftovers::default()
        })
        .await;
    }
}

/// A decision lasts until the refund is final, whoever has made it, and only one is made at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_credited_while_a_refund_of_it_is_pending() {
    for by_us in [true, false] {
        let mut app = TestApp::with_workers(0).await;
        app.stripe
            .settings(json!({ "refund_pending_ms": 3_600_000 }))
            .await;
        let (alice, wallet, id, intent) = paid_too_little(&mut app, "pm_card_pendingRefund").await;
        if by_us {
            let decided = review(&app, &["return", &id, "--reason", "a"]).await;
            assert_eq!(decided.code, Some(0), "{decided:?}");
        } else {
            app.stripe
                .control("refunds", json!({ "payment_intent": intent }))
                .await;
        }
        let told = app
            .told(&alice, &id, "400.00 usd is being returned to the payer")
            .await;
        assert_eq!(told["status"], "PROCESSING");
        app.at_rest().await;
        let refund = id_of(&refund_of(&app, &intent).await);
        let listed = review(&app, &["list"]).await.out;
        assert!(
            listed.contains(&format!("{id}  being returned to its payer by {refund} since ")),
            "{listed}"
        );
        assert!(listed.ends_with("\n1 refunds on their way\n"), "{listed}");
        for wish in ["credit", "return"] {
            let refused = review(&app, &[wish, &id, "--reason", "b"]).await;
            assert_eq!(refused.code, Some(1), "{wish}: {refused:?}");
            assert!(refused.err.contains(&refund), "{wish}: {refused:?}");
        }
        assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
        becomes(&app, &refund, "succeeded").await;
        app.failed(&alice, &id).await;
        assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
        assert_eq!(app.stripe.effects("refund.create").await.len(), 1);
        assert_eq!(review(&app, &["list"]).await.out, "0 amounts in suspense\n");
        app.finish_with(Leftovers {
            alarms: &["payment_mismatch"],
            ..Leftovers::default()
        })
        .await;
    }
}

/// A refund made by others whose event has not come yet is asked for before anything is credited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_nobody_has_told_of_yet_is_found_before_anything_is_credited() {
    let mut app = TestApp::with_workers(0).await;
    app.stripe
        .settings(json!({ "refund_pending_ms": 3_600_000 }))
        .await;
    let (alice, wallet, id, intent) = paid_too_little(&mut app, "pm_card_pendingRefund").await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    app.stripe
        .control("refunds", json!({ "payment_intent": intent }))
        .await;
    let decided = review(&app, &["credit", &id, "--reason", "it is right"]).await;
    assert_eq!(decided.code, Some(0), "{decided:?}");
    eventually("the job to be parked", async || {
        app.db
            .count(
                "alarms WHERE kind = 'job_parked' AND message LIKE '%a refund of the payment is under way%'",
            )
            .await
            == 1
    })
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.abandon().await;
}

/// Of two operators with contrary decisions the second is told of the first; a decision whose job is parked makes way for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contrary_decision_is_refused_while_one_is_carried_out_and_takes_the_place_of_a_parked_one() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, wallet, id) = in_review(&mut app, "9900", "usd").await;
    app.stop_workers().await;
    let first = review(&app, &["credit", &id, "--reason", "the payer agrees"]).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    let same = review(&app, &["credit", &id, "--reason", "so do I"]).await;
    assert!(
        same.code == Some(0) && same.out.contains("carried out already"),
        "{same:?}"
    );
    let contrary = review(&app, &["return", &id, "--reason", "the payer does not"]).await;
    assert_eq!(contrary.code, Some(1), "{contrary:?}");
    assert!(
        contrary.err.contains("another decision") && contrary.err.contains("credit_review"),
        "{contrary:?}"
    );
    app.db
        .execute(
            "UPDATE jobs SET parked_at = now() WHERE kind = 'credit_review'",
            &[],
        )
        .await;
    let instead = review(&app, &["return", &id, "--reason", "the payer does not"]).await;
    assert_eq!(instead.code, Some(0), "{instead:?}");
    let kinds = "SELECT string_agg(kind, ',') FROM jobs WHERE unique_key LIKE 'review:%'";
    assert_eq!(app.db.value::<String>(kinds, &[]).await, "return_review");
    app.start_worker();
    app.failed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish_with(Leftovers {
        alarms: &["payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}
