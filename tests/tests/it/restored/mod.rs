//! After a restore the database knows nothing of calls that were made since the backup; Stripe remembers keys for a day, and objects for ever.

mod payouts;
mod refunds;
mod sent_twice;

use chrono::TimeDelta;
use serde_json::json;
use wallet_core::clock::Clock as _;
use wallet_tests::app::{id_of, uuid};
use wallet_tests::programs::run;
use wallet_tests::{TestApp, User, eventually};

async fn money_out(app: &TestApp, what: &[&str]) {
    let args: Vec<&str> = std::iter::once("money-out").chain(what.iter().copied()).collect();
    let done = run("wallet-worker", &args, &app.variables).await;
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// What the lost database had sent for a withdrawal.
async fn sent_by_lost_books(app: &TestApp, wallet: &str, withdrawal: &str) -> String {
    let account = app.account_of(wallet).await;
    let params = [
        ("amount", "5000"),
        ("currency", "usd"),
        ("destination", account.as_str()),
        ("transfer_group", withdrawal),
        ("metadata[transaction_id]", withdrawal),
        ("metadata[wallet_id]", wallet),
    ];
    id_of(&app.stripe.form("/v1/transfers", &params).await)
}

/// Reverses a whole transfer of 50.00, as in the dashboard.
async fn taken_back(app: &TestApp, transfer: &str) {
    app.stripe
        .form(
            &format!("/v1/transfers/{transfer}/reversals"),
            &[("amount", "5000")],
        )
        .await;
}

/// A withdrawal of 50.00 that is held, as the backup has it.
async fn held(app: &TestApp) -> (User, String, String) {
    let (ada, wallet) = app.payee(10_000).await;
    money_out(app, &["stop", "--reason", "a backup is restored"]).await;
    let input = json!({ "amount": "50.00" });
    let id = id_of(&app.withdraw(&ada, &wallet, input).await.data());
    app.at_stage(&id, "held").await;
    (ada, wallet, id)
}

async fn ends_with(app: &TestApp, ada: &User, id: &str, sent: &str) {
    app.hurry_until("the withdrawal to end", TimeDelta::minutes(10), async || {
        app.transaction(ada, id).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.stripe.effects_of(id, "transfer.create").await, 1);
    assert_eq!(app.stripe_id(id, "stripe_transfer_id").await, sent);
}

/// Restored a day after its transfer, as if it had been held since, a withdrawal sends nothing a second time. The look-up that comes first may fail,
/// and an attempt before may have been refused, then or again since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_after_the_backup_is_found_at_stripe_also_when_its_key_is_forgotten() {
    for (hours, was_refused) in [(25, ""), (24 * 20, ""), (25, "before"), (25, "again")] {
        let app = TestApp::start().await;
        let (ada, wallet, id) = held(&app).await;
        let sent_first = match was_refused {
            "again" => {
                let sent = sent_by_lost_books(&app, &wallet, &id).await;
                app.advance(TimeDelta::hours(hours)).await;
                Some(sent)
            }
            _ => None,
        };
        if !was_refused.is_empty() {
            let refused = "INSERT INTO stripe_calls (idempotency_key, operation, subject_id, attempt, outcome, tries, first_tried_at, error_code, created_at, updated_at)
                           VALUES ('transfer:' || ($1::uuid)::text || ':1', 'transfer', $1, 1, 'refused', 1, $2, 'balance_insufficient', $2, $2)";
            let now = app.clock.now();
            app.db.execute(refused, &[&uuid(&id), &now]).await;
        }
        let sent = match sent_first {
            Some(sent) => sent,
            None => {
                let sent = sent_by_lost_books(&app, &wallet, &id).await;
                app.advance(TimeDelta::hours(hours)).await;
                sent
            }
        };
        let fails = json!({ "operation": "transfers.list", "outcome": "error_500", "times": 2 });
        app.stripe.fault(fails).await;
        money_out(&app, &["start"]).await;
        ends_with(&app, &ada, &id, &sent).await;
        assert_eq!(app.balances(&ada, &wallet).await, (5_000, 0));
        app.abandon().await;
    }
}

/// What Stripe has paid is not returned to its wallet, whoever asks for that: its owner, an operator, or Stripe, which no longer pays the account out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_after_the_backup_is_not_given_back() {
    for way in ["cancelled", "deactivated", "disabled"] {
        let app = TestApp::start().await;
        let (ada, wallet, id) = held(&app).await;
        let sent = sent_by_lost_books(&app, &wallet, &id).await;
        match way {
            "cancelled" => {
                app.cancel(&ada, &id).await;
            }
            "deactivated" => {
                let args = ["wallets", "deactivate", &wallet, "--reason", "to be safe"];
                let done = run("wallet-worker", &args, &app.variables).await;
                assert_eq!(done.code, Some(0), "{done:?}");
            }
            _ => {
                let account = app.account_of(&wallet).await;
                let off = json!({ "payouts_enabled": false });
                app.stripe.control(&format!("accounts/{account}"), off).await;
                money_out(&app, &["start"]).await;
            }
        }
        app.hurry_until("the transfer to be found", TimeDelta::minutes(1), async || {
            let found = "stripe_calls WHERE operation = 'transfer' AND outcome = 'succeeded'";
            app.db.count(found).await == 1
        })
        .await;
        if way == "disabled" {
            let account = app.account_of(&wallet).await;
            let on = json!({ "payouts_enabled": true });
            app.stripe.control(&format!("accounts/{account}"), on).await;
        } else {
            app.hurry_until("the wish to be answered", TimeDelta::minutes(1), async || {
                app.db.count("jobs WHERE kind = 'cancel'").await == 0
            })
            .await;
            let args = ["wallets", "activate", &wallet, "--reason", "looked at"];
            run("wallet-worker", &args, &app.variables).await;
            money_out(&app, &["start"]).await;
        }
        ends_with(&app, &ada, &id, &sent).await;
        assert_eq!(app.balances(&ada, &wallet).await, (5_000, 0), "{way}");
        // Its payout can fail late: the account's events are read, and what it holds is compared.
        let paid = "stripe_accounts WHERE paid_at IS NOT NULL";
        assert_eq!(app.db.count(paid).await, 1, "{way}");
        app.abandon().await;
    }
}

