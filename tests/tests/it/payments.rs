//! Payments with a fee, and their refunds by payees.

use futures::future::join_all;
use serde_json::json;
use wallet_tests::TestApp;
use wallet_tests::app::{id_of, uuid};

/// What the platform has kept, in cents.
async fn kept(app: &TestApp) -> i64 {
    let sum =
        "SELECT coalesce(100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'platform:fees'";
    app.db.value(sum, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_leaves_its_payee_the_amount_less_the_fee_and_refunds_give_all_of_it_back() {
    let app = TestApp::start().await;
    let (tenant, from) = app.owner(20_000).await;
    let (landlord, to) = app.owner(0).await;
    let paid = app
        .pay(
            &tenant,
            &from,
            json!({ "toWalletId": to, "amount": "99.99", "reference": "rent" }),
        )
        .await
        .data();
    assert_eq!(
        (&paid["transactionType"], &paid["fee"]),
        (&json!("PAYMENT"), &json!("1.00"))
    );
    let payment = id_of(&paid);
    app.completed(&tenant, &payment).await;
    assert_eq!(app.balances(&tenant, &from).await, (10_001, 0));
    assert_eq!(app.balances(&landlord, &to).await, (9_899, 0));
    assert_eq!(kept(&app).await, 100);

    let part = app
        .refund(
            &landlord,
            &payment,
            json!({ "amount": "33.33", "reason": "broken heating" }),
        )
        .await;
    let part = app.completed(&landlord, &id_of(&part.data())).await;
    assert_eq!(
        (&part["transactionType"], &part["fee"]),
        (&json!("REFUND"), &json!("0.33"))
    );
    assert_eq!(part["relatedTransactionId"], json!(payment));
    assert_eq!(
        (&part["direction"], &part["counterpartyWalletId"]),
        (&json!("OUT"), &json!(from))
    );
    assert_eq!(app.balances(&tenant, &from).await, (13_334, 0));
    assert_eq!(app.balances(&landlord, &to).await, (6_599, 0));

    let rest = app.refund(&landlord, &payment, json!({})).await;
    let rest = app.completed(&landlord, &id_of(&rest.data())).await;
    assert_eq!((&rest["amount"], &rest["fee"]), (&json!("66.66"), &json!("0.67")));
    assert_eq!(app.balances(&tenant, &from).await, (20_000, 0));
    assert_eq!(app.balances(&landlord, &to).await, (0, 0));
    assert_eq!(kept(&app).await, 0);
    let more = app.refund(&landlord, &payment, json!({ "amount": "0.01" })).await;
    assert_eq!(more.code(), Some("INVALID_STATE"), "{more:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_refunds_of_sixty_on_a_hundred_one_is_granted() {
    let app = TestApp::with_workers(2).await;
    let (tenant, from) = app.owner(10_000).await;
    let (landlord, to) = app.owner(50_000).await;
    let payment = app
        .pay(&tenant, &from, json!({ "toWalletId": to, "amount": "100.00" }))
        .await;
    let payment = id_of(&payment.data());
    app.completed(&tenant, &payment).await;
    let asked =
        join_all((0..100).map(|_| app.refund(&landlord, &payment, json!({ "amount": "60.00" })))).await;
    let mut granted = 0;
    for answer in asked {
        if answer.code().is_some() {
            assert_eq!(answer.code(), Some("INVALID_STATE"), "{answer:?}");
            continue;
        }
        let ended = app.ended(&landlord, &id_of(&answer.data())).await;
        match ended["status"].as_str() {
            Some("COMPLETED") => granted += 1,
            _ => assert!(
                ended["failureReason"]
                    .as_str()
                    .unwrap()
                    .starts_with("REFUND_EXCEEDS_ORIGINAL"),
                "{ended:#}"
            ),
        }
    }
    assert_eq!(granted, 1);
    assert_eq!(app.balances(&tenant, &from).await, (6_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_that_were_accepted_together_are_granted_up_to_the_payment() {
    // Accepted while no worker runs, so that only the worker can tell them apart.
    let mut app = TestApp::start().await;
    let (tenant, from) = app.owner(10_000).await;
    let (landlord, to) = app.owner(50_000).await;
    let payment = id_of(
        &app.pay(&tenant, &from, json!({ "toWalletId": to, "amount": "100.00" }))
            .await
            .data(),
    );
    app.completed(&tenant, &payment).await;
    app.stop_workers().await;
    let first = id_of(
        &app.refund(&landlord, &payment, json!({ "amount": "60.00" }))
            .await
            .data(),
    );
    let second = app
        .refund(&landlord, &payment, json!({ "amount": "60.00" }))
        .await;
    assert_eq!(second.code(), Some("INVALID_STATE"));
    let fits = id_of(
        &app.refund(&landlord, &payment, json!({ "amount": "40.00" }))
            .await
            .data(),
    );
    app.start_worker();
    app.completed(&landlord, &first).await;
    app.completed(&landlord, &fits).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_its_payee_and_operators_refund_a_payment() {
    let app = TestApp::start().await;
    let (tenant, from) = app.owner(10_000).await;
    let (landlord, to) = app.owner(0).await;
    let payment = id_of(
        &app.pay(&tenant, &from, json!({ "toWalletId": to, "amount": "50.00" }))
            .await
            .data(),
    );
    app.completed(&tenant, &payment).await;
    let by_payer = app.refund(&tenant, &payment, json!({ "amount": "10.00" })).await;
    assert_eq!(by_payer.code(), Some("FORBIDDEN"));
    assert_eq!(
        by_payer.message(),
        "only the payee of a payment, or an operator, may refund it"
    );
    let stranger = wallet_tests::User::new();
    let by_stranger = app
        .refund(&stranger, &payment, json!({ "amount": "10.00" }))
        .await;
    assert_eq!(by_stranger.code(), Some("TRANSACTION_NOT_FOUND"));
    let too_much = app
        .refund(&landlord, &payment, json!({ "amount": "50.01" }))
        .await;
    assert_eq!(
        (too_much.code(), too_much.message()),
        (
            Some("INVALID_STATE"),
            "50.01 usd is more than the payment of 50.00 usd"
        )
    );
    let operator = wallet_tests::User::with_role(wallet_tests::Role::Operator);
    let by_operator = app
        .refund(&operator, &payment, json!({ "amount": "10.00" }))
        .await
        .data();
    app.completed(&landlord, &id_of(&by_operator)).await;
    assert_eq!(app.balances(&tenant, &from).await, (6_000, 0));
    let too_much = app
        .refund(&landlord, &payment, json!({ "amount": "40.01" }))
        .await;
    assert_eq!(
        (too_much.code(), too_much.message()),
        (
            Some("INVALID_STATE"),
            "only 40.00 usd of 50.00 usd is left to refund"
        )
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_most_particular_fee_rule_counts() {
    let app = TestApp::start().await;
    let (tenant, from) = app.owner(100_000).await;
    let (landlord, to) = app.owner(0).await;
    let rules = "INSERT INTO fee_rules (currency, payee_user_id, basis_points, minimum, maximum) VALUES
                   ('usd', NULL, 200, 0.50, 5.00), ('usd', $1, 0, NULL, NULL)";
    app.db.execute(rules, &[&landlord.id]).await;
    let fee = async |to: &str, amount: &str| {
        let paid = app
            .pay(&tenant, &from, json!({ "toWalletId": to, "amount": amount }))
            .await
            .data();
        app.completed(&tenant, &id_of(&paid)).await["fee"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (_, other) = app.owner(0).await;
    assert_eq!(fee(&other, "10.00").await, "0.50");
    assert_eq!(fee(&other, "100.00").await, "2.00");
    assert_eq!(fee(&other, "400.00").await, "5.00");
    assert_eq!(fee(&to, "100.00").await, "0.00");
    let eaten = app
        .pay(&tenant, &from, json!({ "toWalletId": other, "amount": "0.50" }))
        .await;
    assert_eq!(
        (eaten.code(), eaten.field()),
        (Some("VALIDATION_ERROR"), Some("amount"))
    );
    let rows: i64 = app
        .db
        .value(
            "SELECT count(*) FROM wallet_transactions WHERE wallet_id = $1 AND reference IS NULL",
            &[&uuid(&from)],
        )
        .await;
    assert_eq!(rows, 4);
    app.finish().await;
}
