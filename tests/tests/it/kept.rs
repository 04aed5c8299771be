//! What is kept, in which form and for how long: digests of requests, bodies of events.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wallet_core::clock::{Clock, SharedClock};
use wallet_core::crypto::{KeyMaterial, PgKeyStore, Vault, WrappingKeys};
use wallet_core::ids::{SharedIds, SystemIds};
use wallet_core::inbox;
use wallet_tests::app::id_of;
use wallet_tests::system::ENCRYPTION_KEY;
use wallet_tests::{Answer, Database, TestApp, User, eventually};

const CREATE: &str = "mutation($i: CreateWalletInput!) { createWallet(input: $i) { id } }";

async fn create(app: &TestApp, user: &User, number: &str) -> Answer {
    let details = json!({ "accountName": "Ada", "accountNumber": number, "country": "DE" });
    let input = json!({ "idempotencyKey": "k", "bankDetails": details });
    app.gql(user, CREATE, json!({ "i": input })).await
}

/// What an earlier version stored for that request.
fn bare(user: &User, number: &str) -> Vec<u8> {
    let details = json!({ "account_name": "Ada", "account_number": number, "routing_number": null, "bank_name": null, "country": "DE" });
    let input =
        json!({ "user_id": user.id, "currency": "usd", "bank_details": details, "stripe_account_id": null });
    let mut hash = Sha256::new();
    hash.update(b"createWallet\0");
    hash.update(serde_json::to_vec(&input).unwrap());
    hash.finalize().to_vec()
}

async fn stored(app: &TestApp) -> Vec<u8> {
    app.db
        .value("SELECT fingerprint FROM idempotency_keys", &[])
        .await
}

