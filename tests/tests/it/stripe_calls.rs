//! Calls to Stripe that fail in every way: whatever happens to the answer, the effect happens once.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use wallet_core::clock::Clock;
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::{TestApp, eventually};

use crate::flows::{begin, begin_of, people};

/// Every call that creates something, as the simulator names it.
const CREATING: [&str; 5] = [
    "customers.create",
    "payment_intents.create",
    "transfers.create",
    "payouts.create",
    "reversals.create",
];

/// The story with the first request of each creating call hit by `outcome`.
async fn story_with(outcome: &str) {
    let app = TestApp::start().await;
    for operation in CREATING {
        app.stripe
            .fault(json!({ "operation": format!("*{operation}"), "nth": 1, "outcome": outcome }))
            .await;
    }
    let story = begin(&app).await;
    story.end(&app, TimeDelta::seconds(5)).await;
    assert_eq!(app.stripe.fault_hits().await, [1; 5], "each call was hit once");
    // A customer moves no money and cannot be looked up: after a stored 500 it is made once more, and the first recorded counts.
    let customers = if outcome == "error_500_after_effect" { 2 } else { 1 };
    assert_eq!(app.stripe.effects("customer.create").await.len(), customers);
    assert_eq!(
        app.db
            .count("stripe_calls WHERE error_code = 'idempotency_error'")
            .await,
        0,
        "a key never comes with other parameters"
    );
    app.finish().await;
}

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident = $outcome:literal;)+) => {
        $($(#[$doc])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            story_with($outcome).await;
        })+
    };
}

outcomes! {
    a_request_that_never_arrived_is_sent_again = "drop_before";
    an_answer_that_was_lost_after_the_effect_is_asked_for_again = "drop_after";
    too_many_requests_are_waited_out = "rate_limit";
    an_object_that_is_locked_is_waited_for = "lock_timeout";
    a_key_that_is_in_use_is_waited_for = "key_in_use";
    a_500_that_was_not_stored_is_sent_again = "error_500_unsaved";
    a_500_stored_without_effect_is_looked_up_and_made_anew = "error_500";
    a_500_stored_after_the_effect_is_looked_up_and_found = "error_500_after_effect";
    a_503_is_sent_again = "error_503";
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_never_answered_is_given_up_and_asked_for_again() {
    let app = TestApp::start().await;
    for operation in ["payment_intents.create", "transfers.create"] {
        app.stripe
            .fault(json!({ "operation": operation, "nth": 1, "outcome": "hang_after" }))
            .await;
    }
    let story = begin(&app).await;
    story.end(&app, TimeDelta::seconds(5)).await;
    app.finish().await;
}

/// Stripe's clock may be behind ours: what it lists since a moment is requested with a margin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_is_found_again_when_the_clock_of_stripe_is_behind_ours() {
    let app = TestApp::start().await;
    app.clock.advance(TimeDelta::seconds(20));
    let lost = json!({ "event": "*", "drop": true });
    app.stripe.control("webhook_faults", lost).await;
    let fault =
        json!({ "operation": "payment_intents.create", "nth": 1, "outcome": "error_500_after_effect" });
    app.stripe.fault(fault).await;
    let (alice, wallet) = app.owner(0).await;
    let amount = json!({ "amount": "10.00" });
    let id = id_of(&app.deposit(&alice, &wallet, amount).await.data());
    let waits = "SELECT stage = 'awaiting_payment' FROM wallet_transactions WHERE id = $1";
    app.hurry_until("the intent to be recorded", TimeDelta::seconds(5), async || {
        app.db.value(waits, &[&uuid(&id)]).await
    })
    .await;
    assert_eq!(app.stripe.effects_of(&id, "payment_intent.create").await, 1);
    app.abandon().await;
}

