//! Invalid amounts and currencies.

use serde_json::{Value, json};
use wallet_tests::app::id_of;
use wallet_tests::{TestApp, User};

use super::{Wrong, assert_refused};

const DEPOSIT: &str = "mutation($w: String!, $i: DepositInput!) { deposit(walletId: $w, input: $i) { id } }";
const WITHDRAW: &str =
    "mutation($w: String!, $i: WithdrawInput!) { withdraw(walletId: $w, input: $i) { id } }";
const TRANSFER: &str =
    "mutation($w: String!, $i: TransferInput!) { transfer(fromWalletId: $w, input: $i) { id } }";
const CREATE: &str = "mutation($i: CreateWalletInput!) { createWallet(input: $i) { id } }";

/// Values that are no amount of US dollars, as JSON.
fn no_amounts() -> Vec<Value> {
    let texts = [
        "0",
        "0.00",
        "-1",
        "-0.00",
        "0.001",
        "1e3",
        "NaN",
        "Infinity",
        "-Infinity",
        "9223372036854775807",
        "9223372036854775808",
        "10000000000000",
        " 10 ",
        "10,00",
        "1,000.00",
        "１０",
        "١٠",
        "0x10",
        "+1",
        "",
        " ",
        ".5",
        "5.",
        "1.2.3",
        "10 usd",
        "٠",
        "null",
        "99999999999999999999999999999999999999999999",
    ];
    let numbers = [
        "0",
        "-1",
        "0.001",
        "0.30000000000000004",
        "1e300",
        "9223372036854775807",
        "18446744073709551616",
        "1e-7",
    ];
    let others = [json!(true), json!(null), json!({}), json!([1]), json!(["1.00"])];
    let numbers = numbers.iter().map(|number| serde_json::from_str(number).unwrap());
    texts
        .iter()
        .map(|text| json!(text))
        .chain(numbers)
        .chain(others)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_amount_moves_nothing() {
    let app = TestApp::with_workers(0).await;
    let (user, wallet) = app.payee(1_000_000).await;
    let (_, other) = app.owner(0).await;
    let mut rows = Vec::new();
    for amount in no_amounts() {
        for (name, query) in [
            ("deposit", DEPOSIT),
            ("withdraw", WITHDRAW),
            ("transfer", TRANSFER),
        ] {
            let mut input = json!({ "amount": amount });
            if name == "transfer" {
                input["toWalletId"] = json!(other);
            }
            let row = Wrong::operation(
                format!("{name} of {amount}"),
                &user.token,
                query,
                json!({ "w": wallet, "i": input }),
            );
            // A list or an object is no Decimal at all; which of its parts is named is the engine's business.
            rows.push(
                if amount.is_array() || amount.is_object() || amount.is_null() || amount.is_boolean() {
                    row
                } else {
                    row.field("amount")
                },
            );
        }
    }
    assert_refused(&app, &rows).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_amount_fits_its_currency_and_what_stripe_takes() {
    let app = TestApp::with_workers(0).await;
    let user = User::new();
    let yen = app.wallet(&user, json!({ "currency": "JPY" })).await;
    let account = json!({ "user_id": user.id, "currency": "huf" });
    let account = id_of(&app.stripe.control("accounts", account).await);
    let forint = app
        .wallet(&user, json!({ "currency": "huf", "stripeAccountId": account }))
        .await;
    let shilling = app.wallet(&user, json!({ "currency": "ugx" })).await;
    let dollars = app.wallet(&user, json!({ "currency": "UsD" })).await;
    app.plant(&dollars, 10_000).await;
    let deposit = |what: &str, wallet: &str, input: Value| {
        Wrong::operation(what, &user.token, DEPOSIT, json!({ "w": wallet, "i": input }))
    };
    let mut rows = vec![
        deposit("yen with decimals", &yen, json!({ "amount": "100.50" })).field("amount"),
        deposit("yen with zero decimals", &yen, json!({ "amount": "100.00" })).field("amount"),
        deposit("fewer yen than Stripe charges", &yen, json!({ "amount": "49" })).field("amount"),
        deposit(
            "fewer cents than Stripe charges",
            &dollars,
            json!({ "amount": "0.49" }),
        )
        .field("amount"),
        deposit(
            "more than Stripe charges at once",
            &dollars,
            json!({ "amount": "1000000.00" }),
        )
        .field("amount"),
        deposit("parts of a shilling", &shilling, json!({ "amount": "500.50" })).field("amount"),
        deposit(
            "a bank debit in yen",
            &yen,
            json!({ "amount": "100", "paymentMethod": "BANK_TRANSFER" }),
        )
        .field("paymentMethod"),
        deposit(
            "an unknown way to pay",
            &dollars,
            json!({ "amount": "1", "paymentMethod": "CASH" }),
        ),
        deposit(
            "no id of a payment method",
            &dollars,
            json!({ "amount": "1", "stripePaymentMethodId": "x" }),
        )
        .field("stripePaymentMethodId"),
        deposit(
            "an injected payment method",
            &dollars,
            json!({ "amount": "1", "stripePaymentMethodId": "pm_1&amount=2" }),
        )
        .field("stripePaymentMethodId"),
        Wrong::operation(
            "parts of a forint paid out",
            &user.token,
            WITHDRAW,
            json!({ "w": forint, "i": { "amount": "10.50" } }),
        )
        .field("amount"),
        Wrong::operation(
            "no id of a bank",
            &user.token,
            WITHDRAW,
            json!({ "w": forint, "i": { "amount": "10", "bankId": "../ba_1" } }),
        )
        .field("bankId"),
        Wrong::operation(
            "to itself",
            &user.token,
            TRANSFER,
            json!({ "w": dollars, "i": { "toWalletId": dollars, "amount": "1" } }),
        )
        .field("toWalletId"),
        Wrong::operation(
            "a cent too much",
            &user.token,
            TRANSFER,
            json!({ "w": dollars, "i": { "toWalletId": yen, "amount": "1" } }),
        )
        .code("CURRENCY_MISMATCH"),
    ];
    for currency in ["XXX", "kwd", "bhd", "", "us", "usd ", "dollar", "\u{0}"] {
        let row = Wrong::operation(
            format!("currency {currency:?}"),
            &user.token,
            CREATE,
            json!({ "i": { "currency": currency } }),
        );
        rows.push(row.field("currency"));
    }
    for account in ["x", "acct_", "acct_../1", "cus_1"] {
        let row = Wrong::operation(
            format!("account {account:?}"),
            &user.token,
            CREATE,
            json!({ "i": { "stripeAccountId": account } }),
        );
        rows.push(row.field("stripeAccountId"));
    }
    assert_refused(&app, &rows).await;
    app.finish().await;
}