/// A withdrawal that is not held yet here, and was sent by the lost database: it does not fail for lack of funds or because of its wallet as if nothing
/// had left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_after_the_backup_is_held_or_a_person_is_called() {
    for why in [
        "the wallet is not active",
        "the wallet has 20.00 usd of 50.00 usd",
    ] {
        let mut app = TestApp::start().await;
        let (ada, wallet) = app.payee(10_000).await;
        let (_, shop) = app.owner(0).await;
        app.stop_workers().await;
        let input = json!({ "amount": "50.00" });
        let id = id_of(&app.withdraw(&ada, &wallet, input).await.data());
        let sent = sent_by_lost_books(&app, &wallet, &id).await;
        let is_poor = why.contains("of");
        if is_poor {
            let spent = app.send(&ada, &wallet, &shop, 8_000).await;
            app.start_worker_with(&[("WORKER_QUEUES", "transfers")]);
            app.completed(&ada, &spent).await;
        } else {
            let args = ["wallets", "deactivate", &wallet, "--reason", "to be safe"];
            let done = run("wallet-worker", &args, &app.variables).await;
            assert_eq!(done.code, Some(0), "{done:?}");
        }
        app.start_worker();
        eventually("a person to be called", async || {
            let parked = format!(
                "jobs WHERE parked_at IS NOT NULL AND last_error LIKE '%sent before the backup was restored%{why}%'"
            );
            app.db.count(&parked).await == 1
        })
        .await;
        assert_eq!(app.transaction(&ada, &id).await["status"], "PENDING");
        if is_poor {
            app.deposited(&ada, &wallet, 3_000, "pm_card_visa").await;
        } else {
            let args = ["wallets", "activate", &wallet, "--reason", "looked at"];
            let done = run("wallet-worker", &args, &app.variables).await;
            assert_eq!(done.code, Some(0), "{done:?}");
        }
        let job: i64 = app
            .db
            .value("SELECT id FROM jobs WHERE parked_at IS NOT NULL", &[])
            .await;
        let args = ["requeue", &job.to_string(), "--reason", "it can be held"];
        let requeued = run("wallet-worker", &args, &app.variables).await;
        assert_eq!(requeued.code, Some(0), "{requeued:?}");
        ends_with(&app, &ada, &id, &sent).await;
        let left = if is_poor { 0 } else { 5_000 };
        assert_eq!(app.balances(&ada, &wallet).await, (left, 0));
        app.abandon().await;
    }
}

/// What the lost database had sent and reversed has left nothing: it is cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_and_taken_back_after_the_backup_can_be_cancelled() {
    let app = TestApp::start().await;
    let (ada, wallet, id) = held(&app).await;
    let sent = sent_by_lost_books(&app, &wallet, &id).await;
    taken_back(&app, &sent).await;
    app.cancel(&ada, &id).await;
    app.hurry_until("it to be cancelled", TimeDelta::minutes(1), async || {
        app.transaction(&ada, &id).await["status"] == "CANCELLED"
    })
    .await;
    assert_eq!(app.balances(&ada, &wallet).await, (10_000, 0));
    app.abandon().await;
}

