//! Ownership: who may see and create what.

use serde_json::{Value, json};
use uuid::Uuid;
use wallet_tests::app::id_of;
use wallet_tests::{Role, TestApp, User};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_others_looks_like_what_does_not_exist() {
    let app = TestApp::start().await;
    let (alice, hers) = app.owner(10_000).await;
    let (bob, his) = app.owner(0).await;
    let stranger = User::new();
    let input = json!({ "toWalletId": his, "amount": "10.00", "metadata": { "secret": "hers" }, "reference": "R-1", "description": "for you" });
    let sent = id_of(&app.transfer(&alice, &hers, input).await.data());
    app.completed(&alice, &sent).await;

    let wallet = "query($id: String!) { wallet(id: $id) { id balance } }";
    for nothing in [
        hers.clone(),
        Uuid::now_v7().to_string(),
        "no id".to_owned(),
        sent.clone(),
    ] {
        assert_eq!(
            app.gql(&stranger, wallet, json!({ "id": nothing })).await.data(),
            Value::Null,
            "{nothing}"
        );
    }
    for nothing in [
        sent.clone(),
        Uuid::now_v7().to_string(),
        "no id".to_owned(),
        hers.clone(),
    ] {
        assert_eq!(
            app.transaction(&stranger, &nothing).await,
            Value::Null,
            "{nothing}"
        );
    }
    let refusals = [
        app.withdraw(&stranger, &hers, json!({ "amount": "1" })).await,
        app.withdraw(&stranger, &Uuid::now_v7().to_string(), json!({ "amount": "1" }))
            .await,
        app.deposit(&stranger, &hers, json!({ "amount": "1" })).await,
        app.transfer(&stranger, &hers, json!({ "toWalletId": his, "amount": "1" }))
            .await,
        app.transfer(
            &stranger,
            &Uuid::now_v7().to_string(),
            json!({ "toWalletId": his, "amount": "1" }),
        )
        .await,
    ];
    for refusal in &refusals {
        assert_eq!(
            (refusal.status, refusal.code(), refusal.message()),
            (200, Some("WALLET_NOT_FOUND"), refusals[0].message())
        );
    }
    let list = "query($u: String) { wallets(userId: $u) { id } }";
    assert_eq!(
        app.gql(&stranger, list, json!({ "u": alice.id })).await.code(),
        Some("FORBIDDEN")
    );
    assert_eq!(app.gql(&stranger, list, json!({})).await.data(), json!([]));
    assert_eq!(
        app.gql(&alice, list, json!({ "u": alice.id })).await.data(),
        json!([{ "id": hers }])
    );

    // The counterparty sees the row, without what is the owner's own business.
    let seen = app.transaction(&bob, &sent).await;
    assert_eq!(
        (&seen["direction"], &seen["amount"], &seen["reference"]),
        (&json!("IN"), &json!("10.00"), &json!("R-1"))
    );
    assert_eq!(
        (&seen["metadata"], &seen["timeline"], &seen["failureReason"]),
        (&Value::Null, &json!([]), &Value::Null)
    );

    // Staff sees all of it and moves none of it.
    let support = User::with_role(Role::Support);
    assert_eq!(
        app.transaction(&support, &sent).await["metadata"],
        json!({ "secret": "hers" })
    );
    assert_eq!(
        app.gql(&support, list, json!({ "u": alice.id })).await.data(),
        json!([{ "id": hers }])
    );
    let (amount, to_bob) = (
        json!({ "amount": "1" }),
        json!({ "toWalletId": his, "amount": "1" }),
    );
    for role in [Role::Support, Role::Operator, Role::Admin] {
        let staff = User::with_role(role);
        for refused in [
            app.withdraw(&staff, &hers, amount.clone()).await,
            app.deposit(&staff, &hers, amount.clone()).await,
            app.transfer(&staff, &hers, to_bob.clone()).await,
            app.pay(&staff, &hers, to_bob.clone()).await,
        ] {
            let told = refused.message();
            assert_eq!(refused.code(), Some("FORBIDDEN"), "{role:?}: {told}");
            assert!(told.starts_with("only the owner of a wallet may "), "{told}");
        }
        let nobodys = Uuid::now_v7().to_string();
        let nothing = app.withdraw(&staff, &nobodys, amount.clone()).await;
        assert_eq!(nothing.code(), Some("WALLET_NOT_FOUND"));
    }
    let refused = app.cancel(&support, &sent).await;
    assert_eq!(refused.code(), Some("FORBIDDEN"), "{}", refused.message());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wallets_are_created_for_others_by_operators_only() {
    let app = TestApp::with_workers(0).await;
    let owner = Uuid::new_v4();
    let query = "mutation($i: CreateWalletInput!) { createWallet(input: $i) { userId } }";
    for (role, code) in [
        (Role::User, Some("FORBIDDEN")),
        (Role::Support, Some("FORBIDDEN")),
        (Role::Operator, None),
        (Role::Admin, None),
    ] {
        let answer = app
            .gql(&User::with_role(role), query, json!({ "i": { "userId": owner } }))
            .await;
        assert_eq!(answer.code(), code, "{role:?}");
        if code.is_none() {
            assert_eq!(answer.data()["userId"], owner.to_string());
        }
    }
    app.finish().await;
}