/// A key older than 23 hours is never sent again: Stripe has forgotten it, and would do everything again.
async fn a_key_grows_old(first: &str) {
    let app = TestApp::start().await;
    for operation in CREATING {
        let operation = format!("*{operation}");
        app.stripe
            .fault(json!({ "operation": operation, "times": 1, "outcome": first }))
            .await;
        app.stripe
            .fault(json!({ "operation": operation, "outcome": "rate_limit" }))
            .await;
    }
    let story = begin(&app).await;
    // One call after the other comes to its fault, waits, and grows old.
    for round in 0..20 {
        eventually("everybody to wait", async || {
            let waits = "SELECT count(*) = 0 OR bool_and(run_at > $1 AND lease_until IS NULL) FROM jobs WHERE parked_at IS NULL";
            app.db.value::<Option<bool>>(waits, &[&app.clock.now()]).await.unwrap_or(true)
        })
        .await;
        if app
            .db
            .count("wallet_transactions WHERE status IN ('pending', 'processing')")
            .await
            == 0
        {
            break;
        }
        assert!(round < 19, "the story does not end");
        app.advance(TimeDelta::hours(25)).await;
        app.stripe.end_waiting_faults().await;
    }
    story.end(&app, TimeDelta::hours(25)).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_stripe_has_forgotten_is_looked_up_and_its_effect_found() {
    a_key_grows_old("drop_after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_stripe_has_forgotten_is_looked_up_and_the_call_made_anew() {
    a_key_grows_old("drop_before").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_stripe_is_away_everything_waits_and_transfers_go_on() {
    let app = TestApp::start().await;
    let people = people(&app).await;
    app.stripe.fault(json!({ "outcome": "error_503" })).await;
    let story = begin_of(&app, people).await;
    app.completed(&story.alice, &story.transfer).await;
    eventually("the lane to be paused", async || {
        let told = app.transaction(&story.alice, &story.deposit).await["timeline"].to_string();
        told.contains("payment provider")
    })
    .await;
    for id in [&story.deposit, &story.paid] {
        let waiting = app.transaction(&story.alice, id).await["status"].clone();
        assert!(waiting == "PENDING" || waiting == "PROCESSING", "{waiting}");
    }
    app.stripe.clear_faults().await;
    story.end(&app, TimeDelta::seconds(30)).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_ten_minutes_without_stripe_all_that_waited_goes_on_by_itself() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(100_000).await;
    app.stripe.fault(json!({ "outcome": "error_503" })).await;
    let mut ids = Vec::new();
    for n in 0..20 {
        let deposit = json!({ "amount": "10.00", "stripePaymentMethodId": "pm_card_visa" });
        let answer = if n % 2 == 0 {
            app.deposit(&alice, &wallet, deposit).await
        } else {
            app.withdraw(&alice, &wallet, json!({ "amount": "10.00" })).await
        };
        ids.push(id_of(&answer.data()));
    }
    for _ in 0..60 {
        app.advance(TimeDelta::seconds(10)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eventually("every owner to be told why", async || {
        let told = "SELECT count(DISTINCT transaction_id) FROM transaction_events WHERE message LIKE 'the payment provider %'";
        app.db.value::<i64>(told, &[]).await == 20
    })
    .await;
    let said = "SELECT string_agg(message, ' | ') FROM transaction_events WHERE kind = 'waiting'
        GROUP BY transaction_id ORDER BY count(*) DESC LIMIT 1";
    let most: String = app.db.value(said, &[]).await;
    let mut lines: Vec<&str> = most.split(" | ").collect();
    assert!(
        lines.len() <= 2,
        "an answer that did not come, and the wait until there is one: {most}"
    );
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(
        lines.len(),
        most.split(" | ").count(),
        "each is told once, however often it is tried: {most}"
    );
    assert_eq!(
        app.db.count("wallet_transactions WHERE status = 'failed'").await,
        0
    );
    let spent = "SELECT max(attempts) FROM jobs";
    assert!(
        app.db.value::<Option<i32>>(spent, &[]).await.unwrap_or_default() < 20,
        "an outage uses up no attempts"
    );
    app.stripe.clear_faults().await;
    // No clock is moved any more: what still waits was expedited.
    for id in &ids {
        app.completed(&alice, id).await;
    }
    assert_eq!(app.balances(&alice, &wallet).await, (100_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_stripe_does_not_accept_fails_nobody() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("STRIPE_SECRET_KEY", "sk_test_anotherKeyThatIsWrong")]);
    let story = begin(&app).await;
    app.completed(&story.alice, &story.transfer).await;
    eventually("the first calls to be refused", async || {
        app.db.count("jobs WHERE last_error IS NOT NULL").await >= 1
    })
    .await;
    assert_eq!(
        app.db.count("wallet_transactions WHERE status = 'failed'").await,
        0
    );
    assert_eq!(app.db.count("jobs WHERE parked_at IS NOT NULL").await, 0);
    app.stop_workers().await;
    app.start_worker();
    story.end(&app, TimeDelta::seconds(30)).await;
    app.finish_with(Leftovers {
        alarms: &["stripe_key_refused"],
        ..Leftovers::default()
    })
    .await;
}
