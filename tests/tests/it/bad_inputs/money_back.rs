//! Invalid payments, refunds, cancellations and onboardings.

use serde_json::{Value, json};
use uuid::Uuid;
use wallet_tests::app::id_of;
use wallet_tests::{TestApp, User};

use super::{Wrong, assert_refused};

const PAY: &str = "mutation($w: String!, $i: PayInput!) { pay(walletId: $w, input: $i) { id } }";
const REFUND: &str =
    "mutation($t: String!, $i: RefundInput!) { refund(transactionId: $t, input: $i) { id } }";
const CANCEL: &str = "mutation($t: String!) { cancelTransaction(transactionId: $t) { id } }";
const ONBOARD: &str =
    "mutation($w: String!, $i: OnboardPayoutsInput!) { onboardPayouts(walletId: $w, input: $i) { url } }";

/// A value that is no amount of US dollars; [`super::amounts`] has all of them.
const NO_AMOUNTS: [&str; 6] = ["0", "-1", "0.001", "1e3", "NaN", "10000000000000"];

fn operation(what: &str, user: &User, query: &str, variables: Value) -> Wrong {
    Wrong::operation(what, &user.token, query, variables)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_that_cannot_be_meant_move_nothing() {
    let app = TestApp::with_workers(0).await;
    let (tenant, from) = app.owner(1_000).await;
    let (landlord, to) = app.owner(0).await;
    let yen = app.wallet(&landlord, json!({ "currency": "jpy" })).await;
    let closed = app.wallet(&landlord, json!({})).await;
    let sql = "UPDATE wallets SET is_active = false WHERE id = $1";
    app.db.execute(sql, &[&wallet_tests::app::uuid(&closed)]).await;
    let sql = "INSERT INTO fee_rules (currency, basis_points, minimum) VALUES ('usd', 100, 0.50)";
    app.db.execute(sql, &[]).await;
    let pay = |what: &str, user: &User, wallet: &str, input: Value| {
        operation(what, user, PAY, json!({ "w": wallet, "i": input }))
    };
    let mut rows = vec![
        pay(
            "more than there is",
            &tenant,
            &from,
            json!({ "toWalletId": to, "amount": "10.01" }),
        )
        .code("INSUFFICIENT_FUNDS"),
        pay(
            "nothing left for the payee",
            &tenant,
            &from,
            json!({ "toWalletId": to, "amount": "0.50" }),
        )
        .field("amount"),
        pay(
            "to itself",
            &tenant,
            &from,
            json!({ "toWalletId": from, "amount": "1" }),
        )
        .field("toWalletId"),
        pay(
            "to nobody",
            &tenant,
            &from,
            json!({ "toWalletId": Uuid::now_v7(), "amount": "1" }),
        )
        .code("WALLET_NOT_FOUND"),
        pay(
            "to no id",
            &tenant,
            &from,
            json!({ "toWalletId": "x", "amount": "1" }),
        )
        .code("WALLET_NOT_FOUND"),
        pay(
            "to another currency",
            &tenant,
            &from,
            json!({ "toWalletId": yen, "amount": "1" }),
        )
        .code("CURRENCY_MISMATCH"),
        pay(
            "to a wallet that is closed",
            &tenant,
            &from,
            json!({ "toWalletId": closed, "amount": "1" }),
        )
        .code("WALLET_INACTIVE"),
        pay(
            "out of a stranger's wallet",
            &landlord,
            &from,
            json!({ "toWalletId": to, "amount": "1" }),
        )
        .code("WALLET_NOT_FOUND"),
        pay("no payee", &tenant, &from, json!({ "amount": "1" })).field("toWalletId"),
        pay(
            "details of a transfer",
            &tenant,
            &from,
            json!({ "toWalletId": to, "amount": "1", "receiverDetails": {} }),
        )
        .field("receiverDetails"),
        pay(
            "metadata that is a list",
            &tenant,
            &from,
            json!({ "toWalletId": to, "amount": "1", "metadata": [1] }),
        )
        .field("metadata"),
        pay(
            "a reference that deceives",
            &tenant,
            &from,
            json!({ "toWalletId": to, "amount": "1", "reference": "rent\u{202e}tner" }),
        )
        .field("reference"),
        pay(
            "a blank key",
            &tenant,
            &from,
            json!({ "toWalletId": to, "amount": "1", "idempotencyKey": " " }),
        )
        .field("idempotencyKey"),
    ];
    for amount in NO_AMOUNTS {
        let input = json!({ "toWalletId": to, "amount": amount });
        rows.push(pay(&format!("a payment of {amount}"), &tenant, &from, input).field("amount"));
    }
    assert_refused(&app, &rows).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_and_cancellations_that_cannot_be_meant_move_nothing() {
    let mut app = TestApp::start().await;
    let (tenant, from) = app.owner(20_000).await;
    let (landlord, to) = app.owner(0).await;
    let (stranger, _) = app.owner(0).await;
    let support = User::with_role(wallet_tests::Role::Support);
    let payment = app
        .pay(&tenant, &from, json!({ "toWalletId": to, "amount": "100.00" }))
        .await;
    let payment = id_of(&payment.data());
    let transfer = app.send(&tenant, &from, &to, 100).await;
    app.completed(&tenant, &payment).await;
    app.completed(&tenant, &transfer).await;
    app.at_rest().await;
    app.stop_workers().await;
    // Spent meanwhile: the payee has 1 of the 99 that it got.
    let spent = id_of(
        &app.transfer(&landlord, &to, json!({ "toWalletId": from, "amount": "99.00" }))
            .await
            .data(),
    );
    app.start_worker();
    app.completed(&landlord, &spent).await;
    app.at_rest().await;
    app.stop_workers().await;
    let waiting = app.send(&tenant, &from, &to, 100).await;
    let refund = |what: &str, user: &User, id: &str, input: Value| {
        operation(what, user, REFUND, json!({ "t": id, "i": input }))
    };
    let cancel = |what: &str, user: &User, id: &str| operation(what, user, CANCEL, json!({ "t": id }));
    let nobody = Uuid::now_v7().to_string();
    let mut rows = vec![
        refund("of nothing", &landlord, &nobody, json!({})).code("TRANSACTION_NOT_FOUND"),
        refund("of no id", &landlord, "x", json!({})).code("TRANSACTION_NOT_FOUND"),
        refund("by a stranger", &stranger, &payment, json!({})).code("TRANSACTION_NOT_FOUND"),
        refund("by support", &support, &payment, json!({})).code("FORBIDDEN"),
        refund("by the payer", &tenant, &payment, json!({ "amount": "1" })).code("FORBIDDEN"),
        refund("of a transfer", &landlord, &transfer, json!({})).code("INVALID_STATE"),
        refund(
            "more than was paid",
            &landlord,
            &payment,
            json!({ "amount": "100.01" }),
        )
        .code("INVALID_STATE"),
        refund(
            "more than the payee has",
            &landlord,
            &payment,
            json!({ "amount": "50.00" }),
        )
        .code("INSUFFICIENT_FUNDS"),
        refund("no input", &landlord, &payment, Value::Null),
        refund(
            "a reason that is too long",
            &landlord,
            &payment,
            json!({ "reason": "x".repeat(1_001) }),
        )
        .field("reason"),
        refund(
            "a reason that deceives",
            &landlord,
            &payment,
            json!({ "reason": "a\u{200b}b" }),
        )
        .field("reason"),
        refund(
            "a blank key",
            &landlord,
            &payment,
            json!({ "amount": "1", "idempotencyKey": "" }),
        )
        .field("idempotencyKey"),
        cancel("of nothing", &tenant, &nobody).code("TRANSACTION_NOT_FOUND"),
        cancel("of no id", &tenant, "").code("TRANSACTION_NOT_FOUND"),
        cancel("by a stranger", &stranger, &waiting).code("TRANSACTION_NOT_FOUND"),
        cancel("by support", &support, &waiting).code("FORBIDDEN"),
        cancel("by the payee", &landlord, &waiting).code("FORBIDDEN"),
        cancel("of what is done", &tenant, &payment).code("INVALID_STATE"),
    ];
    for amount in NO_AMOUNTS {
        let input = json!({ "amount": amount });
        rows.push(refund(&format!("a refund of {amount}"), &landlord, &payment, input).field("amount"));
    }
    assert_refused(&app, &rows).await;
    app.start_worker();
    app.completed(&tenant, &waiting).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn onboardings_that_cannot_be_meant_ask_nothing_of_stripe() {
    let app = TestApp::with_workers(0).await;
    let (landlord, wallet) = app.owner(0).await;
    let (stranger, _) = app.owner(0).await;
    let operator = User::with_role(wallet_tests::Role::Operator);
    let closed = app.wallet(&landlord, json!({})).await;
    let sql = "UPDATE wallets SET is_active = false WHERE id = $1";
    app.db.execute(sql, &[&wallet_tests::app::uuid(&closed)]).await;
    let good = json!({ "returnUrl": "https://example.com/a", "refreshUrl": "https://example.com/b" });
    let onboard = |what: &str, user: &User, wallet: &str, input: &Value| {
        operation(what, user, ONBOARD, json!({ "w": wallet, "i": input }))
    };
    let mut rows = vec![
        onboard("a stranger's wallet", &stranger, &wallet, &good).code("WALLET_NOT_FOUND"),
        onboard("another's, by an operator", &operator, &wallet, &good).code("FORBIDDEN"),
        onboard("no wallet", &landlord, "x", &good).code("WALLET_NOT_FOUND"),
        onboard("a wallet that is closed", &landlord, &closed, &good).code("WALLET_INACTIVE"),
    ];
    let long = format!("https://example.com/{}", "x".repeat(2_100));
    for url in [
        "",
        "/payouts",
        "example.com",
        "http://example.com/",
        "ftp://example.com/",
        "javascript:alert(1)",
        "https://user:secret@example.com/",
        "https://example.com/ x",
        &long,
    ] {
        for field in ["returnUrl", "refreshUrl"] {
            let mut input = good.clone();
            input[field] = json!(url);
            rows.push(onboard(&format!("{field} {url:?}"), &landlord, &wallet, &input).field(field));
        }
    }
    assert_refused(&app, &rows).await;
    assert_eq!(app.stripe.effects("account*").await, Vec::<Value>::new());
    app.finish().await;
}