/// What is to be reversed and is not yet, because its account lacks the money, has left
/// (<https://docs.stripe.com/connect/pending-transfer-reversals>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_after_the_backup_and_is_not_taken_back_yet_is_not_given_back() {
    let app = TestApp::start().await;
    let (ada, wallet, id) = held(&app).await;
    let sent = sent_by_lost_books(&app, &wallet, &id).await;
    taken_back(&app, &sent).await;
    let pending = json!({ "operation": "transfer_reversals.*", "answers": { "status": "pending" } });
    app.stripe.fault(pending).await;
    app.cancel(&ada, &id).await;
    app.hurry_until("the wish to be answered", TimeDelta::minutes(1), async || {
        app.db.count("jobs WHERE kind = 'cancel'").await == 0
    })
    .await;
    assert_eq!(app.transaction(&ada, &id).await["status"], "PROCESSING");
    let adopted: String = app
        .db
        .value(
            "SELECT stripe_object_id FROM stripe_calls WHERE operation = 'transfer'",
            &[],
        )
        .await;
    assert_eq!(adopted, sent);
    assert_eq!(app.balances(&ada, &wallet).await, (5_000, 5_000));
    app.abandon().await;
}

/// An alarm reports that Stripe has more than one object for a transaction.
async fn told_of_several(app: &TestApp, id: &str, other: &str) {
    let message: String = app
        .db
        .value(
            "SELECT message FROM alarms WHERE kind = 'made_twice' AND subject = $1",
            &[&id],
        )
        .await;
    assert!(message.contains(other), "{message}");
}

/// What a look-up finds, and was reversed at Stripe, is not paid out: other money may be on the account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_and_taken_back_after_the_backup_is_not_paid_out() {
    let app = TestApp::start().await;
    let (ada, wallet, id) = held(&app).await;
    let sent = sent_by_lost_books(&app, &wallet, &id).await;
    taken_back(&app, &sent).await;
    app.advance(TimeDelta::hours(25)).await;
    money_out(&app, &["start"]).await;
    app.hurry_until("the withdrawal to end", TimeDelta::minutes(10), async || {
        app.transaction(&ada, &id).await["status"] == "FAILED"
    })
    .await;
    assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 1);
    assert_eq!(app.stripe.effects_of(&id, "payout.create").await, 0);
    assert_eq!(app.balances(&ada, &wallet).await, (10_000, 0));
    app.abandon().await;
}

/// What was paid out is not returned, even if the transfer was reversed from the other money of its account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_out_and_then_taken_back_from_other_money_after_the_backup_is_paid() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (ada, wallet, id) = held(&app).await;
    let sent = sent_by_lost_books(&app, &wallet, &id).await;
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let paid = payouts::paid_out_by_lost_books(&app, &wallet, &id).await;
    let account = app.account_of(&wallet).await;
    let more = [
        ("amount", "5000"),
        ("currency", "usd"),
        ("destination", account.as_str()),
    ];
    app.stripe.form("/v1/transfers", &more).await;
    taken_back(&app, &sent).await;
    app.advance(TimeDelta::hours(25)).await;
    money_out(&app, &["start"]).await;
    app.at_stage(&id, "paying_out").await;
    assert_eq!(app.stripe_id(&id, "stripe_payout_id").await, paid);
    assert_eq!(app.stripe.effects_of(&id, "payout.create").await, 1);
    assert_eq!(app.balances(&ada, &wallet).await, (5_000, 5_000));
    app.abandon().await;
}

