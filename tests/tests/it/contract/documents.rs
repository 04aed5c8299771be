//! The four documents of the specification.

use serde_json::{Value, json};
use wallet_tests::app::id_of;
use wallet_tests::{TestApp, User};

// The four documents of the specification, letter by letter.
const CREATE_WALLET: &str = "mutation CreateWallet($input: CreateWalletInput!) {
  createWallet(input: $input) {
    id
    userId
    balance
    isActive
    createdAt
  }
}";
const DEPOSIT: &str = "mutation Deposit($walletId: String!, $input: DepositInput!) {
  deposit(walletId: $walletId, input: $input) {
    id
    amount
    status
    stripePaymentIntentId
    metadata
  }
}";
const WITHDRAW: &str = "mutation Withdraw($walletId: String!, $input: WithdrawInput!) {
  withdraw(walletId: $walletId, input: $input) {
    id
    amount
    status
    stripeTransferId
  }
}";
const TRANSFER: &str = "mutation Transfer($fromWalletId: String!, $input: TransferInput!) {
  transfer(fromWalletId: $fromWalletId, input: $input) {
    id
    amount
    status
    metadata
  }
}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_four_documents_of_the_specification_run_as_printed() {
    let app = TestApp::start().await;
    let user = User::new();
    let account = app.stripe.account(user.id).await;
    let input = json!({
        "currency": "usd", "stripeAccountId": account,
        "bankDetails": { "accountName": "Ada Lovelace", "accountNumber": "000123456789", "routingNumber": "110000000", "bankName": "Test", "country": "US" },
    });
    let wallet = app
        .gql(&user, CREATE_WALLET, json!({ "input": input }))
        .await
        .data();
    assert_eq!(wallet["userId"], user.id.to_string());
    assert_eq!(
        (&wallet["balance"], &wallet["isActive"]),
        (&json!("0.00"), &json!(true))
    );
    chrono::DateTime::parse_from_rfc3339(wallet["createdAt"].as_str().unwrap()).unwrap();
    let wallet = id_of(&wallet);

    let input = json!({ "amount": "50.00", "paymentMethod": "STRIPE", "stripePaymentMethodId": "pm_card_visa", "metadata": { "lease": 7 } });
    let deposit = app
        .gql(&user, DEPOSIT, json!({ "walletId": wallet, "input": input }))
        .await
        .data();
    assert_eq!(
        (&deposit["amount"], &deposit["status"]),
        (&json!("50.00"), &json!("PENDING"))
    );
    assert_eq!(
        (&deposit["stripePaymentIntentId"], &deposit["metadata"]),
        (&Value::Null, &json!({ "lease": 7 }))
    );
    app.completed(&user, &id_of(&deposit)).await;

    let (_, other) = app.owner(0).await;
    let input = json!({ "toWalletId": other, "amount": 12.5, "metadata": { "note": "rent" } });
    let transfer = app
        .gql(&user, TRANSFER, json!({ "fromWalletId": wallet, "input": input }))
        .await
        .data();
    assert_eq!(
        (&transfer["amount"], &transfer["status"], &transfer["metadata"]),
        (&json!("12.50"), &json!("PENDING"), &json!({ "note": "rent" }))
    );
    app.completed(&user, &id_of(&transfer)).await;

    let withdrawal = app
        .gql(
            &user,
            WITHDRAW,
            json!({ "walletId": wallet, "input": { "amount": "10" } }),
        )
        .await
        .data();
    assert_eq!(
        (
            &withdrawal["amount"],
            &withdrawal["status"],
            &withdrawal["stripeTransferId"]
        ),
        (&json!("10.00"), &json!("PENDING"), &Value::Null)
    );
    app.completed(&user, &id_of(&withdrawal)).await;
    assert_eq!(app.balances(&user, &wallet).await, (2_750, 0));
    app.finish().await;
}
