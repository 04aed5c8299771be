//! How disputes end: by the net of their movements, whatever their status says (<https://docs.stripe.com/api/disputes/object>).

use chrono::TimeDelta;
use serde_json::{Value, json};
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::programs::run;
use wallet_tests::{TestApp, User, eventually};

use crate::suspense_ends::suspended;

/// A deposit of 50.00 that is disputed with this order: the wallet's owner, the wallet, the deposit, the Stripe object and our transaction.
async fn disputed(app: &TestApp, order: Value) -> (User, String, String, String, String) {
    let (alice, wallet) = app.owner(0).await;
    let deposit = app.deposited(&alice, &wallet, 5_000, "pm_card_visa").await;
    let (dispute, ours) = another(app, &alice, &deposit, order).await;
    (alice, wallet, deposit, dispute, ours)
}

async fn another(app: &TestApp, user: &User, deposit: &str, mut order: Value) -> (String, String) {
    let intent = app.stripe_id(deposit, "stripe_payment_intent_id").await;
    order["payment_intent"] = json!(intent);
    let dispute = id_of(&app.stripe.control("disputes", order).await);
    let find = format!("SELECT id::text FROM wallet_transactions WHERE stripe_dispute_id = '{dispute}'");
    eventually("the dispute's transaction", async || {
        !app.db.rows(&find, &[]).await.is_empty()
    })
    .await;
    let ours: String = app.db.value(&find, &[]).await;
    assert_eq!(
        app.transaction(user, &ours).await["relatedTransactionId"],
        deposit
    );
    (dispute, ours)
}

async fn decided(app: &TestApp, dispute: &str, order: Value) {
    app.stripe.control(&format!("disputes/{dispute}"), order).await;
}

async fn moved(app: &TestApp, dispute: &str, amount: i64) {
    app.stripe
        .control(&format!("disputes/{dispute}/funds"), json!({ "amount": amount }))
        .await;
}

/// The receivable amount, in cents.
async fn receivable(app: &TestApp) -> i64 {
    let sum = "SELECT coalesce(-100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'platform:receivable'";
    app.db.value(sum, &[]).await
}

/// The amounts and directions of the transactions that relate to one, oldest first.
async fn turns(app: &TestApp, user: &User, of: &str) -> Vec<(String, String, String)> {
    let ids =
        "SELECT id::text FROM wallet_transactions WHERE related_transaction_id = $1::text::uuid ORDER BY id";
    let mut turns = Vec::new();
    for row in app.db.rows(ids, &[&of]).await {
        let turn = app.transaction(user, &row.get::<_, String>(0)).await;
        let text = |field: &str| turn[field].as_str().unwrap().to_owned();
        turns.push((text("amount"), text("direction"), text("status")));
    }
    turns
}

fn turn(amount: &str, direction: &str) -> (String, String, String) {
    (amount.to_owned(), direction.to_owned(), "COMPLETED".to_owned())
}

/// Rapid resolution credits the payer before there is a dispute: `prevented`, with the money gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prevented_dispute_that_took_the_money_is_paid_by_the_wallet() {
    for (order, left) in [
        (json!({ "status": "prevented" }), 0),
        (json!({ "status": "prevented", "amount": 4_999 }), 1),
        (json!({ "status": "prevented", "amount": 1_200 }), 3_800),
    ] {
        let app = TestApp::start().await;
        let (alice, wallet, _, _, ours) = disputed(&app, order).await;
        app.completed(&alice, &ours).await;
        assert_eq!(app.balances(&alice, &wallet).await, (left, 0));
        assert_eq!(receivable(&app).await, 0);
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prevented_dispute_that_took_nothing_leaves_the_wallet_as_it_was() {
    let app = TestApp::start().await;
    let order = json!({ "status": "prevented", "funds": false });
    let (alice, wallet, _, _, ours) = disputed(&app, order).await;
    let ended = app.ended(&alice, &ours).await;
    assert_eq!(ended["status"], "CANCELLED", "{ended:#}");
    assert_eq!(app.balances(&alice, &wallet).await, (5_000, 0));
    app.finish().await;
}

/// Won, and the money is not back: it is held and waited for; when it comes, all is as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_won_dispute_is_held_until_its_money_is_back() {
    let app = TestApp::start().await;
    let (alice, wallet, _, dispute, ours) = disputed(&app, json!({})).await;
    app.at_stage(&ours, "disputed").await;
    decided(&app, &dispute, json!({ "status": "won", "funds": false })).await;
    app.told(&alice, &ours, "waiting for the money to come back")
        .await;
    assert_eq!(app.balances(&alice, &wallet).await, (0, 5_000));
    moved(&app, &dispute, 5_000).await;
    let ended = app.ended(&alice, &ours).await;
    assert_eq!(ended["status"], "CANCELLED", "{ended:#}");
    assert_eq!(app.balances(&alice, &wallet).await, (5_000, 0));
    assert_eq!(receivable(&app).await, 0);
    app.advance(TimeDelta::hours(2)).await;
    app.finish().await;
}

