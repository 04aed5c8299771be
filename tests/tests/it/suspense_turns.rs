//! What is decided about money in suspense can be reversed later: a refund fails, a bank decides again, Stripe corrects itself.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::{Leftovers, id_of};
use wallet_tests::programs::run;
use wallet_tests::{TestApp, User, eventually};

use crate::deposits::paid_at_stripe;
use crate::suspense_ends::{decided, gone, suspended};

/// A deposit of so much for which another amount arrived, in review.
async fn in_review(app: &mut TestApp, asked: &str, paid: &str, lies: &str) -> (User, String, String, String) {
    // Else its own intent might be made first, and then the payment is not its.
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let (ada, wallet) = app.owner(0).await;
    let id = id_of(
        &app.deposit(&ada, &wallet, json!({ "amount": asked }))
            .await
            .data(),
    );
    let intent = paid_at_stripe(app, paid, "usd", &id).await;
    app.hurry_until(
        "the money to be in suspense",
        TimeDelta::seconds(10),
        async || suspended(app, &id).await == [lies],
    )
    .await;
    app.at_stage(&id, "in_review").await;
    app.start_worker();
    app.at_rest().await;
    (ada, wallet, id, intent)
}

/// The answer to the refund is lost, and its webhook books it. The call is still repeated: otherwise it would not be known later that the refund
/// that fails is the one that was decided (<https://docs.stripe.com/refunds#failed-refunds>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_return_whose_answer_was_lost_lies_in_suspense_again_when_it_fails() {
    let mut app = TestApp::with_workers(0).await;
    let (_, _, id, _) = in_review(&mut app, "25.00", "2000", "20 usd").await;
    app.stripe
        .fault(json!({ "operation": "refunds.create", "nth": 1, "outcome": "drop_after" }))
        .await;
    decided(&app, "return", &id).await;
    gone(&app, &id).await;
    app.hurry_until("the call to be cleared up", TimeDelta::minutes(2), async || {
        let made = "stripe_calls WHERE operation = 'refund' AND outcome = 'succeeded'";
        app.db.count(made).await == 1
    })
    .await;
    app.at_rest().await;
    let refund: String = app
        .db
        .value(
            "SELECT external_id::text FROM external_refs WHERE kind = 'refund'",
            &[],
        )
        .await;
    let failed = json!({ "status": "failed", "failure_reason": "expired_or_canceled_card" });
    app.stripe.control(&format!("refunds/{refund}"), failed).await;
    eventually("it to lie there again", async || {
        suspended(&app, &id).await == ["20 usd"]
    })
    .await;
    let told = "alarms WHERE kind = 'return_failed' AND closed_at IS NULL";
    assert_eq!(app.db.count(told).await, 1);
    decided(&app, "return", &id).await;
    gone(&app, &id).await;
    assert_eq!(app.stripe.effects_of(&id, "refund.create").await, 2);
    app.abandon().await;
}

/// A dispute was lost while its payment was in review, and what was left was credited. Reported again it changes nothing; when it is reversed
/// (<https://docs.stripe.com/disputes/how-disputes-work>), what comes back is the wallet's, and what is taken again is taken from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dispute_took_in_review_is_the_wallets_when_it_comes_back_after_the_credit() {
    let mut app = TestApp::with_workers(0).await;
    let (ada, wallet, id, intent) = in_review(&mut app, "90.00", "10000", "100 usd").await;
    let what = json!({ "payment_intent": intent, "amount": 4_000 });
    let dispute = id_of(&app.stripe.control("disputes", what).await);
    eventually("the part to be taken", async || {
        suspended(&app, &id).await == ["60 usd"]
    })
    .await;
    let decision = format!("disputes/{dispute}");
    app.stripe.control(&decision, json!({ "status": "lost" })).await;
    eventually("the decision to be told", async || {
        app.db
            .count("stripe_events WHERE type = 'charge.dispute.closed' AND state = 'processed'")
            .await
            == 1
    })
    .await;
    decided(&app, "credit", &id).await;
    app.completed(&ada, &id).await;
    assert_eq!(app.balances(&ada, &wallet).await, (6_000, 0));
    let args = [
        "replay-events",
        "--type",
        "charge.dispute.*",
        "--reason",
        "to be sure",
    ];
    let replayed = run("wallet-worker", &args, &app.variables).await;
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    app.at_rest().await;
    let disputes = "wallet_transactions WHERE flow IN ('dispute', 'dispute_return', 'dispute_loss')";
    assert_eq!(app.db.count(disputes).await, 0, "it was settled in review");
    for (status, balance) in [("won", 10_000), ("lost", 6_000)] {
        app.stripe.control(&decision, json!({ "status": status })).await;
        eventually("the turn to be booked", async || {
            app.balances(&ada, &wallet).await == (balance, 0)
        })
        .await;
        app.at_rest().await;
        assert!(suspended(&app, &id).await.is_empty(), "{status}");
    }
    app.abandon().await;
}

/// What a dispute returned beyond what it took belongs to nobody: Stripe takes it back, or an operator makes it the platform's. The wallet pays
/// nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dispute_gave_back_too_much_ends_without_the_wallet() {
    for is_corrected in [true, false] {
        let app = TestApp::start().await;
        let (ada, wallet) = app.owner(0).await;
        let deposit = app.deposited(&ada, &wallet, 10_000, "pm_card_visa").await;
        let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
        let what = json!({ "payment_intent": intent, "amount": 4_000 });
        let dispute = id_of(&app.stripe.control("disputes", what).await);
        let ours = id_of(&app.relative(&ada, &deposit).await);
        app.at_stage(&ours, "disputed").await;
        let funds = format!("disputes/{dispute}/funds");
        app.stripe.control(&funds, json!({ "amount": 4_300 })).await;
        let won = json!({ "status": "won", "funds": false });
        app.stripe.control(&format!("disputes/{dispute}"), won).await;
        eventually("the surplus to lie in suspense", async || {
            suspended(&app, &ours).await == ["3 usd"]
        })
        .await;
        app.at_rest().await;
        assert_eq!(app.balances(&ada, &wallet).await, (10_000, 0));
        for what in ["return", "credit"] {
            let args = ["review", what, &ours, "--reason", "looked at"];
            let refused = run("wallet-worker", &args, &app.variables).await;
            assert_eq!(refused.code, Some(1), "{what}: {refused:?}");
            assert!(refused.err.contains("review close"), "{what}: {refused:?}");
        }
        if is_corrected {
            app.stripe.control(&funds, json!({ "amount": -300 })).await;
        } else {
            decided(&app, "close", &ours).await;
        }
        gone(&app, &ours).await;
        assert_eq!(app.balances(&ada, &wallet).await, (10_000, 0));
        let later = "wallet_transactions WHERE flow IN ('dispute_return', 'dispute_loss', 'outside_refund')";
        assert_eq!(app.db.count(later).await, 0);
        let open = "alarms WHERE closed_at IS NULL";
        assert_eq!(app.db.count(open).await, 0, "nobody has to look any more");
        app.finish_with(Leftovers {
            alarms: &["dispute_differs"],
            ..Leftovers::default()
        })
        .await;
    }
}
