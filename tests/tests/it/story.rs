//! The first story: a wallet is created, filled, shared and emptied.

use serde_json::json;
use wallet_tests::TestApp;
use wallet_tests::app::id_of;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_is_filled_by_card_sends_money_on_and_pays_out_to_a_bank() {
    let app = TestApp::start().await;
    let (alice, from) = app.owner(0).await;
    let (bob, to) = app.payee(0).await;

    let deposit = app
        .deposit(
            &alice,
            &from,
            json!({ "amount": "100.00", "stripePaymentMethodId": "pm_card_visa" }),
        )
        .await
        .data();
    assert_eq!(deposit["status"], "PENDING");
    let deposit = app.completed(&alice, &id_of(&deposit)).await;
    assert!(
        deposit["stripePaymentIntentId"]
            .as_str()
            .unwrap()
            .starts_with("pi_")
    );
    assert_eq!(app.balances(&alice, &from).await, (10_000, 0));

    let transfer = app.send(&alice, &from, &to, 3_050).await;
    let transfer = app.completed(&alice, &transfer).await;
    assert_eq!(
        (&transfer["direction"], &transfer["amount"]),
        (&json!("OUT"), &json!("30.50"))
    );
    assert_eq!(app.balances(&bob, &to).await, (3_050, 0));

    let withdrawal = app.withdraw(&bob, &to, json!({ "amount": "20.50" })).await.data();
    let withdrawal = app.completed(&bob, &id_of(&withdrawal)).await;
    assert!(
        withdrawal["stripeTransferId"]
            .as_str()
            .unwrap()
            .starts_with("tr_")
    );
    assert_eq!(app.balances(&bob, &to).await, (1_000, 0));
    app.finish().await;
}
