//! Personal details: their owner reads them, masked in lists; staff do on record; the other side does not.

use serde_json::{Value, json};
use wallet_dev::token::Role;
use wallet_tests::app::{id_of, uuid};
use wallet_tests::{TestApp, User};

const WALLET: &str = "query($id: String!) { wallet(id: $id) { bankDetails { accountName accountNumber routingNumber bankName country }
    transactions(first: 10) { nodes { id senderDetails receiverDetails accountName bankId } } } }";
const WALLETS: &str = "query($u: String) { wallets(userId: $u) { bankDetails { accountName accountNumber routingNumber bankName country } } }";
const ONE: &str =
    "query($id: String!) { transaction(id: $id) { senderDetails receiverDetails accountName bankId } }";

fn details() -> Value {
    json!({ "accountName": "Ada Lovelace", "accountNumber": "DE89370400440532013000", "routingNumber": "37040044",
            "bankName": "A Bank", "country": "DE" })
}

async fn reads(app: &TestApp) -> Vec<(String, String)> {
    let sql = "SELECT actor, detail->>'detail' FROM audit_log WHERE action = 'read_details' ORDER BY 1, 2";
    app.db
        .rows(sql, &[])
        .await
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gave_details_reads_them_masked_in_lists_and_staff_read_them_on_record() {
    let app = TestApp::with_workers(0).await;
    let ada = User::new();
    let account = app.stripe.account(ada.id).await;
    let wallet = app
        .wallet(
            &ada,
            json!({ "bankDetails": details(), "stripeAccountId": account }),
        )
        .await;
    app.plant(&wallet, 10_000).await;
    let (ben, his) = app.owner(0).await;
    let sender = json!({ "name": "Tom", "iban": "FR1420041010050500013M02606", "flat": 12 });
    let receiver = json!({ "note": "the landlord of the second floor" });
    let deposit = json!({ "amount": "5.00", "senderDetails": sender });
    let deposit = id_of(&app.deposit(&ada, &wallet, deposit).await.data());
    let transfer = json!({ "toWalletId": his, "amount": "5.00", "receiverDetails": receiver });
    let transfer = id_of(&app.transfer(&ada, &wallet, transfer).await.data());
    let bank = "ba_1MtFeJ2eZvKYlo2C4kL9pQ7z";
    let withdrawal = json!({ "amount": "5.00", "accountName": "Ada Lovelace", "bankId": bank });
    let withdrawal = id_of(&app.withdraw(&ada, &wallet, withdrawal).await.data());
    let one = async |user: &User, id: &str| app.gql(user, ONE, json!({ "id": id })).await.data();
    let of = async |user: &User, wallet: &str| app.gql(user, WALLET, json!({ "id": wallet })).await.data();

    // Its owner: in full, and masked in lists.
    assert_eq!(one(&ada, &deposit).await["senderDetails"], sender);
    assert_eq!(one(&ada, &transfer).await["receiverDetails"], receiver);
    let hers_alone = one(&ada, &withdrawal).await;
    assert_eq!(
        (&hers_alone["accountName"], &hers_alone["bankId"]),
        (&json!("Ada Lovelace"), &json!(bank))
    );
    assert_eq!(one(&ada, &deposit).await["bankId"], Value::Null);
    let hers = of(&ada, &wallet).await;
    assert_eq!(hers["bankDetails"], details());
    let listed = |id: &str| {
        let nodes = hers["transactions"]["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["id"] == id).unwrap().clone()
    };
    assert_eq!(
        listed(&deposit)["senderDetails"],
        json!({ "name": "••••", "iban": "••••2606", "flat": "••••" })
    );
    assert_eq!(
        listed(&transfer)["receiverDetails"],
        json!({ "note": "••••loor" })
    );
    assert_eq!(listed(&withdrawal)["accountName"], "A•••");
    assert_eq!(listed(&withdrawal)["bankId"], "••••pQ7z");
    let list = app.gql(&ada, WALLETS, json!({})).await.data();
    let masked = json!({ "accountName": "A•••", "accountNumber": "••••3000", "routingNumber": "••••0044", "bankName": "A Bank", "country": "DE" });
    assert_eq!(list[0]["bankDetails"], masked);
    assert!(reads(&app).await.is_empty());

    // The other side of the transfer: nothing of it.
    let seen = one(&ben, &transfer).await;
    assert_eq!(
        seen,
        json!({ "senderDetails": null, "receiverDetails": null, "accountName": null, "bankId": null })
    );
    assert_eq!(
        of(&ben, &his).await["transactions"]["nodes"][0]["receiverDetails"],
        Value::Null
    );
    assert_eq!(of(&ben, &wallet).await, Value::Null);

    // Staff: one at a time and on record; in lists nothing.
    let support = User::with_role(Role::Support);
    assert_eq!(one(&support, &deposit).await["senderDetails"], sender);
    let seen = one(&support, &withdrawal).await;
    assert_eq!(
        (&seen["accountName"], &seen["bankId"]),
        (&json!("Ada Lovelace"), &json!(bank))
    );
    let seen = of(&support, &wallet).await;
    assert_eq!(seen["bankDetails"], details());
    assert!(
        seen["transactions"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| {
                node["senderDetails"].is_null()
                    && node["receiverDetails"].is_null()
                    && node["accountName"].is_null()
                    && node["bankId"].is_null()
            })
    );
    let list = app.gql(&support, WALLETS, json!({ "u": ada.id })).await.data();
    assert_eq!(list[0]["bankDetails"], Value::Null);
    let who = format!("user:{}", support.id);
    let expected = [
        "encrypted_account_name",
        "encrypted_bank_details",
        "encrypted_bank_id",
        "encrypted_sender_details",
    ];
    assert_eq!(
        reads(&app).await,
        expected.map(|detail| (who.clone(), detail.to_owned()))
    );
    let of_row =
        "SELECT count(*) FROM audit_log WHERE action = 'read_details' AND transaction_ids = ARRAY[$1::uuid]";
    assert_eq!(app.db.value::<i64>(of_row, &[&uuid(&deposit)]).await, 1);
    app.abandon().await;
}
