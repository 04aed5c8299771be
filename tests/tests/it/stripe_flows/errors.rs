//! What to try again: for each class of error, how a withdrawal ends whose transfer met it, what its owner reads and what Stripe did.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::{TestApp, User, eventually};

/// How a withdrawal ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Paid, by this attempt.
    Paid(i32),
    /// Failed with this code.
    Failed(&'static str),
    /// Held, until an operator decides.
    Parked,
}

const UNKNOWN: &str = "the payment provider has not confirmed the outcome yet";
const BUSY: &str = "the payment provider is busy";
const FUNDS: &str = "the funds are not available at the payment provider yet";
const AWAY: &str = "the payment provider cannot be reached";
const FORBIDDEN: &str = "the payment provider does not allow this to us";
const FORBIDDEN_ACCOUNT: &str = "the payment provider does not let us use the payout account";
const SUPPORT: &str = "support has been told and will look at it";
const REFUSED: &str = "the payment provider refused the request";

/// Class, outcome of the first request for the transfer, what the owner reads, the end.
const TABLE: &[(&str, &str, &str, End)] = &[
    (
        "network: the request is lost",
        "drop_before",
        UNKNOWN,
        End::Paid(1),
    ),
    ("network: the answer is lost", "drop_after", UNKNOWN, End::Paid(1)),
    ("409 idempotency_key_in_use", "key_in_use", UNKNOWN, End::Paid(1)),
    ("429 rate_limit", "rate_limit", BUSY, End::Paid(1)),
    ("429 lock_timeout", "lock_timeout", BUSY, End::Paid(1)),
    ("424 external dependency", "error_424", UNKNOWN, End::Paid(1)),
    ("500 that is not kept", "error_500_unsaved", UNKNOWN, End::Paid(1)),
    ("503", "error_503", UNKNOWN, End::Paid(1)),
    (
        "500 that is replayed, without effect",
        "error_500",
        UNKNOWN,
        End::Paid(2),
    ),
    (
        "500 that is replayed, after the effect",
        "error_500_after_effect",
        UNKNOWN,
        End::Paid(1),
    ),
    (
        "400 balance_insufficient",
        "balance_insufficient",
        FUNDS,
        End::Paid(2),
    ),
    ("400 other", "error_400", REFUSED, End::Failed("STRIPE_REFUSED")),
    ("400 idempotency_error", "idempotency_error", SUPPORT, End::Parked),
    ("404", "error_404", SUPPORT, End::Parked),
    ("401", "error_401", AWAY, End::Paid(1)),
    ("401 api_key_expired", "error_401_expired", AWAY, End::Paid(1)),
    ("403 of a restricted key", "error_403", FORBIDDEN, End::Paid(1)),
    (
        "403 of an account",
        "error_403_account",
        FORBIDDEN_ACCOUNT,
        End::Paid(1),
    ),
];

async fn withdrawn(app: &TestApp, user: &User, wallet: &str) -> String {
    id_of(
        &app.withdraw(user, wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    )
}

/// How a withdrawal has ended, if it has.
async fn end_of(app: &TestApp, user: &User, id: &str) -> Option<End> {
    let row = app.transaction(user, id).await;
    let one = async |sql: &str| -> Option<i32> { app.db.value(sql, &[&uuid(id)]).await };
    match row["status"].as_str() {
        Some("COMPLETED") => {
            let made = "SELECT max(attempt) FROM stripe_calls WHERE operation = 'transfer' AND subject_id = $1 AND outcome = 'succeeded'";
            one(made).await.map(End::Paid)
        }
        Some("FAILED") => {
            let reason = row["failureReason"].as_str().unwrap();
            let word = reason.split_once(": ").unwrap().0.to_owned();
            Some(End::Failed(word.leak()))
        }
        _ => {
            let parked = "SELECT max(attempts) FROM jobs WHERE transaction_id = $1 AND parked_at IS NOT NULL";
            one(parked).await.map(|_| End::Parked)
        }
    }
}

/// Network, 409, 429, 424, 5xx: the same key until there is an answer. `balance_insufficient`: later, under a new attempt. Another
/// 400: failed, and the money is back. `idempotency_error`, 404: an operator, with the money held. 401: all wait. 403: only this one is tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_class_of_error_comes_to_its_own_end() {
    let app = TestApp::start().await;
    let mut refusals_of_key = 0;
    for &(class, outcome, told, end) in TABLE {
        let (alice, wallet) = app.payee(1_000).await;
        app.stripe
            .fault(json!({ "operation": "transfers.create", "nth": 1, "outcome": outcome }))
            .await;
        let id = withdrawn(&app, &alice, &wallet).await;
        app.hurry_until(class, TimeDelta::seconds(61), async || {
            end_of(&app, &alice, &id).await.is_some()
        })
        .await;
        assert_eq!(end_of(&app, &alice, &id).await, Some(end), "{class}");
        app.told(&alice, &id, told).await;
        assert_eq!(app.stripe.fault_hits().await, [1], "{class}");
        app.stripe.clear_faults().await;
        if told == AWAY {
            // Each has its alarm, which is over before the next one: two at once are one.
            refusals_of_key += 1;
            eventually("the alarm about the key to come and go", async || {
                app.db
                    .count("alarms WHERE kind = 'stripe_key_refused' AND closed_at IS NOT NULL")
                    .await
                    == refusals_of_key
            })
            .await;
        }
        let (transfers, left) = match end {
            End::Paid(_) => (1, (0, 0)),
            End::Failed(_) => (0, (1_000, 0)),
            End::Parked => (0, (0, 1_000)),
        };
        assert_eq!(
            app.stripe.effects_of(&id, "transfer.create").await,
            transfers,
            "{class}"
        );
        assert_eq!(app.balances(&alice, &wallet).await, left, "{class}");
        let sent = "SELECT count(DISTINCT attempt) FROM stripe_calls WHERE operation = 'transfer' AND subject_id = $1";
        let attempts = if let End::Paid(attempt) = end {
            i64::from(attempt)
        } else {
            1
        };
        assert_eq!(
            app.db.value::<i64>(sent, &[&uuid(&id)]).await,
            attempts,
            "{class}"
        );
    }
    app.finish_with(Leftovers {
        alarms: &[
            "job_parked",
            "job_parked",
            "stripe_key_refused",
            "stripe_key_refused",
        ],
        parked: 2,
    })
    .await;
}