const NUMBER: &str = "DE89370400440532013000";
const NEIGHBOURS: [&str; 2] = ["DE89370400440532013001", "FR1420041010050500013M02606"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_number_cannot_be_guessed_from_the_digest_of_a_request() {
    let app = TestApp::with_workers(0).await;
    let ada = User::new();
    let wallet = id_of(&create(&app, &ada, NUMBER).await.data());
    let digest = stored(&app).await;
    for number in [NUMBER, NEIGHBOURS[0], NEIGHBOURS[1]] {
        let guess = bare(&ada, number);
        assert!(!digest.windows(guess.len()).any(|part| part == guess), "{number}");
    }
    assert_eq!(id_of(&create(&app, &ada, NUMBER).await.data()), wallet);
    for number in NEIGHBOURS {
        assert_eq!(
            create(&app, &ada, number).await.code(),
            Some("IDEMPOTENCY_CONFLICT")
        );
    }
    // The same request of somebody else has another one.
    let ben = User::new();
    let _ = create(&app, &ben, NUMBER).await.data();
    assert_eq!(app.db.count("idempotency_keys").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_digest_of_an_earlier_version_matches_until_it_is_keyed_and_after() {
    let mut app = TestApp::with_workers(0).await;
    let ada = User::new();
    let wallet = id_of(&create(&app, &ada, NUMBER).await.data());
    let keyed = stored(&app).await;
    app.db
        .execute(
            "UPDATE idempotency_keys SET fingerprint = $1",
            &[&bare(&ada, NUMBER)],
        )
        .await;
    let repeated = async |app: &TestApp| {
        assert_eq!(id_of(&create(app, &ada, NUMBER).await.data()), wallet);
        for number in NEIGHBOURS {
            assert_eq!(
                create(app, &ada, number).await.code(),
                Some("IDEMPOTENCY_CONFLICT")
            );
        }
    };
    repeated(&app).await;
    app.start_worker();
    let left = "idempotency_keys WHERE octet_length(fingerprint) = 32";
    eventually("it to be keyed", async || app.db.count(left).await == 0).await;
    assert_eq!(stored(&app).await, keyed);
    repeated(&app).await;
    app.finish().await;
}

fn vault(db: &wallet_core::db::Db, clock: &SharedClock, current: &str, previous: &[&str]) -> Vault {
    let key = |text: &str| KeyMaterial::parse(text).unwrap();
    let ids: SharedIds = Arc::new(SystemIds::new(Arc::clone(clock)));
    Vault::new(
        WrappingKeys::new(key(current), previous.iter().map(|text| key(text)).collect()),
        Arc::new(PgKeyStore::new(db.clone())),
        Arc::clone(clock),
        ids,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_go_on_to_match_while_keys_are_rotated_and_after() {
    let database = Database::migrated().await;
    let db = database.pool().await;
    let clock: SharedClock = Arc::new(wallet_core::clock::SystemClock);
    let new = "3f1c85a5c5e9fc54612808977ee8f548b2258d31ddadef707ba7a2b8b7e1f0b7";
    let digest = async |vault: &Vault| {
        vault
            .digester("a purpose")
            .await
            .unwrap()
            .digest(NUMBER.as_bytes())
    };
    let before = digest(&vault(db, &clock, ENCRYPTION_KEY, &[])).await;
    let rotating = vault(db, &clock, new, &[ENCRYPTION_KEY]);
    assert_eq!(digest(&rotating).await, before, "under the previous key");
    rotating.rewrap_all(|_| {}).await.unwrap();
    assert_eq!(digest(&rotating).await, before);
    assert_eq!(
        digest(&vault(db, &clock, new, &[])).await,
        before,
        "without the previous key"
    );
    database.drop().await;
}

/// Stores so many events of this age with a body that nothing can open.
async fn store_events(app: &TestApp, kind: &str, count: i32, age: TimeDelta) {
    let sql = "INSERT INTO stripe_events (id, type, encrypted_body, body_sha256, state, received_at)
               SELECT 'evt_' || $1 || n, 'customer.updated', 'v1.x.y', '\\x00', 'ignored', $3 FROM generate_series(1, $2) n";
    let at = app.clock.now() - age;
    app.db.execute(sql, &[&kind, &count, &at]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_events_are_dropped_after_thirty_days_a_bounded_number_at_a_time() {
    let mut app = TestApp::with_workers(0).await;
    store_events(&app, "old", 1_201, TimeDelta::days(30) + TimeDelta::seconds(1)).await;
    store_events(&app, "young", 7, TimeDelta::days(30) - TimeDelta::minutes(10)).await;
    let with_body = "stripe_events WHERE encrypted_body IS NOT NULL";
    let dropped = {
        let db = app.db.pool().await;
        inbox::drop_bodies(db, app.clock.now()).await.unwrap()
    };
    assert_eq!((dropped, app.db.count(with_body).await), (500, 708));
    app.start_worker();
    eventually("the rest to be dropped", async || {
        app.db.count(with_body).await == 7
    })
    .await;
    assert_eq!(app.db.count("stripe_events").await, 1_208, "the events stay");
    app.advance(TimeDelta::minutes(11)).await;
    eventually("the young ones to be dropped", async || {
        app.db.count(with_body).await == 0
    })
    .await;
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_without_its_body_is_processed_again_all_the_same() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.owner(0).await;
    let id = app.deposited(&alice, &wallet, 2_500, "pm_card_visa").await;
    app.at_rest().await;
    app.db
        .execute("UPDATE stripe_events SET encrypted_body = NULL", &[])
        .await;
    let which = wallet_core::inbox::Replay {
        event_type: Some("payment_intent.*".to_owned()),
        ..wallet_core::inbox::Replay::default()
    };
    let replayed = {
        let conn = &mut app.db.pool().await.conn().await.unwrap();
        wallet_core::inbox::replay(conn, &which, Utc::now())
            .await
            .unwrap()
    };
    assert!(!replayed.is_empty());
    app.at_rest().await;
    let found: Value = app.completed(&alice, &id).await;
    assert_eq!(found["amount"], "25.00");
    app.finish().await;
}
