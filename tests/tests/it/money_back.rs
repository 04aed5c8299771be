//! Who may request payments, refunds and cancellations, how often, and who sees what of them.

use futures::future::join_all;
use serde_json::{Value, json};
use wallet_tests::app::id_of;
use wallet_tests::{Role, TestApp, User};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_gives_the_same_payment_and_the_same_refund_however_often_and_at_once() {
    let app = TestApp::start().await;
    let (tenant, from) = app.owner(10_000).await;
    let (landlord, to) = app.owner(0).await;
    let (app_, tenant_, landlord_) = (&app, &tenant, &landlord);
    let input = json!({ "toWalletId": to, "amount": "40.00", "idempotencyKey": "p" });
    let ten = join_all((0..10).map(|_| app_.pay(tenant_, &from, input.clone()))).await;
    let payments: Vec<String> = ten.into_iter().map(|answer| id_of(&answer.data())).collect();
    assert!(payments.iter().all(|id| *id == payments[0]), "{payments:?}");
    let payment = &payments[0];
    app.completed(&tenant, payment).await;
    let part = json!({ "amount": "10.00", "reason": "heating", "idempotencyKey": "r" });
    let ten = join_all((0..10).map(|_| app_.refund(landlord_, payment, part.clone()))).await;
    let refunds: Vec<String> = ten.into_iter().map(|answer| id_of(&answer.data())).collect();
    assert!(refunds.iter().all(|id| *id == refunds[0]), "{refunds:?}");
    app.completed(&landlord, &refunds[0]).await;
    // Written another way it is the same; another amount, reason or operation under the key is not.
    let again = json!({ "amount": 10, "reason": "heating", "idempotencyKey": "r" });
    let again = app.refund(&landlord, payment, again).await.data();
    assert_eq!(
        (id_of(&again), &again["status"]),
        (refunds[0].clone(), &json!("COMPLETED"))
    );
    for other in [
        json!({ "amount": "10.01", "reason": "heating", "idempotencyKey": "r" }),
        json!({ "amount": "10.00", "reason": "roof", "idempotencyKey": "r" }),
        json!({ "reason": "heating", "idempotencyKey": "r" }),
    ] {
        let answer = app.refund(&landlord, payment, other.clone()).await;
        assert_eq!(answer.code(), Some("IDEMPOTENCY_CONFLICT"), "{other}");
    }
    let transfer = app.transfer(&tenant, &from, input).await;
    assert_eq!(transfer.code(), Some("IDEMPOTENCY_CONFLICT"), "a payment's key");
    assert_eq!(app.balances(&tenant, &from).await, (7_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_payer_sees_a_refund_come_in_without_what_is_its_payees_own() {
    let app = TestApp::start().await;
    let (tenant, from) = app.owner(10_000).await;
    let (landlord, to) = app.owner(5_000).await;
    let input = json!({ "toWalletId": to, "amount": "50.00", "metadata": { "lease": 3 } });
    let payment = id_of(&app.pay(&tenant, &from, input).await.data());
    app.completed(&tenant, &payment).await;
    let seen = app.transaction(&landlord, &payment).await;
    assert_eq!((&seen["direction"], &seen["fee"]), (&json!("IN"), &json!("0.50")));
    assert_eq!((&seen["metadata"], &seen["timeline"]), (&Value::Null, &json!([])));

    let operator = User::with_role(Role::Operator);
    let asked = app
        .refund(&operator, &payment, json!({ "amount": "20.00" }))
        .await
        .data();
    assert_eq!(
        (&asked["walletId"], &asked["status"]),
        (&json!(to), &json!("PENDING"))
    );
    let refund = id_of(&asked);
    let own = app.completed(&landlord, &refund).await;
    assert_eq!(own["direction"], "OUT");
    assert_ne!(own["timeline"], json!([]));
    let seen = app.transaction(&tenant, &refund).await;
    assert_eq!(
        (&seen["direction"], &seen["amount"], &seen["relatedTransactionId"]),
        (&json!("IN"), &json!("20.00"), &json!(payment))
    );
    assert_eq!(
        (&seen["metadata"], &seen["timeline"], &seen["failureReason"]),
        (&Value::Null, &json!([]), &Value::Null)
    );
    let history = "query($id: String!) { wallet(id: $id) { transactions(type: REFUND) { edges { node { id direction } } } } }";
    for (user, wallet, direction) in [(&tenant, &from, "IN"), (&landlord, &to, "OUT")] {
        let wallet = app.gql(user, history, json!({ "id": wallet })).await.data();
        let edges = &wallet["transactions"]["edges"];
        assert_eq!(
            edges[0]["node"],
            json!({ "id": refund, "direction": direction }),
            "{wallet}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_is_stored_once_however_often_it_is_asked_for() {
    let app = TestApp::with_workers(0).await;
    let (tenant, from) = app.owner(10_000).await;
    let (_, to) = app.owner(0).await;
    let payment = app
        .pay(&tenant, &from, json!({ "toWalletId": to, "amount": "50.00" }))
        .await;
    let payment = id_of(&payment.data());
    let answers = join_all((0..5).map(|_| app.cancel(&tenant, &payment))).await;
    for answer in answers {
        assert_eq!(answer.data()["status"], "PENDING");
    }
    let operator = User::with_role(Role::Operator);
    assert_eq!(id_of(&app.cancel(&operator, &payment).await.data()), payment);
    assert_eq!(app.db.count("jobs WHERE kind = 'cancel'").await, 1);
    assert_eq!(app.db.count("audit_log WHERE action = 'cancel'").await, 1);
    assert_eq!(app.balances(&tenant, &from).await, (10_000, 0));
    app.abandon().await;
}
