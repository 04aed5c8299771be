//! A deposit is a payment intent: only `succeeded` brings money, only `succeeded` and `canceled` are ends.

use chrono::TimeDelta;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use wallet_tests::app::{Options, id_of};
use wallet_tests::{TestApp, eventually};

use super::{awaiting, event, understood};

async fn intent_of(app: &TestApp, deposit: &str) -> Value {
    let intent = app.stripe_id(deposit, "stripe_payment_intent_id").await;
    app.stripe.get(&format!("/v1/payment_intents/{intent}")).await
}

/// Row `payment_intent.created/requires_action/processing` and row `amount_capturable_updated`: medusa #14205 acted on early events and
/// created orders that had not been paid. Here even one that claims the money credits nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn created_requires_action_processing_and_amount_capturable_updated_credit_nothing() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (id, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    for (n, kind) in [
        "created",
        "requires_action",
        "processing",
        "amount_capturable_updated",
    ]
    .iter()
    .enumerate()
    {
        let object = json!({
            "id": intent, "object": "payment_intent", "status": "succeeded", "amount": 2_500, "amount_received": 2_500,
            "amount_capturable": 2_500, "currency": "usd", "metadata": { "transaction_id": id },
        });
        let name = format!("evt_1early{n}");
        let early = event(&name, &format!("payment_intent.{kind}"), object);
        assert_eq!(app.deliver_signed(&early).await, 200);
        understood(&app, &name, "processed").await;
    }
    assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    assert_eq!(app.db.count("ledger_entries").await, 0);
    let params = [
        ("payment_method", "pm_card_authenticationRequired"),
        ("return_url", "https://example.com/paid"),
    ];
    app.stripe
        .form(&format!("/v1/payment_intents/{intent}/confirm"), &params)
        .await;
    app.at_rest().await;
    assert_eq!(intent_of(&app, &id).await["status"], "requires_action");
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.stripe
        .control(
            &format!("payment_intents/{intent}/authenticate"),
            json!({ "passed": true }),
        )
        .await;
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    app.finish().await;
}

/// Row `succeeded`, and the race of webhook and answer (medusa #13301, #11090, #4798, #2948, civicrm #36426): the answer of the confirming
/// call, three copies of the event and our own poll all report one payment, and it is credited once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn succeeded_told_by_answer_and_webhook_at_once_credits_once() {
    let app = TestApp::with(Options {
        workers: 2,
        ..Options::default()
    })
    .await;
    app.stripe
        .webhook_fault(json!({ "event": "payment_intent.*", "duplicate": 2, "reorder_ms": 100 }))
        .await;
    app.stripe
        .fault(json!({ "operation": "payment_intents.create", "probability": 0.5, "outcome": "normal", "answer_delay_ms": 100 }))
        .await;
    let (alice, wallet) = app.owner(0).await;
    let input = json!({ "amount": "10.00", "stripePaymentMethodId": "pm_card_visa" });
    let (app_, alice_, wallet_) = (&app, &alice, &wallet);
    let ids: Vec<String> = stream::iter(0..8)
        .map(|_| {
            let input = input.clone();
            async move { id_of(&app_.deposit(alice_, wallet_, input).await.data()) }
        })
        .buffer_unordered(4)
        .collect()
        .await;
    for id in &ids {
        app.completed(&alice, id).await;
    }
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (8_000, 0));
    let credits = "ledger_entries WHERE account = 'wallet:available'";
    assert_eq!(app.db.count(credits).await, 8);
    assert_eq!(app.stripe.effects("payment_intent.succeed").await.len(), 8);
    app.finish().await;
}

/// Row `payment_failed`: it is not terminal, the payer may try again as often as it takes, and what is declined credits nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payment_failed_records_the_last_error_and_keeps_the_deposit_open() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (id, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    for (card, words) in [
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired"),
    ] {
        assert_eq!(app.stripe.confirm(&intent, card).await, 402);
        let told = app.told(&alice, &id, words).await;
        assert_eq!(told["status"], "PROCESSING");
        assert_eq!(
            told["clientSecret"].as_str().map(|it| it.starts_with(&intent)),
            Some(true)
        );
    }
    app.at_rest().await;
    assert_eq!(intent_of(&app, &id).await["status"], "requires_payment_method");
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    assert_eq!(app.stripe.confirm(&intent, "pm_card_visa").await, 200);
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    app.finish().await;
}

