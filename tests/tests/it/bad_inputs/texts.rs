//! Texts, JSON values and keys that a client must not attach, and fields that it must not set.

use serde_json::{Value, json};
use wallet_tests::TestApp;

use super::{Wrong, assert_refused};

const TRANSFER: &str =
    "mutation($w: String!, $i: TransferInput!) { transfer(fromWalletId: $w, input: $i) { id } }";
const DEPOSIT: &str = "mutation($w: String!, $i: DepositInput!) { deposit(walletId: $w, input: $i) { id } }";
const WITHDRAW: &str =
    "mutation($w: String!, $i: WithdrawInput!) { withdraw(walletId: $w, input: $i) { id } }";
const CREATE: &str = "mutation($i: CreateWalletInput!) { createWallet(input: $i) { id } }";

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_deceive_or_overflow_are_refused() {
    let app = TestApp::with_workers(0).await;
    let (user, wallet) = app.payee(100_000).await;
    let (_, other) = app.owner(0).await;
    let mut rows = Vec::new();
    let wrong: [(&'static str, Value); 16] = [
        ("description", json!("a\u{0}b")),
        ("description", json!("x".repeat(1_001))),
        ("description", json!("zero\u{200b}width")),
        ("reference", json!("rent\u{202e}tner")),
        ("reference", json!("x".repeat(256))),
        ("reference", json!("bell\u{7}")),
        ("metadata", json!([1])),
        ("metadata", json!("text")),
        ("metadata", json!({ "a": "x".repeat(17_000) })),
        ("metadata", json!({ "a\u{0}": 1 })),
        ("metadata", json!({ "a": "\u{0}" })),
        ("metadata", nested(18)),
        ("idempotencyKey", json!("")),
        ("idempotencyKey", json!("k".repeat(256))),
        ("idempotencyKey", json!("schlüssel")),
        ("idempotencyKey", json!("a\nb")),
    ];
    for (field, value) in &wrong {
        for (name, query) in [
            ("transfer", TRANSFER),
            ("deposit", DEPOSIT),
            ("withdraw", WITHDRAW),
        ] {
            let mut input = json!({ "amount": "1.00" });
            input[*field] = value.clone();
            if name == "transfer" {
                input["toWalletId"] = json!(other);
            }
            let shown = value.to_string().chars().take(40).collect::<String>();
            let row = Wrong::operation(
                format!("{name} with {field} {shown}"),
                &user.token,
                query,
                json!({ "w": wallet, "i": input }),
            );
            rows.push(row.field(field));
        }
    }
    let details = json!({ "accountName": "", "accountNumber": "1" });
    rows.push(
        Wrong::operation(
            "no name",
            &user.token,
            CREATE,
            json!({ "i": { "bankDetails": details } }),
        )
        .field("bankDetails.accountName"),
    );
    let details = json!({ "accountName": "A", "accountNumber": "1", "country": "USA" });
    rows.push(
        Wrong::operation(
            "no country",
            &user.token,
            CREATE,
            json!({ "i": { "bankDetails": details } }),
        )
        .field("bankDetails.country"),
    );
    for details in [
        json!({ "accountName": "A" }),
        json!({ "accountName": "A", "accountNumber": null }),
    ] {
        let input = json!({ "i": { "bankDetails": details } });
        let row = Wrong::operation(format!("no number: {details}"), &user.token, CREATE, input);
        rows.push(row.field("bankDetails.accountNumber"));
    }
    rows.push(
        Wrong::operation(
            "no owner",
            &user.token,
            CREATE,
            json!({ "i": { "userId": "me" } }),
        )
        .field("userId"),
    );
    let megabyte = json!({ "w": wallet, "i": { "amount": "1.00", "description": "x".repeat(1_000_000) } });
    rows.push(Wrong::operation("a megabyte", &user.token, DEPOSIT, megabyte).status(413));
    let deep = format!(
        r#"{{"query":"{{ wallets {{ id }} }}","variables":{}1{}}}"#,
        r#"{"a":"#.repeat(10_000),
        "}".repeat(10_000)
    );
    rows.push(Wrong::body("ten thousand levels", &user.token, deep).status(400));
    assert_refused(&app, &rows).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sets_what_only_the_system_may_set() {
    let app = TestApp::with_workers(0).await;
    let (user, wallet) = app.payee(100_000).await;
    let (_, other) = app.owner(0).await;
    let fields = [
        "balance",
        "frozenBalance",
        "status",
        "userId",
        "isActive",
        "fee",
        "id",
        "stage",
        "stripeCustomerId",
        "createdAt",
    ];
    let mut rows = Vec::new();
    for field in fields {
        let with = |mut input: Value| {
            input[field] = json!("1");
            json!({ "w": wallet, "i": input })
        };
        rows.push(Wrong::operation(
            format!("deposit with {field}"),
            &user.token,
            DEPOSIT,
            with(json!({ "amount": "1" })),
        ));
        rows.push(Wrong::operation(
            format!("withdraw with {field}"),
            &user.token,
            WITHDRAW,
            with(json!({ "amount": "1" })),
        ));
        let input = json!({ "amount": "1", "toWalletId": other });
        rows.push(Wrong::operation(
            format!("transfer with {field}"),
            &user.token,
            TRANSFER,
            with(input),
        ));
        if field != "userId" {
            rows.push(Wrong::operation(
                format!("createWallet with {field}"),
                &user.token,
                CREATE,
                with(json!({})),
            ));
        }
    }
    assert_refused(&app, &rows).await;
    app.finish().await;
}