/// The same for money on its way in: nobody is charged twice, and what is refused is reported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_meets_the_same_errors_and_ends_alike() {
    let app = TestApp::start().await;
    let input = json!({ "amount": "10.00", "stripePaymentMethodId": "pm_card_visa" });
    for (outcome, told, status, payments) in [
        ("drop_after", UNKNOWN, "COMPLETED", 1),
        ("key_in_use", UNKNOWN, "COMPLETED", 1),
        ("rate_limit", BUSY, "COMPLETED", 1),
        ("error_424", UNKNOWN, "COMPLETED", 1),
        ("error_403", FORBIDDEN, "COMPLETED", 1),
        ("error_400", REFUSED, "FAILED", 0),
    ] {
        let (alice, wallet) = app.owner(0).await;
        app.stripe
            .fault(json!({ "operation": "payment_intents.create", "nth": 1, "outcome": outcome }))
            .await;
        let id = id_of(&app.deposit(&alice, &wallet, input.clone()).await.data());
        app.hurry_until(outcome, TimeDelta::seconds(61), async || {
            app.transaction(&alice, &id).await["status"] == status
        })
        .await;
        app.told(&alice, &id, told).await;
        app.stripe.clear_faults().await;
        assert_eq!(
            app.stripe.effects_of(&id, "payment_intent.succeed").await,
            payments,
            "{outcome}"
        );
        let credited = 1_000 * i64::try_from(payments).unwrap();
        assert_eq!(app.balances(&alice, &wallet).await, (credited, 0), "{outcome}");
    }
    app.finish().await;
}

/// 429: the whole lane slows down, and nothing fails because of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_429_pauses_everybody_who_calls_and_fails_nobody() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(12_000).await;
    app.stripe.fault(json!({ "outcome": "rate_limit" })).await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(withdrawn(&app, &alice, &wallet).await);
    }
    eventually("the lane to be paused", async || {
        let paused = "transaction_events WHERE message LIKE '%waiting until it answers again'";
        app.db.count(paused).await > 0
    })
    .await;
    assert_eq!(
        app.db.count("wallet_transactions WHERE status = 'failed'").await,
        0
    );
    app.stripe.clear_faults().await;
    app.hurry_until("all of them to be paid", TimeDelta::seconds(61), async || {
        app.db
            .count("wallet_transactions WHERE transaction_type = 'withdrawal' AND status = 'completed'")
            .await
            == 12
    })
    .await;
    assert_eq!(app.stripe.effects("transfer.create").await.len(), 12);
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish().await;
}

/// When the attempts are used up an alarm is raised; what may have happened is not undone, nor done again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_budget_calls_a_person_and_leaves_the_money_held() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(1_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "outcome": "drop_after" }))
        .await;
    let id = withdrawn(&app, &alice, &wallet).await;
    app.told(&alice, &id, UNKNOWN).await;
    app.db
        .execute(
            "UPDATE jobs SET attempts = 99, fence = 99 WHERE kind = 'withdrawal_transfer'",
            &[],
        )
        .await;
    app.hurry_until("a person to be called", TimeDelta::seconds(61), async || {
        end_of(&app, &alice, &id).await == Some(End::Parked)
    })
    .await;
    app.told(&alice, &id, SUPPORT).await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 1_000));
    assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 1);
    app.finish_with(Leftovers {
        alarms: &["job_parked"],
        parked: 1,
    })
    .await;
}
