//! What must not be readable where it does not belong: in the database, in Redis, in other people's answers.

use serde_json::json;
use wallet_tests::app::{Options, id_of};
use wallet_tests::database::dump;
use wallet_tests::system::{ENCRYPTION_KEY, JWT_SECRET, PLATFORM_SECRET, STRIPE_KEY};
use wallet_tests::{TestApp, User, until};

/// Every key of a Redis with its value, as text.
async fn contents(url: &str) -> String {
    let mut redis = redis::Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
    let mut text = keys.join(" ");
    for key in keys {
        let dumped: Option<Vec<u8>> = redis::cmd("DUMP")
            .arg(&key)
            .query_async(&mut redis)
            .await
            .unwrap();
        text.push_str(&String::from_utf8_lossy(&dumped.unwrap_or_default()));
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_and_redis_hold_no_secret_and_no_personal_detail_in_plain_text() {
    let app = TestApp::with(Options {
        own_redis: true,
        ..Options::default()
    })
    .await;
    let alice = User::new();
    let account = app.stripe.account(alice.id).await;
    let bank = app.stripe.get(&format!("/v1/accounts/{account}")).await["external_accounts"]["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let details = json!({
        "accountName": "Canaria Name", "accountNumber": "DE89370400440532013000", "routingNumber": "canaryrouting", "bankName": "Canary Savings", "country": "DE",
    });
    let wallet = app
        .wallet(
            &alice,
            json!({ "stripeAccountId": account, "bankDetails": details }),
        )
        .await;
    let (_, other) = app.owner(0).await;
    let sender = json!({ "name": "Canaria Sender", "phone": "+49canaryphone" });
    let deposit = app
        .deposit(
            &alice,
            &wallet,
            json!({ "amount": "90.00", "stripePaymentMethodId": "pm_card_visa", "senderDetails": sender }),
        )
        .await;
    app.completed(&alice, &id_of(&deposit.data())).await;
    let waiting = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    let secret = until("the client secret", async || {
        app.transaction(&alice, &waiting).await["clientSecret"]
            .as_str()
            .map(str::to_owned)
    })
    .await;
    let receiver = json!({ "iban": "FR1420041010050500013M02606" });
    let transfer = app
        .transfer(
            &alice,
            &wallet,
            json!({ "toWalletId": other, "amount": "10.00", "receiverDetails": receiver }),
        )
        .await;
    app.completed(&alice, &id_of(&transfer.data())).await;
    let withdrawal = app
        .withdraw(
            &alice,
            &wallet,
            json!({ "amount": "10.00", "bankId": bank, "accountName": "Canaria Holder" }),
        )
        .await;
    app.completed(&alice, &id_of(&withdrawal.data())).await;
    let event = json!({ "id": "evt_1canary", "type": "customer.updated", "livemode": false, "data": { "object": { "email": "canary@example.org" } } });
    assert_eq!(app.deliver_signed(&event).await, 200);
    app.at_rest().await;

    let canaries = [
        "Canaria",
        "DE89370400440532013000",
        "canaryrouting",
        "Canary Savings",
        "canaryphone",
        "FR1420041010050500013M02606",
        "canary@example.org",
        secret.as_str(),
        "_secret_",
        bank.as_str(),
        STRIPE_KEY,
        PLATFORM_SECRET,
        JWT_SECRET,
        ENCRYPTION_KEY,
        alice.token.as_str(),
        "4242",
    ];
    let database = dump(&app.db.url().await, &["--data-only"]).await;
    assert!(database.contains(&wallet), "the dump holds the rows");
    let mut redis = contents(app.variables.get("REDIS_URL").unwrap()).await;
    for node in &app.redis().locks {
        redis.push_str(&contents(&node.url()).await);
    }
    for canary in canaries {
        // Timestamps and ids have digits too: a short one is looked for as a value.
        let found = if canary == "4242" {
            database.contains("\"4242\"")
        } else {
            database.contains(canary)
        };
        assert!(!found, "the database holds {canary}");
        assert!(
            canary == "4242" || !redis.contains(canary),
            "Redis holds {canary}"
        );
    }
    // And what was sealed comes out again for whom it belongs to.
    assert_eq!(app.transaction(&alice, &waiting).await["clientSecret"], secret);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_of_one_person_reaches_another() {
    let app = TestApp::start().await;
    let (bob, his) = app.owner(10_000).await;
    let (alice, hers) = app.owner(0).await;
    let input = json!({ "toWalletId": hers, "amount": "10.00", "metadata": { "x": "canary-metadata" }, "receiverDetails": { "x": "canary-details" } });
    let sent = id_of(&app.transfer(&bob, &his, input).await.data());
    app.completed(&bob, &sent).await;
    let deposit = app
        .deposit(
            &bob,
            &his,
            json!({ "amount": "5.00", "reference": "canary-reference", "description": "canary-description" }),
        )
        .await;
    let deposit = id_of(&deposit.data());
    app.at_stage(&deposit, "awaiting_payment").await;
    let everything = "{ wallets { id userId balance transactions(first: 5) { edges { node {
        id walletId amount reference description metadata clientSecret failureReason counterpartyWalletId timeline { message detail } } } } } }";
    let own = app.gql(&alice, everything, json!({})).await.body.to_string();
    assert!(own.contains(&sent), "she sees what was sent to her");
    let other = [
        app.gql(
            &alice,
            "query($w: String!, $t: String!) { wallet(id: $w) { balance } transaction(id: $t) { amount } }",
            json!({ "w": his, "t": deposit }),
        )
        .await
        .body,
        app.transaction(&alice, &sent).await,
        app.withdraw(&alice, &his, json!({ "amount": "1" })).await.body,
    ];
    let answers = format!("{own}{}{}{}", other[0], other[1], other[2]);
    for canary in ["canary", deposit.as_str(), "90.00", "_secret_"] {
        assert!(!answers.contains(canary), "{canary} in {answers}");
    }
    app.finish().await;
}
