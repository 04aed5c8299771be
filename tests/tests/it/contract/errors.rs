//! Codes of refusals, and limits.

use serde_json::json;
use uuid::Uuid;
use wallet_tests::app::{Options, uuid};
use wallet_tests::{TestApp, User};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_tell_their_code_and_never_their_cause() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(1_000).await;
    let (_, euros) = {
        let user = User::new();
        let id = app.wallet(&user, json!({ "currency": "eur" })).await;
        (user, id)
    };
    let (_, his) = app.owner(0).await;
    let before = app.db.digest().await;
    assert_eq!(
        app.withdraw(&alice, &hers, json!({ "amount": "1" })).await.code(),
        Some("INVALID_STATE")
    );
    for (to, amount, code, field) in [
        (&his, "10.01", "INSUFFICIENT_FUNDS", "amount"),
        (&euros, "1", "CURRENCY_MISMATCH", "toWalletId"),
    ] {
        let refused = app
            .transfer(&alice, &hers, json!({ "toWalletId": to, "amount": amount }))
            .await;
        assert_eq!((refused.code(), refused.field()), (Some(code), Some(field)));
    }
    for amount in [json!(true), json!(["1.00"]), json!("one")] {
        let refused = app
            .transfer(&alice, &hers, json!({ "toWalletId": his, "amount": amount }))
            .await;
        assert_eq!(refused.field(), Some("amount"), "{refused:?}");
        assert_eq!(
            refused.message(),
            "amount must be a plain decimal number such as \"12.50\""
        );
    }
    // Which of the two wallets is unknown is told.
    for unknown in [Uuid::now_v7().to_string(), "no id".to_owned()] {
        let payee = app
            .transfer(&alice, &hers, json!({ "toWalletId": unknown, "amount": "1" }))
            .await;
        assert_eq!(
            (payee.code(), payee.field()),
            (Some("WALLET_NOT_FOUND"), Some("toWalletId"))
        );
        let payer = app
            .transfer(&alice, &unknown, json!({ "toWalletId": his, "amount": "1" }))
            .await;
        assert_eq!(
            (payer.code(), payer.field()),
            (Some("WALLET_NOT_FOUND"), Some("fromWalletId"))
        );
        let paid_in = app.deposit(&alice, &unknown, json!({ "amount": "1" })).await;
        assert_eq!(
            (paid_in.code(), paid_in.field()),
            (Some("WALLET_NOT_FOUND"), Some("walletId"))
        );
    }
    assert_eq!(
        app.post(None, &json!({ "query": "{ wallets { id } }" }), &[])
            .await
            .code(),
        Some("UNAUTHENTICATED")
    );
    assert_eq!(app.db.digest().await, before, "a refusal changes nothing");

    app.db
        .execute(
            "UPDATE wallets SET is_active = false WHERE id = $1",
            &[&uuid(&hers)],
        )
        .await;
    for answer in [
        app.transfer(&alice, &hers, json!({ "toWalletId": his, "amount": "1" }))
            .await,
        app.deposit(&alice, &hers, json!({ "amount": "1" })).await,
        app.withdraw(&alice, &hers, json!({ "amount": "1" })).await,
    ] {
        assert_eq!(answer.code(), Some("WALLET_INACTIVE"));
    }
    app.db
        .execute(
            "UPDATE wallets SET is_active = true WHERE id = $1",
            &[&uuid(&hers)],
        )
        .await;

    // A row that the code never writes: the client hears a request id and nothing else.
    app.db
        .execute(
            "UPDATE wallets SET currency = 'xxx' WHERE id = $1",
            &[&uuid(&euros)],
        )
        .await;
    let answer = app
        .transfer(&alice, &hers, json!({ "toWalletId": euros, "amount": "1" }))
        .await;
    assert_eq!(answer.code(), Some("INTERNAL"));
    assert!(answer.body["errors"][0]["extensions"]["requestId"].is_string());
    let text = answer.body.to_string();
    assert!(
        !["wallets", "currency of", "xxx", "SELECT", ".rs"]
            .iter()
            .any(|word| text.contains(word)),
        "{text}"
    );
    app.db
        .execute(
            "UPDATE wallets SET currency = 'eur' WHERE id = $1",
            &[&uuid(&euros)],
        )
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_asks_too_often_is_told_when_to_come_back_and_others_are_not() {
    let limit = ("RATE_LIMIT_PER_MINUTE", "5".to_owned());
    let app = TestApp::with(Options {
        workers: 0,
        variables: vec![limit],
        ..Options::default()
    })
    .await;
    let (eager, calm) = (User::new(), User::new());
    let ask = async |user: &User| app.gql(user, "{ wallets { id } }", json!({})).await;
    for _ in 0..5 {
        assert_eq!(ask(&eager).await.code(), None);
    }
    let refused = ask(&eager).await;
    assert_eq!((refused.status, refused.code()), (429, Some("RATE_LIMITED")));
    let wait = refused.body["errors"][0]["extensions"]["retryAfter"]
        .as_u64()
        .unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(ask(&calm).await.code(), None);
    app.finish().await;
}