/// A withdrawal that was sent and cannot be held waits for an operator, who may also reverse the transfer: then it fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_held_and_was_taken_back_fails() {
    let mut app = TestApp::start().await;
    let (ada, wallet) = app.payee(10_000).await;
    app.stop_workers().await;
    let input = json!({ "amount": "50.00" });
    let id = id_of(&app.withdraw(&ada, &wallet, input).await.data());
    let sent = sent_by_lost_books(&app, &wallet, &id).await;
    let args = ["wallets", "deactivate", &wallet, "--reason", "to be safe"];
    let done = run("wallet-worker", &args, &app.variables).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    app.start_worker();
    eventually("a person to be called", async || {
        app.db.count("jobs WHERE parked_at IS NOT NULL").await == 1
    })
    .await;
    taken_back(&app, &sent).await;
    let job: i64 = app
        .db
        .value("SELECT id FROM jobs WHERE parked_at IS NOT NULL", &[])
        .await;
    let args = ["requeue", &job.to_string(), "--reason", "it is back"];
    let requeued = run("wallet-worker", &args, &app.variables).await;
    assert_eq!(requeued.code, Some(0), "{requeued:?}");
    let failed = app.failed(&ada, &id).await;
    let reason = failed["failureReason"].as_str().unwrap();
    assert!(reason.starts_with("WALLET_INACTIVE: "), "{reason}");
    assert_eq!(app.balances(&ada, &wallet).await, (10_000, 0));
    app.at_rest().await;
    app.abandon().await;
}

/// A card that was saved is charged once, even if the charge was made by the lost database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_card_that_was_charged_after_the_backup_is_not_charged_again() {
    let mut app = TestApp::start().await;
    let (ada, wallet) = app.owner(0).await;
    app.deposited(&ada, &wallet, 1_000, "pm_card_visa").await;
    app.at_rest().await;
    app.stop_workers().await;
    let input = json!({ "amount": "33.00", "stripePaymentMethodId": "pm_card_visa" });
    let id = id_of(&app.deposit(&ada, &wallet, input).await.data());
    let customer: String = app
        .db
        .value("SELECT stripe_customer_id::text FROM stripe_customers", &[])
        .await;
    let params = [
        ("amount", "3300"),
        ("currency", "usd"),
        ("customer", customer.as_str()),
        ("payment_method", "pm_card_visa"),
        ("confirm", "true"),
        ("off_session", "true"),
        ("metadata[transaction_id]", id.as_str()),
        ("metadata[wallet_id]", wallet.as_str()),
    ];
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let charged = id_of(&app.stripe.form("/v1/payment_intents", &params).await);
    app.advance(TimeDelta::hours(25)).await;
    app.start_worker();
    app.hurry_until("the deposit to end", TimeDelta::minutes(1), async || {
        app.transaction(&ada, &id).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.stripe_id(&id, "stripe_payment_intent_id").await, charged);
    assert_eq!(app.stripe.effects_of(&id, "payment_intent.create").await, 1);
    assert_eq!(app.balances(&ada, &wallet).await, (4_300, 0));
    app.abandon().await;
}

/// Stripe is asked whether anything was sent; while Stripe is unavailable the cancellation waits, and nothing is sent before it is carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_cancelled_is_not_sent_when_stripe_comes_back() {
    for is_withdrawal in [true, false] {
        let app = TestApp::start().await;
        let (alice, wallet) = app.payee(0).await;
        let deposit = app.deposited(&alice, &wallet, 5_000, "pm_card_visa").await;
        app.at_rest().await;
        let listing = if is_withdrawal {
            "transfers.list"
        } else {
            "refunds.list"
        };
        app.stripe
            .fault(json!({ "operation": listing, "outcome": "error_503" }))
            .await;
        let stop = ["money-out", "stop", "--reason", "a pause"];
        run("wallet-worker", &stop, &app.variables).await;
        let id = if is_withdrawal {
            id_of(
                &app.withdraw(&alice, &wallet, json!({ "amount": "20.00" }))
                    .await
                    .data(),
            )
        } else {
            id_of(
                &app.refund(&alice, &deposit, json!({ "amount": "20.00" }))
                    .await
                    .data(),
            )
        };
        app.at_stage(&id, "held").await;
        app.cancel(&alice, &id).await;
        eventually("Stripe to be asked", async || {
            app.stripe.fault_hits().await[0] > 0
        })
        .await;
        let start = ["money-out", "start"];
        run("wallet-worker", &start, &app.variables).await;
        app.hurry_until("the sender to wait", TimeDelta::seconds(30), async || {
            let waits = "jobs WHERE kind <> 'cancel' AND last_error IS NOT NULL";
            app.db.count(waits).await == 1
        })
        .await;
        app.stripe.clear_faults().await;
        app.hurry_until("it to be cancelled", TimeDelta::seconds(30), async || {
            app.transaction(&alice, &id).await["status"] == "CANCELLED"
        })
        .await;
        app.at_rest().await;
        let sent = if is_withdrawal {
            "transfer.create"
        } else {
            "refund.create"
        };
        assert_eq!(app.stripe.effects_of(&id, sent).await, 0);
        assert_eq!(app.balances(&alice, &wallet).await, (5_000, 0));
        app.finish().await;
    }
}
