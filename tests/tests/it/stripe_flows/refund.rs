//! A refund of a deposit: it may wait, fail, and fail after it had succeeded, and it brings nothing back that was sent on.

use chrono::TimeDelta;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use wallet_tests::app::{Options, id_of};
use wallet_tests::{Answer, TestApp, User, eventually};

use super::{event, understood};

async fn refunded(app: &TestApp, user: &User, deposit: &str, amount: &str) -> String {
    let input = json!({ "amount": amount });
    id_of(&app.refund(user, deposit, input).await.data())
}

async fn refund_becomes(app: &TestApp, refund: &str, to: Value) {
    let object = app.stripe_id(refund, "stripe_refund_id").await;
    app.stripe.control(&format!("refunds/{object}"), to).await;
}

/// Bullet "Σ(non-failed) ≤ captured, checked under the row lock" (hyperswitch #13182), for a deposit and so at Stripe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_parallel_refunds_of_sixty_on_a_deposit_of_a_hundred_one_succeeds() {
    let app = TestApp::with_workers(2).await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    // More than enough for all: only what is left of the deposit counts.
    app.plant(&wallet, 1_000_000).await;
    let (app_, alice_, deposit_) = (&app, &alice, &deposit);
    // Ten at a time: more is for a machine that has nothing else to do.
    let answers: Vec<Answer> = stream::iter(0..100)
        .map(|_| app_.refund(alice_, deposit_, json!({ "amount": "60.00" })))
        .buffer_unordered(10)
        .collect()
        .await;
    let mut completed = 0;
    for answer in answers {
        if let Some(code) = answer.code() {
            assert_eq!(code, "INVALID_STATE", "{answer:?}");
            continue;
        }
        let ended = app.ended(&alice, &id_of(&answer.data())).await;
        if ended["status"] == "COMPLETED" {
            completed += 1;
        } else {
            let reason = ended["failureReason"].as_str().unwrap();
            assert!(reason.starts_with("REFUND_EXCEEDS_ORIGINAL: "), "{reason}");
        }
    }
    assert_eq!(completed, 1);
    assert_eq!(app.stripe.effects("refund.create").await.len(), 1);
    assert_eq!(app.balances(&alice, &wallet).await, (1_004_000, 0));
    app.finish().await;
}

/// Bullet "a succeeded refund can later fail", and "Σ(non-failed)": a refund that came back no longer counts, so the amount can be refunded again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_failed_days_after_it_had_succeeded_can_be_asked_for_again() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let refund = refunded(&app, &alice, &deposit, "60.00").await;
    app.completed(&alice, &refund).await;
    app.at_rest().await;
    app.advance(TimeDelta::days(10)).await;
    let failed = json!({ "status": "failed", "failure_reason": "expired_or_canceled_card" });
    refund_becomes(&app, &refund, failed).await;
    let back = id_of(&app.relative(&alice, &refund).await);
    app.completed(&alice, &back).await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    let too_much = app.refund(&alice, &deposit, json!({ "amount": "100.01" })).await;
    assert_eq!(too_much.code(), Some("INVALID_STATE"), "{too_much:?}");
    // Without an amount all that is left: all of it.
    let all = id_of(&app.refund(&alice, &deposit, json!({})).await.data());
    assert_eq!(app.completed(&alice, &all).await["amount"], "100.00");
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    let nothing = app.refund(&alice, &deposit, json!({})).await;
    assert_eq!(nothing.code(), Some("INVALID_STATE"), "{nothing:?}");
    app.finish().await;
}

/// Bullet "negative Stripe balance: the refund stays pending while the UI says done" (woocommerce-payments #5986, client-stripe #1523).
/// Here it is done when Stripe says so; until then its owner reads what it waits for, and the money is held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_for_insufficient_funds_is_not_done_until_stripe_has_paid() {
    let app = TestApp::with(Options {
        opening: 0,
        ..Options::default()
    })
    .await;
    // What comes in is not available for two days.
    app.stripe
        .settings(json!({ "card_pending_ms": 172_800_000 }))
        .await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let refund = refunded(&app, &alice, &deposit, "100.00").await;
    let waiting = app
        .told(
            &alice,
            &refund,
            "the refund waits for funds at the payment provider",
        )
        .await;
    assert_eq!(waiting["status"], "PROCESSING");
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 10_000));
    app.advance(TimeDelta::days(2)).await;
    app.completed(&alice, &refund).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    assert_eq!(app.stripe.effects_of(&refund, "refund.create").await, 1);
    app.finish().await;
}