/// The same, and the money never comes: after an hour the movements decide, and an alarm is raised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_won_dispute_whose_money_stays_away_ends_by_its_movements_with_an_alarm() {
    for (back, loss) in [(0, 5_000), (4_500, 500), (1, 4_999)] {
        let app = TestApp::start().await;
        let (alice, wallet, _, dispute, ours) = disputed(&app, json!({})).await;
        app.at_stage(&ours, "disputed").await;
        if back > 0 {
            moved(&app, &dispute, back).await;
        }
        decided(&app, &dispute, json!({ "status": "won", "funds": false })).await;
        app.told(&alice, &ours, "waiting for the money to come back")
            .await;
        app.hurry_until("the dispute to end", TimeDelta::minutes(20), async || {
            app.transaction(&alice, &ours).await["status"] == "COMPLETED"
        })
        .await;
        assert_eq!(app.balances(&alice, &wallet).await, (5_000 - loss, 0));
        assert_eq!(receivable(&app).await, 0);
        // It comes after all: a transaction of its own.
        moved(&app, &dispute, loss).await;
        eventually("the money to be back", async || {
            app.balances(&alice, &wallet).await == (5_000, 0)
        })
        .await;
        let back = format!("{}.{:02}", loss / 100, loss % 100);
        assert_eq!(turns(&app, &alice, &ours).await, [turn(&back, "IN")]);
        app.finish_with(Leftovers {
            alarms: &["dispute_differs"],
            ..Leftovers::default()
        })
        .await;
    }
}

/// Lost, and no movement shows that anything was taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_lost_without_any_movement_takes_nothing_and_is_told_to_a_person() {
    for order in [
        json!({ "funds": false }),
        json!({ "status": "warning_needs_response" }),
        json!({ "status": "under_review", "funds": false, "amount": 3_000 }),
    ] {
        let app = TestApp::start().await;
        let (alice, wallet, _, dispute, ours) = disputed(&app, order).await;
        decided(&app, &dispute, json!({ "status": "lost", "funds": false })).await;
        app.told(&alice, &ours, "waiting for what is taken").await;
        app.hurry_until("the dispute to end", TimeDelta::minutes(20), async || {
            app.transaction(&alice, &ours).await["status"] == "CANCELLED"
        })
        .await;
        assert_eq!(app.balances(&alice, &wallet).await, (5_000, 0));
        // The movement comes after all.
        moved(&app, &dispute, -3_000).await;
        eventually("the money to be taken", async || {
            app.balances(&alice, &wallet).await == (2_000, 0)
        })
        .await;
        assert_eq!(turns(&app, &alice, &ours).await, [turn("30.00", "OUT")]);
        assert_eq!(receivable(&app).await, 0);
        app.finish_with(Leftovers {
            alarms: &["dispute_differs"],
            ..Leftovers::default()
        })
        .await;
    }
}

/// More came back than was taken: it lies in suspense, and its alarm is not closed by mistake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_about_a_dispute_is_not_closed_while_its_money_lies_in_suspense() {
    let app = TestApp::start().await;
    let (alice, wallet, _, dispute, ours) = disputed(&app, json!({})).await;
    app.at_stage(&ours, "disputed").await;
    moved(&app, &dispute, 6_000).await;
    decided(&app, &dispute, json!({ "status": "won", "funds": false })).await;
    app.ended(&alice, &ours).await;
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (5_000, 0));
    assert_eq!(suspended(&app, &ours).await, ["10 usd"]);
    for force in [&[] as &[&str], &["--force"]] {
        let close = ["close-alarm", "dispute_differs", &ours, "--reason", "seen"];
        let refused = run("wallet-worker", &[&close, force].concat(), &app.variables).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.err.contains("10.00 usd lies in suspense") && refused.err.contains("review close"),
            "{refused:?}"
        );
    }
    let close = ["review", "close", &ours, "--reason", "Stripe says it is ours"];
    let closed = run("wallet-worker", &close, &app.variables).await;
    assert_eq!(closed.code, Some(0), "{closed:?}");
    app.at_rest().await;
    assert!(suspended(&app, &ours).await.is_empty());
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    app.abandon().await;
}

