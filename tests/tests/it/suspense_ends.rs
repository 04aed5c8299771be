//! What lies in suspense comes to an end that leaves nothing there, also when Stripe has converted the payment, or took more than was paid.

use serde_json::json;
use wallet_tests::app::{Leftovers, id_of, uuid};
use wallet_tests::programs::{Ended, run};
use wallet_tests::{TestApp, User, eventually};

use crate::deposits::paid_at_stripe;

async fn command(app: &TestApp, args: &[&str]) -> Ended {
    run("wallet-worker", args, &app.variables).await
}

/// What lies in suspense for a transaction, as amount and currency.
async fn suspended(app: &TestApp, id: &str) -> Vec<String> {
    let sums = "SELECT trim_scale(sum(amount))::text || ' ' || currency FROM ledger_entries
                 WHERE account = 'platform:suspense' AND transaction_id = $1 GROUP BY currency HAVING sum(amount) <> 0";
    let rows = app.db.rows(sums, &[&uuid(id)]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// A deposit of 50.00 eur by card on an account that is paid in dollars: 54.00 usd came. Then the rate changes.
async fn converted(app: &mut TestApp, later_rate: i64) -> (User, String, String) {
    let settings = json!({ "settlement_currencies": ["usd"], "exchange_rate": 10_800 });
    app.stripe.settings(settings).await;
    app.start_worker();
    let ada = User::new();
    let wallet = app.wallet(&ada, json!({ "currency": "eur" })).await;
    let input = json!({ "amount": "50.00", "stripePaymentMethodId": "pm_card_visa" });
    let id = id_of(&app.deposit(&ada, &wallet, input).await.data());
    app.at_stage(&id, "in_review").await;
    app.at_rest().await;
    assert_eq!(suspended(app, &id).await, ["54 usd"]);
    app.stripe.settings(json!({ "exchange_rate": later_rate })).await;
    (ada, wallet, id)
}

async fn refunded_at_stripe(app: &TestApp, deposit: &str, amount: Option<i64>) {
    let intent = app.stripe_id(deposit, "stripe_payment_intent_id").await;
    let what = json!({ "payment_intent": intent, "amount": amount });
    app.stripe.control("refunds", what).await;
}

/// The deposit has failed, nothing lies in suspense, nobody is called, and what Stripe holds is what the books say.
async fn assert_ended(app: &TestApp, ada: &User, id: &str) {
    app.failed(ada, id).await;
    app.at_rest().await;
    assert!(suspended(app, id).await.is_empty());
    assert_eq!(app.db.count("alarms WHERE closed_at IS NULL").await, 0);
    let reconciled = command(app, &["reconcile"]).await;
    assert_eq!(reconciled.code, Some(0), "{reconciled:?}");
    let verified = command(app, &["verify"]).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

/// <https://docs.stripe.com/currencies/conversions>: a refund of a converted payment is converted at the rate of its own day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_converted_payment_that_is_refunded_at_another_rate_leaves_nothing_behind() {
    for (rate, in_parts) in [(10_760, false), (11_000, false), (10_800, false), (10_760, true)] {
        let mut app = TestApp::with_workers(0).await;
        let (ada, _, id) = converted(&mut app, rate).await;
        if in_parts {
            refunded_at_stripe(&app, &id, Some(2_000)).await;
            eventually("the part to be booked", async || {
                suspended(&app, &id).await == ["32.48 usd"]
            })
            .await;
            app.at_rest().await;
            assert_eq!(app.transaction(&ada, &id).await["status"], "PROCESSING");
            refunded_at_stripe(&app, &id, Some(3_000)).await;
        } else {
            refunded_at_stripe(&app, &id, None).await;
        }
        assert_ended(&app, &ada, &id).await;
        // The effects at Stripe are in other amounts than the requests here: the comparison above is the one that counts.
        app.abandon().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_converted_payment_is_given_back_by_a_command() {
    let mut app = TestApp::with_workers(0).await;
    let (ada, _, id) = converted(&mut app, 10_760).await;
    let early = command(&app, &["review", "close", &id, "--reason", "no patience"]).await;
    assert_eq!(early.code, Some(0), "{early:?}");
    eventually("it to be parked: the payer can have it back", async || {
        let parked = "jobs WHERE parked_at IS NOT NULL AND last_error LIKE '50.00 eur of the payment can still be refunded%'";
        app.db.count(parked).await == 1
    })
    .await;
    let returned = command(&app, &["review", "return", &id, "--reason", "the payer wants it"]).await;
    assert_eq!(returned.code, Some(0), "{returned:?}");
    assert_ended(&app, &ada, &id).await;
    let refunds = app.stripe.effects_of(&id, "refund.create").await;
    assert_eq!(refunds, 1);
    app.abandon().await;
}

/// A dispute may be about more than was paid here: the bank's other fees, for example.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dispute_takes_beyond_the_payment_is_the_platforms_loss_when_an_operator_says_so() {
    let mut app = TestApp::with_workers(0).await;
    app.start_worker_with(&[("WORKER_QUEUES", "webhooks")]);
    let (ada, wallet) = app.owner(0).await;
    let id = id_of(
        &app.deposit(&ada, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    let intent = paid_at_stripe(&app, "2000", "usd", &id).await;
    app.at_stage(&id, "in_review").await;
    app.start_worker();
    app.at_rest().await;
    let what = json!({ "payment_intent": intent, "amount": 3_000 });
    let dispute = id_of(&app.stripe.control("disputes", what).await);
    eventually("the money to be taken", async || {
        suspended(&app, &id).await == ["-10 usd"]
    })
    .await;
    app.stripe
        .control(&format!("disputes/{dispute}"), json!({ "status": "lost" }))
        .await;
    app.failed(&ada, &id).await;
    app.at_rest().await;
    let refused = command(&app, &["review", "return", &id, "--reason", "nobody"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.err.contains("-10.00 usd lies in suspense") && refused.err.contains("review close"),
        "{refused:?}"
    );
    let closed = command(&app, &["review", "close", &id, "--reason", "the bank's fee"]).await;
    assert_eq!(closed.code, Some(0), "{closed:?}");
    eventually("nothing to lie there", async || {
        suspended(&app, &id).await.is_empty()
    })
    .await;
    app.at_rest().await;
    assert_eq!(app.transaction(&ada, &id).await["status"], "FAILED");
    let again = command(&app, &["review", "close", &id, "--reason", "again"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    app.finish_with(Leftovers {
        alarms: &["dispute_exceeds_payment", "payment_mismatch"],
        ..Leftovers::default()
    })
    .await;
}