/// Row "`charge.refunded` and `charge.refund.updated` are older twins": reported by both families, in any order, a refund is booked once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_twins_of_refund_events_book_nothing_twice() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let refund = refunded(&app, &alice, &deposit, "30.00").await;
    app.completed(&alice, &refund).await;
    let object = app.stripe_id(&refund, "stripe_refund_id").await;
    let twins = async |round: &str| {
        for (n, (kind, of)) in [
            ("charge.refunded", json!({ "id": "ch_1twin", "object": "charge" })),
            (
                "charge.refund.updated",
                json!({ "id": object, "object": "refund" }),
            ),
            ("refund.updated", json!({ "id": object, "object": "refund" })),
            ("refund.created", json!({ "id": object, "object": "refund" })),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("evt_1{round}{n}");
            assert_eq!(app.deliver_signed(&event(&name, kind, of)).await, 200);
            understood(&app, &name, "processed").await;
        }
    };
    twins("succeeded").await;
    assert_eq!(app.balances(&alice, &wallet).await, (7_000, 0));
    refund_becomes(&app, &refund, json!({ "status": "failed" })).await;
    let back = id_of(&app.relative(&alice, &refund).await);
    app.completed(&alice, &back).await;
    twins("failed").await;
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    assert_eq!(
        app.db
            .count("wallet_transactions WHERE flow = 'refund_return'")
            .await,
        1
    );
    app.finish().await;
}

/// Bullet "a refund of a charge whose money was transferred does not pull back the transfer": GOV.UK Pay #1792 reversed first, #1809 took
/// that back because the platform's account was in debt. Here what is no longer in the wallet is not refunded, and nobody's money is
/// touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_of_money_that_was_sent_on_is_refused_and_pulls_nothing_back() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(0).await;
    let (bob, his) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    let sent = app.send(&alice, &wallet, &his, 3_000).await;
    app.completed(&alice, &sent).await;
    let input = json!({ "amount": "40.00" });
    let paid_out = id_of(&app.withdraw(&alice, &wallet, input).await.data());
    app.completed(&alice, &paid_out).await;
    let refused = app.refund(&alice, &deposit, json!({ "amount": "30.01" })).await;
    assert_eq!(refused.code(), Some("INSUFFICIENT_FUNDS"), "{refused:?}");
    let rest = refunded(&app, &alice, &deposit, "30.00").await;
    app.completed(&alice, &rest).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    assert_eq!(app.balances(&bob, &his).await, (3_000, 0));
    assert_eq!(
        app.stripe.effects_of(&paid_out, "transfer_reversal.create").await,
        0
    );
    app.finish().await;
}

/// Bullet "freeze the wallet first, call Stripe, post on success": a refund that Stripe refuses releases what was held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_is_frozen_first_and_given_back_when_stripe_refuses() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    app.stripe
        .fault(
            json!({ "operation": "refunds.create", "times": 1, "outcome": "error_400", "latency_ms": 1_000 }),
        )
        .await;
    let refund = refunded(&app, &alice, &deposit, "60.00").await;
    eventually("the refund to be sent", async || {
        app.stripe.fault_hits().await == [1]
    })
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (4_000, 6_000));
    let failed = app.failed(&alice, &refund).await;
    let reason = failed["failureReason"].as_str().unwrap();
    assert!(reason.starts_with("REFUND_FAILED: "), "{reason}");
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    assert_eq!(app.stripe.effects("refund.create").await.len(), 0);
    app.finish().await;
}

/// Bullet "reconcile by listing refunds before any retry" (ai-shifu #2901): once Stripe has forgotten the key, sending it again would
/// refund once more. The payment's refunds are listed instead: one that exists counts, and only if none exists is one requested.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_are_listed_before_one_whose_key_is_forgotten_is_asked_for_again() {
    for first in ["drop_after", "drop_before"] {
        let app = TestApp::start().await;
        let (alice, wallet) = app.owner(0).await;
        let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
        // Another refund of the same payment, which must not be taken for this one.
        let other = refunded(&app, &alice, &deposit, "30.00").await;
        app.completed(&alice, &other).await;
        app.stripe
            .webhook_fault(json!({ "event": "*refund*", "drop": true }))
            .await;
        app.stripe
            .fault(json!({ "operation": "refunds.create", "times": 1, "outcome": first }))
            .await;
        app.stripe
            .fault(json!({ "operation": "refunds.create", "outcome": "rate_limit" }))
            .await;
        let refund = refunded(&app, &alice, &deposit, "30.00").await;
        app.told(&alice, &refund, "has not confirmed the outcome yet")
            .await;
        assert_eq!(app.balances(&alice, &wallet).await, (4_000, 3_000), "{first}");
        app.advance(TimeDelta::hours(25)).await;
        app.stripe.clear_faults().await;
        app.hurry_until("the refund to end", TimeDelta::seconds(61), async || {
            app.transaction(&alice, &refund).await["status"] == "COMPLETED"
        })
        .await;
        assert_eq!(
            app.stripe.effects_of(&refund, "refund.create").await,
            1,
            "{first}"
        );
        assert_eq!(app.balances(&alice, &wallet).await, (4_000, 0));
        app.finish().await;
    }
}