/// An inquiry closed with movements, and one that moves after it was closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_inquiry_ends_by_its_movements_and_what_moves_after_that_is_followed() {
    let app = TestApp::start().await;
    let inquiry = json!({ "status": "warning_needs_response" });
    let (alice, wallet, _, dispute, ours) = disputed(&app, inquiry.clone()).await;
    decided(&app, &dispute, json!({ "status": "warning_closed" })).await;
    app.ended(&alice, &ours).await;
    moved(&app, &dispute, -2_000).await;
    eventually("the money to be taken", async || {
        app.balances(&alice, &wallet).await == (3_000, 0)
    })
    .await;
    let second = app.deposited(&alice, &wallet, 7_000, "pm_card_visa").await;
    let (dispute, ours) = another(&app, &alice, &second, inquiry).await;
    moved(&app, &dispute, -2_500).await;
    decided(&app, &dispute, json!({ "status": "warning_closed" })).await;
    app.hurry_until("the inquiry to end", TimeDelta::minutes(20), async || {
        app.transaction(&alice, &ours).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.balances(&alice, &wallet).await, (7_500, 0));
    assert_eq!(receivable(&app).await, 0);
    app.finish_with(Leftovers {
        alarms: &["dispute_differs"],
        ..Leftovers::default()
    })
    .await;
}

/// A decision that is turned round, and round again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_turn_of_a_decision_is_a_transaction_of_its_own_and_the_money_follows() {
    let app = TestApp::start().await;
    let (alice, wallet, deposit, dispute, ours) = disputed(&app, json!({})).await;
    app.at_stage(&ours, "disputed").await;
    decided(&app, &dispute, json!({ "status": "lost" })).await;
    app.completed(&alice, &ours).await;
    for (n, (status, available)) in [("won", 5_000), ("lost", 0), ("won", 5_000)].iter().enumerate() {
        // Told twice and in any order, it counts once.
        app.stripe
            .webhook_fault(json!({ "event": "charge.dispute.*", "duplicate": 2, "reorder_ms": 50 }))
            .await;
        decided(&app, &dispute, json!({ "status": status })).await;
        eventually(&format!("turn {n}"), async || {
            app.balances(&alice, &wallet).await == (*available, 0)
        })
        .await;
        app.at_rest().await;
    }
    let expected = [turn("50.00", "IN"), turn("50.00", "OUT"), turn("50.00", "IN")];
    assert_eq!(turns(&app, &alice, &ours).await, expected);
    assert_eq!(app.transaction(&alice, &ours).await["status"], "COMPLETED");
    assert_eq!(receivable(&app).await, 0);
    // All of it is the wallet's again, so all of it can be refunded.
    let refund = id_of(&app.refund(&alice, &deposit, json!({})).await.data());
    assert_eq!(app.completed(&alice, &refund).await["amount"], "50.00");
    app.finish().await;
}

/// Stripe may give its fee back, or take it, by a movement of its own, before a turn or after one: it is the platform's, and nothing waits
/// behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fee_that_moves_alone_after_the_end_is_booked_and_holds_up_nothing() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "dispute_fee_returned": true })).await;
    let (alice, wallet, _, dispute, ours) = disputed(&app, json!({})).await;
    app.at_stage(&ours, "disputed").await;
    decided(&app, &dispute, json!({ "status": "lost" })).await;
    app.completed(&alice, &ours).await;
    moved(&app, &dispute, 5_000).await;
    decided(&app, &dispute, json!({ "status": "won" })).await;
    eventually("the money to be back", async || {
        app.balances(&alice, &wallet).await == (5_000, 0)
    })
    .await;
    moved(&app, &dispute, -4_000).await;
    decided(&app, &dispute, json!({ "status": "lost" })).await;
    eventually("the turn after the fee", async || {
        app.balances(&alice, &wallet).await == (1_000, 0)
    })
    .await;
    let fees = "SELECT coalesce(100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'stripe:fees' AND transaction_id = $1";
    let kept: i64 = app.db.value(fees, &[&uuid(&ours)]).await;
    assert_eq!(kept, 0, "what was taken as a fee came back");
    assert_eq!(app.db.count("jobs WHERE attempts > 1").await, 0);
    app.finish().await;
}

/// What is turned round when the wallet is empty is owed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_turn_takes_from_an_empty_wallet_is_owed_and_caught() {
    let app = TestApp::start().await;
    let (alice, wallet, _, dispute, ours) = disputed(&app, json!({})).await;
    app.at_stage(&ours, "disputed").await;
    decided(&app, &dispute, json!({ "status": "won" })).await;
    app.ended(&alice, &ours).await;
    let (_, other) = app.owner(0).await;
    let spent = app.send(&alice, &wallet, &other, 3_500).await;
    app.completed(&alice, &spent).await;
    decided(&app, &dispute, json!({ "status": "lost" })).await;
    eventually("the rest to be owed", async || app.owed(&wallet).await == 3_500).await;
    app.deposited(&alice, &wallet, 4_000, "pm_card_visa").await;
    assert_eq!(
        (app.balances(&alice, &wallet).await, app.owed(&wallet).await),
        ((500, 0), 0)
    );
    assert_eq!(receivable(&app).await, 0);
    app.finish().await;
}

