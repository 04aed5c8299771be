//! Withdrawals: to the bank, back from the bank, refused, and waiting for money.

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use wallet_tests::app::{Options, id_of, uuid};
use wallet_tests::poll::until;
use wallet_tests::{TestApp, User, eventually};

async fn payout_of(app: &TestApp, withdrawal: &str) -> String {
    app.at_stage(withdrawal, "paying_out").await;
    app.stripe_id(withdrawal, "stripe_payout_id").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_amount_is_held_until_the_bank_has_it() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    let id = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "70.00" }))
            .await
            .data(),
    );
    let payout = payout_of(&app, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 7_000));
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "in_transit" }))
        .await;
    app.at_rest().await;
    assert_eq!(app.transaction(&alice, &id).await["status"], "PROCESSING");
    app.stripe
        .control(&format!("payouts/{payout}"), json!({ "status": "paid" }))
        .await;
    let done = app.completed(&alice, &id).await;
    assert_eq!(app.balances(&alice, &wallet).await, (3_000, 0));
    let told: Vec<&str> = done["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        (told.first(), told.last()),
        (Some(&"accepted"), Some(&"completed")),
        "{done:#}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_money_goes_to_the_bank_that_was_named() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    let account: String = app
        .db
        .value(
            "SELECT stripe_account_id FROM wallets WHERE id = $1",
            &[&uuid(&wallet)],
        )
        .await;
    let bank = app.stripe.get(&format!("/v1/accounts/{account}")).await["external_accounts"]["data"][0]["id"]
        .clone();
    let input = json!({ "amount": "10.00", "bankId": bank, "accountName": "Ada Lovelace" });
    let id = id_of(&app.withdraw(&alice, &wallet, input).await.data());
    app.completed(&alice, &id).await;
    let payout: String = app.stripe_id(&id, "stripe_payout_id").await;
    let payout = app
        .stripe
        .get_as(&account, &format!("/v1/payouts/{payout}"))
        .await;
    assert_eq!(payout["destination"], bank);
    assert_eq!(
        (
            &payout["metadata"]["transaction_id"],
            &payout["metadata"]["wallet_id"]
        ),
        (&json!(id), &json!(wallet))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_fails_brings_the_money_back() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let (alice, wallet) = app.payee(10_000).await;
    for status in ["failed", "canceled"] {
        let id = id_of(
            &app.withdraw(&alice, &wallet, json!({ "amount": "70.00" }))
                .await
                .data(),
        );
        let payout = payout_of(&app, &id).await;
        app.stripe
            .control(
                &format!("payouts/{payout}"),
                json!({ "status": status, "failure_code": "account_closed" }),
            )
            .await;
        let failed = app.failed(&alice, &id).await;
        assert!(
            failed["failureReason"]
                .as_str()
                .unwrap()
                .starts_with("PAYOUT_FAILED: "),
            "{failed:#}"
        );
        assert_eq!(app.stripe.effects_of(&id, "transfer_reversal.create").await, 1);
        assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
        let account: String = app
            .db
            .value(
                "SELECT stripe_account_id FROM wallets WHERE id = $1",
                &[&uuid(&wallet)],
            )
            .await;
        app.stripe
            .control(
                &format!("accounts/{account}"),
                json!({ "external_account": true }),
            )
            .await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_stripe_refuses_brings_the_money_back() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    // No such bank on the account: known only when the payout is asked for.
    let id = id_of(
        &app.withdraw(
            &alice,
            &wallet,
            json!({ "amount": "70.00", "bankId": "ba_1nobodysbank" }),
        )
        .await
        .data(),
    );
    let failed = app.failed(&alice, &id).await;
    assert!(
        failed["failureReason"]
            .as_str()
            .unwrap()
            .starts_with("PAYOUT_FAILED: "),
        "{failed:#}"
    );
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_may_not_be_paid_is_refused_and_the_hold_released() {
    let app = TestApp::start().await;
    let (alice, disabled) = app.payee(1_000).await;
    let account: String = app
        .db
        .value(
            "SELECT stripe_account_id FROM wallets WHERE id = $1",
            &[&uuid(&disabled)],
        )
        .await;
    // Nobody tells us, so only the worker can find it out.
    app.stripe
        .webhook_fault(json!({ "event": "account.*", "drop": true }))
        .await;
    app.stripe
        .control(
            &format!("accounts/{account}"),
            json!({ "payouts_enabled": false }),
        )
        .await;
    // Another one is lost, and nobody tells of that either.
    let bob = User::new();
    let lost = app.stripe.account(bob.id).await;
    let unknown = app.wallet(&bob, json!({ "stripeAccountId": lost })).await;
    app.plant(&unknown, 1_000).await;
    app.stripe
        .control(&format!("accounts/{lost}/deauthorize"), json!({}))
        .await;
    for (owner, wallet, why) in [
        (&alice, &disabled, "disabled"),
        (&bob, &unknown, "does not exist"),
    ] {
        let id = id_of(
            &app.withdraw(owner, wallet, json!({ "amount": "10.00" }))
                .await
                .data(),
        );
        let failed = app.failed(owner, &id).await;
        let reason = failed["failureReason"].as_str().unwrap();
        assert!(
            reason.starts_with("PAYOUT_ACCOUNT_REFUSED: ") && reason.contains(why),
            "{reason}"
        );
        assert_eq!(app.balances(owner, wallet).await, (1_000, 0));
        assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 0);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_waits_while_the_platform_has_no_money_and_ends_when_it_has() {
    let app = TestApp::with(Options {
        opening: 0,
        ..Options::default()
    })
    .await;
    // Card money is pending at Stripe for two days.
    app.stripe
        .settings(json!({ "card_pending_ms": 2 * 86_400_000_i64 }))
        .await;
    let (alice, wallet) = app.payee(0).await;
    let deposit = id_of(
        &app.deposit(
            &alice,
            &wallet,
            json!({ "amount": "50.00", "stripePaymentMethodId": "pm_card_visa" }),
        )
        .await
        .data(),
    );
    app.completed(&alice, &deposit).await;
    let id = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "50.00" }))
            .await
            .data(),
    );
    eventually("the reason to wait to be told", async || {
        app.transaction(&alice, &id).await["timeline"]
            .to_string()
            .contains("not available at the payment provider yet")
    })
    .await;
    let waiting = app.transaction(&alice, &id).await;
    assert_eq!(
        (&waiting["status"], &waiting["stripeTransferId"]),
        (&json!("PROCESSING"), &Value::Null)
    );
    assert_eq!(app.balances(&alice, &wallet).await, (0, 5_000));
    app.hurry_until("the withdrawal to end", TimeDelta::hours(6), async || {
        app.transaction(&alice, &id).await["status"] == "COMPLETED"
    })
    .await;
    let attempts = "SELECT max(attempt)::bigint FROM stripe_calls WHERE operation = 'transfer'";
    assert!(
        app.db.value::<i64>(attempts, &[]).await > 1,
        "a refusal ends the attempt"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_withdrawals_of_everything_exactly_one_is_paid() {
    let app = TestApp::with_workers(2).await;
    let (alice, wallet) = app.payee(10_000).await;
    let (app_, alice_, wallet_) = (&app, &alice, &wallet);
    // A client does what the answer of a busy service says: the same request again, under the same key.
    let asked = async |n: usize| {
        let input = json!({ "amount": "100.00", "idempotencyKey": format!("k{n}") });
        until("the service to be available", async || {
            let answer = app_.withdraw(alice_, wallet_, input.clone()).await;
            (answer.code() != Some("SERVICE_UNAVAILABLE")).then_some(answer)
        })
        .await
    };
    let answers = join_all((0..200).map(asked)).await;
    let mut accepted = Vec::new();
    for answer in answers {
        match answer.code() {
            None => accepted.push(id_of(&answer.data())),
            Some(code) => assert_eq!(code, "INSUFFICIENT_FUNDS"),
        }
    }
    let mut completed = 0;
    for id in &accepted {
        let ended = app.ended(&alice, id).await;
        if ended["status"] == "COMPLETED" {
            completed += 1;
        } else {
            assert!(
                ended["failureReason"]
                    .as_str()
                    .unwrap()
                    .starts_with("INSUFFICIENT_FUNDS: "),
                "{ended}"
            );
        }
    }
    assert_eq!(completed, 1, "of {} accepted", accepted.len());
    assert_eq!(app.stripe.effects("transfer.create").await.len(), 1);
    assert_eq!(app.balances(&alice, &wallet).await, (0, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_that_fails_after_it_was_paid_is_credited_by_a_transaction_of_its_own() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(1_000).await;
    let id = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    app.completed(&alice, &id).await;
    let payout: String = app.stripe_id(&id, "stripe_payout_id").await;
    app.stripe
        .webhook_fault(json!({ "event": "payout.*", "duplicate": 3 }))
        .await;
    app.stripe
        .control(
            &format!("payouts/{payout}"),
            json!({ "status": "failed", "failure_code": "account_closed" }),
        )
        .await;
    let back = id_of(&app.relative(&alice, &id).await);
    let back = app.completed(&alice, &back).await;
    assert_eq!(
        (&back["transactionType"], &back["direction"], &back["amount"]),
        (&json!("REFUND"), &json!("IN"), &json!("10.00"))
    );
    assert_eq!(app.balances(&alice, &wallet).await, (1_000, 0));
    let withdrawal = app.transaction(&alice, &id).await;
    assert_eq!(withdrawal["status"], "COMPLETED", "a final state is final");
    assert!(
        withdrawal["timeline"]
            .to_string()
            .contains("your bank returned the payout"),
        "{withdrawal:#}"
    );
    app.at_rest().await;
    assert_eq!(
        app.db
            .count("wallet_transactions WHERE flow = 'payout_return'")
            .await,
        1
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_withdrawal_goes_is_fixed_when_it_is_accepted() {
    let mut app = TestApp::with_workers(0).await;
    let (alice, wallet) = app.payee(1_000).await;
    let first: String = app
        .db
        .value(
            "SELECT stripe_account_id FROM wallets WHERE id = $1",
            &[&uuid(&wallet)],
        )
        .await;
    let id = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    let other = app.stripe.account(User::new().id).await;
    app.db
        .execute(
            "UPDATE wallets SET stripe_account_id = $2 WHERE id = $1",
            &[&uuid(&wallet), &other],
        )
        .await;
    app.start_worker();
    app.completed(&alice, &id).await;
    assert_eq!(app.stripe.effects("transfer.create").await[0]["account"], first);
    app.finish().await;
}