/// Bullet "bank debits sit in `processing` for days and can then fail": nothing is credited before, and nothing after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_debit_that_fails_after_days_in_processing_credits_nothing() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "bank_debit_ms": 345_600_000 })).await;
    let (alice, wallet) = app.owner(0).await;
    let input = json!({
        "amount": "80.00", "paymentMethod": "BANK_TRANSFER", "stripePaymentMethodId": "pm_usBankAccount_insufficientFunds",
    });
    let id = id_of(&app.deposit(&alice, &wallet, input).await.data());
    app.at_stage(&id, "awaiting_payment").await;
    // Two days are longer than an unpaid deposit is waited for: a debit under way is not unpaid.
    app.advance(TimeDelta::days(2)).await;
    app.at_rest().await;
    assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
    assert_eq!(intent_of(&app, &id).await["status"], "processing");
    app.advance(TimeDelta::days(2)).await;
    let failed = app.failed(&alice, &id).await;
    let reason = failed["failureReason"].as_str().unwrap();
    assert!(reason.starts_with("PAYMENT_DECLINED: "), "{reason}");
    assert_eq!(
        intent_of(&app, &id).await["status"],
        "canceled",
        "it can never succeed"
    );
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish().await;
}

/// lago #3703: a top-up that had settled was reported as failed, then as voided, and the balance was doubled. Here the first end
/// stands, whatever is reported after it and however often.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_that_settled_then_failed_then_was_voided_is_credited_once() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (id, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    assert_eq!(app.stripe.confirm(&intent, "pm_card_visa").await, 200);
    app.completed(&alice, &id).await;
    for (n, (kind, status)) in [
        ("payment_failed", "requires_payment_method"),
        ("canceled", "canceled"),
        ("succeeded", "succeeded"),
        ("payment_failed", "requires_payment_method"),
        ("succeeded", "succeeded"),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("evt_1lago{n}");
        let object =
            json!({ "id": intent, "object": "payment_intent", "status": status, "amount_received": 2_500 });
        let told = event(&name, &format!("payment_intent.{kind}"), object);
        assert_eq!(app.deliver_signed(&told).await, 200);
        understood(&app, &name, "processed").await;
    }
    let refused = app.cancel(&alice, &id).await;
    assert_eq!(refused.code(), Some("INVALID_STATE"), "{refused:?}");
    assert_eq!(app.transaction(&alice, &id).await["status"], "COMPLETED");
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    app.finish().await;
}

/// Row `canceled`, with "already succeeded": the payer pays at the moment at which our cancellation reaches Stripe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canceled_by_us_while_the_payer_pays_is_booked() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let (id, intent) = awaiting(&app, &alice, &wallet, "25.00").await;
    // Our cancelling takes so long that the payment is there first; nobody tells of the payment.
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    app.stripe
        .fault(json!({ "operation": "payment_intents.cancel", "outcome": "normal", "latency_ms": 1_000 }))
        .await;
    let _ = app.cancel(&alice, &id).await.data();
    eventually("our cancelling to be on its way", async || {
        app.stripe.fault_hits().await == [1]
    })
    .await;
    assert_eq!(app.stripe.confirm(&intent, "pm_card_visa").await, 200);
    app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    assert_eq!(intent_of(&app, &id).await["status"], "succeeded");
    app.finish().await;
}

/// Row `charge.updated`/`balance.available`: the fee is often not known when the payment succeeds (stripe-node #2266, polar #6144,
/// gumroad #4505). The gross amount is credited at once, and the fee is booked once, for the platform, whatever is reported of it later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn charge_updated_and_balance_available_book_the_fee_once_and_credit_nothing() {
    let app = TestApp::start().await;
    app.stripe
        .settings(json!({ "fee_basis_points": 290, "fee_fixed": 30, "card_pending_ms": 172_800_000 }))
        .await;
    let (alice, wallet) = app.owner(0).await;
    let id = app.deposited(&alice, &wallet, 10_000, "pm_card_visa").await;
    app.at_rest().await;
    let charge = intent_of(&app, &id).await["latest_charge"].clone();
    for (n, (kind, object, state)) in [
        (
            "charge.updated",
            json!({ "id": charge, "object": "charge" }),
            "processed",
        ),
        (
            "charge.succeeded",
            json!({ "id": charge, "object": "charge" }),
            "processed",
        ),
        ("balance.available", json!({ "object": "balance" }), "ignored"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("evt_1fee{n}");
        assert_eq!(app.deliver_signed(&event(&name, kind, object)).await, 200);
        understood(&app, &name, state).await;
    }
    // Now it is available to the platform, at Stripe too.
    app.advance(TimeDelta::days(3)).await;
    app.at_rest().await;
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    let fees = "SELECT (100 * sum(amount))::bigint FROM ledger_entries WHERE account = 'stripe:fees'";
    assert_eq!(app.db.value::<i64>(fees, &[]).await.abs(), 320);
    app.finish().await;
}