/// Two disputes on one payment, each of a part, that end differently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_disputes_of_one_payment_end_each_for_itself() {
    let app = TestApp::start().await;
    let (alice, wallet, deposit, first, ours) = disputed(&app, json!({ "amount": 2_000 })).await;
    app.at_stage(&ours, "disputed").await;
    let (second, other) = another(&app, &alice, &deposit, json!({ "amount": 1_500 })).await;
    app.at_stage(&other, "disputed").await;
    assert_eq!(app.balances(&alice, &wallet).await, (1_500, 3_500));
    decided(&app, &first, json!({ "status": "lost" })).await;
    app.completed(&alice, &ours).await;
    decided(&app, &second, json!({ "status": "won" })).await;
    app.ended(&alice, &other).await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    assert_eq!(receivable(&app).await, 0);
    let too_much = app.refund(&alice, &deposit, json!({ "amount": "30.01" })).await;
    assert_eq!(too_much.code(), Some("INVALID_STATE"), "{too_much:?}");
    app.finish().await;
}

/// Automattic/woocommerce-payments #7960: during an inquiry no money has moved, so the payment can be refunded, and what was refunded is
/// not taken once more when the inquiry becomes a dispute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_refunded_during_an_inquiry() {
    for (status, refunded, next) in [
        ("warning_needs_response", "100.00", "warning_closed"),
        ("warning_needs_response", "40.00", "needs_response"),
        ("warning_under_review", "99.99", "lost"),
        ("warning_under_review", "100.00", "needs_response"),
    ] {
        let app = TestApp::start().await;
        let (alice, wallet) = app.owner(0).await;
        let deposit = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
        let (dispute, ours) = another(&app, &alice, &deposit, json!({ "status": status })).await;
        app.at_rest().await;
        let asked = app.refund(&alice, &deposit, json!({ "amount": refunded })).await;
        let refund = app.completed(&alice, &id_of(&asked.data())).await;
        assert_eq!(refund["amount"], refunded);
        let left = 10_000 - wallet_tests::money::cents(refunded);
        assert_eq!(app.balances(&alice, &wallet).await, (left, 0));
        decided(&app, &dispute, json!({ "status": next })).await;
        match next {
            "warning_closed" => assert_eq!(app.ended(&alice, &ours).await["status"], "CANCELLED"),
            "lost" => assert_eq!(app.completed(&alice, &ours).await["status"], "COMPLETED"),
            _ => {
                app.at_stage(&ours, "disputed").await;
                assert_eq!(app.balances(&alice, &wallet).await, (0, left));
                decided(&app, &dispute, json!({ "status": "lost" })).await;
                // Of what was refunded whole nothing is taken: that is waited for, and nobody has to look.
                app.hurry_until("the dispute to end", TimeDelta::minutes(20), async || {
                    app.transaction(&alice, &ours).await["status"] != "PROCESSING"
                })
                .await;
            }
        }
        let rest = if next == "warning_closed" { left } else { 0 };
        assert_eq!(app.balances(&alice, &wallet).await, (rest, 0));
        assert_eq!((app.owed(&wallet).await, receivable(&app).await), (0, 0));
        app.finish().await;
    }
}

/// A platform that settles in another currency than the deposit's: the conversion is not ours to guess, so what is disputed is held and a
/// person is told; the invariants hold meanwhile, so nobody else's money is stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_that_is_settled_in_another_currency_is_held_and_told_to_a_person() {
    for (next, held) in [("needs_response", 5_000), ("won", 5_000), ("lost", 5_000)] {
        let app = TestApp::start().await;
        let order = json!({ "status": "warning_needs_response" });
        let (alice, wallet, _, dispute, ours) = disputed(&app, order).await;
        let path = format!("disputes/{dispute}/funds");
        app.stripe
            .control(&path, json!({ "amount": -4_600, "currency": "eur" }))
            .await;
        decided(&app, &dispute, json!({ "status": next, "funds": false })).await;
        app.at_stage(&ours, "disputed").await;
        assert_eq!(app.balances(&alice, &wallet).await, (5_000 - held, held));
        let told = "alarms WHERE kind = 'event_parked' AND message LIKE '%moved money in eur%' AND closed_at IS NULL";
        eventually("a person to be told", async || app.db.count(told).await > 0).await;
        assert_eq!(
            wallet_tests::books::violations(&app.db).await,
            Vec::<String>::new()
        );
        app.abandon().await;
    }
}
