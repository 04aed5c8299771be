//! The invariants find what violates them: for every check a violation is planted, which it and the other checks that should find it do find.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wallet_core::verify::{self, Scope, Window};
use wallet_tests::app::{id_of, uuid};
use wallet_tests::{Database, TestApp, programs};

/// Only checks that need a minute of waiting have no planted violation.
const NOT_PLANTED: &str = "I22 sessions";

/// What is changed behind the system's back, and which checks must find it: these and no others.
const PLANTED: &[(&str, &str, &[&str])] = &[
    (
        "an entry is changed",
        "UPDATE ledger_entries SET amount = amount + 1 WHERE transaction_id = {deposit} AND account = 'wallet:available'",
        &["I1 currency", "I1 transaction", "I16 postings", "I6 balances"],
    ),
    (
        "the entries of a deposit are gone",
        "DELETE FROM ledger_entries WHERE transaction_id = {deposit}",
        &["I16 postings", "I25 totals", "I6 balances"],
    ),
    (
        "an entry is in another currency than its wallet",
        "UPDATE ledger_entries SET currency = 'eur' WHERE transaction_id = {deposit}",
        &["I16 postings", "I25 totals", "I5 entries"],
    ),
    (
        "a balance is changed",
        "UPDATE wallets SET balance = balance + 1 WHERE id = {payer}",
        &["I25 history", "I25 totals", "I6 balances"],
    ),
    (
        "what is held is made spendable",
        "UPDATE wallets SET balance = balance + frozen_balance, frozen_balance = 0 WHERE id = {payer}",
        &["I16 holds", "I6 balances"],
    ),
    (
        "a balance is negative",
        "ALTER TABLE wallets DROP CONSTRAINT wallets_balance_check; UPDATE wallets SET balance = -1 WHERE id = {payee}",
        &["I15 negative", "I25 history", "I25 totals", "I6 balances"],
    ),
    (
        "a debt comes from nowhere",
        "UPDATE wallets SET owed_balance = 1 WHERE id = {payee}",
        &["I16 receivable", "I25 history"],
    ),
    (
        "a withdrawal that is under way is called completed",
        "UPDATE wallet_transactions SET stage = 'completed', status = 'completed' WHERE id = {withdrawal}",
        &["I16 holds", "I16 postings", "I25 history", "I7 history"],
    ),
    (
        "a status is not that of its stage",
        "UPDATE wallet_transactions SET status = 'failed' WHERE id = {transfer}",
        &["I25 history", "I7 status"],
    ),
    (
        "a transaction is gone",
        "DELETE FROM wallet_transactions WHERE id = {transfer}",
        &["I25 history", "I5 entries", "I7 history", "I9 keys", "links"],
    ),
    (
        "an amount is changed",
        "UPDATE wallet_transactions SET amount = amount + 1 WHERE id = {transfer}",
        &["I25 history"],
    ),
    (
        "a currency is none that we hold",
        "UPDATE wallet_transactions SET currency = 'kwd' WHERE id = {transfer}",
        &["I17 amounts", "I17 owners"],
    ),
    (
        "a transaction is somebody else's",
        "UPDATE wallet_transactions SET user_id = gen_random_uuid() WHERE id = {transfer}",
        &["I17 owners"],
    ),
    (
        "the record of a change is gone",
        "DELETE FROM audit_log WHERE action = 'settle' AND {transfer} = ANY(transaction_ids)",
        &["I7 history"],
    ),
    (
        "the record of an acceptance is gone",
        "DELETE FROM audit_log WHERE action = 'accept' AND {transfer} = ANY(transaction_ids)",
        &["I7 history"],
    ),
    (
        "a request was accepted twice",
        "INSERT INTO audit_log (at, actor, action, request_id, transaction_ids, detail)
         SELECT at, actor, action, request_id, transaction_ids, detail FROM audit_log WHERE action = 'accept' AND {transfer} = ANY(transaction_ids)",
        &["I7 history"],
    ),
    (
        "a change is no edge of its flow",
        "UPDATE audit_log SET detail = '{\"stages\": [[\"accepted\", \"held\"]]}'
          WHERE action = 'settle' AND {transfer} = ANY(transaction_ids)",
        &["I7 history"],
    ),
    (
        "a record does not say in which request",
        "UPDATE audit_log SET request_id = NULL WHERE action = 'accept' AND {transfer} = ANY(transaction_ids)",
        &["I12 audit"],
    ),
    (
        "an intent leads nowhere",
        "DELETE FROM external_refs WHERE kind = 'payment_intent' AND transaction_id = {deposit}",
        &["I19 objects"],
    ),
    (
        "an intent leads to another transaction",
        "UPDATE external_refs SET transaction_id = {transfer} WHERE kind = 'payment_intent' AND transaction_id = {deposit}",
        &["I19 objects"],
    ),
    (
        "a Stripe object is of a transaction that does not exist",
        "INSERT INTO external_refs (kind, external_id, transaction_id, created_at) VALUES ('refund', 're_1', gen_random_uuid(), now())",
        &["links"],
    ),
    (
        "a key stands for nothing",
        "UPDATE idempotency_keys SET transaction_id = gen_random_uuid() WHERE transaction_id = {transfer}",
        &["I9 keys"],
    ),
    (
        "a secret is not sealed",
        "UPDATE wallet_transactions SET encrypted_client_secret = 'pi_1_secret_1' WHERE id = {deposit}",
        &["I14 sealed"],
    ),
    (
        "the key of a sealed value is unknown",
        "UPDATE wallet_transactions SET encrypted_client_secret =
                'v1.' || gen_random_uuid() || substr(encrypted_client_secret, 40) WHERE id = {deposit}",
        &["I14 sealed"],
    ),
    (
        "a sealed value stands in two places",
        "UPDATE wallet_transactions SET encrypted_bank_id = encrypted_client_secret WHERE id = {deposit}",
        &["I14 nonces"],
    ),
    (
        "the job of a transaction is gone",
        "DELETE FROM jobs WHERE transaction_id = {waiting}",
        &["I3 business"],
    ),
    (
        "a job is parked and nobody is told",
        "UPDATE jobs SET parked_at = now() WHERE transaction_id = {waiting}",
        &["I3 alarms"],
    ),
    (
        "a lease has no holder",
        "UPDATE jobs SET lease_until = now() WHERE transaction_id = {waiting}",
        &["I10 claims"],
    ),
    (
        "an event is forgotten",
        "UPDATE stripe_events SET state = 'received' WHERE id = (SELECT min(id) FROM stripe_events)",
        &["I8 events"],
    ),
];

/// A system that has done a bit of everything, and its rows by the names used above.
struct Scene {
    app: TestApp,
    names: Vec<(&'static str, String)>,
}

impl Scene {
    async fn play() -> Self {
        let mut app = TestApp::start().await;
        app.stripe.settings(json!({ "payout_mode": "manual" })).await;
        let (alice, payer) = app.payee(0).await;
        let (_, payee) = app.owner(0).await;
        let deposit = app
            .deposit(&alice, &payer, json!({ "amount": "100.00" }))
            .await
            .data();
        let deposit = id_of(&deposit);
        app.at_stage(&deposit, "awaiting_payment").await;
        let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
        app.stripe.confirm(&intent, "pm_card_visa").await;
        app.completed(&alice, &deposit).await;
        let input = json!({ "toWalletId": payee, "amount": "10.00", "idempotencyKey": "once" });
        let transfer = id_of(&app.transfer(&alice, &payer, input).await.data());
        app.completed(&alice, &transfer).await;
        let payment = json!({ "toWalletId": payee, "amount": "20.00" });
        let payment = id_of(&app.pay(&alice, &payer, payment).await.data());
        app.completed(&alice, &payment).await;
        let withdrawal = id_of(
            &app.withdraw(&alice, &payer, json!({ "amount": "30.00" }))
                .await
                .data(),
        );
        app.at_stage(&withdrawal, "paying_out").await;
        app.at_rest().await;
        app.stop_workers().await;
        let waiting = app.send(&alice, &payer, &payee, 100).await;
        let quoted = |id: String| format!("'{}'::uuid", uuid(&id));
        let names = vec![
            ("{payer}", quoted(payer)),
            ("{payee}", quoted(payee)),
            ("{deposit}", quoted(deposit)),
            ("{transfer}", quoted(transfer)),
            ("{withdrawal}", quoted(withdrawal)),
            ("{waiting}", quoted(waiting)),
        ];
        Self { app, names }
    }

    fn sql(&self, text: &str) -> String {
        let put_in = |text: String, (name, id): &(&str, String)| text.replace(name, id);
        self.names.iter().fold(text.to_owned(), put_in)
    }
}

/// Does something that the guards of the database would refuse.
async fn plant(db: &Database, sql: &str) {
    let guards = ["ledger_entries", "transaction_events", "audit_log"];
    let off: String = guards
        .iter()
        .map(|table| format!("ALTER TABLE {table} DISABLE TRIGGER USER;"))
        .collect();
    db.client()
        .await
        .batch_execute(&format!("{off} {sql}"))
        .await
        .unwrap();
}

async fn violated(db: &Database, scope: Scope) -> BTreeSet<&'static str> {
    let verified = verify::verify(db.pool().await, scope, 3, |_, _| {})
        .await
        .unwrap();
    for finding in verified.violated() {
        assert!(!finding.first.is_empty() && finding.first.iter().all(|words| !words.is_empty()));
    }
    verified.violated().map(|finding| finding.check.name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_is_planted_is_found_by_the_checks_that_should() {
    let scene = Scene::play().await;
    let clean = scene.app.db.copy().await;
    assert_eq!(violated(&clean, Scope::Complete).await, BTreeSet::new());
    let mut found_ever = BTreeSet::from([NOT_PLANTED]);
    let mut wrong = Vec::new();
    for (what, sql, expected) in PLANTED {
        let db = clean.copy().await;
        plant(&db, &scene.sql(sql)).await;
        let found = violated(&db, Scope::Complete).await;
        if found != expected.iter().copied().collect() {
            wrong.push(format!("{what}: found by {found:?}, not by {expected:?}"));
        }
        found_ever.extend(found);
        db.drop().await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all: BTreeSet<&str> = verify::all().map(|check| check.name).collect();
    assert_eq!(found_ever, all, "every check has found something");
    clean.drop().await;
    scene.app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_quick_set_finds_what_was_changed_lately_and_does_not_look_at_the_rest() {
    let scene = Scene::play().await;
    let db = scene.app.db.copy().await;
    let pool = db.pool().await;
    let everything = Scope::Quick(Window::default());
    let looked = verify::verify(pool, everything, 3, |_, _| {}).await.unwrap();
    assert!(looked.holds(), "{:?}", looked.violated().collect::<Vec<_>>());
    assert_eq!((looked.transactions, looked.wallets), (5, 2));
    let since = Scope::Quick(Window {
        record: Some(looked.seen.record),
        xid: Some(looked.seen.xid),
    });
    let idle = verify::verify(pool, since, 3, |_, _| {}).await.unwrap();
    assert_eq!((idle.transactions, idle.wallets), (0, 0), "nothing has changed");

    // No record tells of it: found by the row itself.
    plant(
        &db,
        &scene.sql("UPDATE wallets SET balance = balance + 1 WHERE id = {payer}"),
    )
    .await;
    assert_eq!(violated(&db, since).await, BTreeSet::from(["I6 balances"]));
    plant(
        &db,
        &scene.sql("UPDATE wallets SET balance = balance - 1 WHERE id = {payer}"),
    )
    .await;
    assert_eq!(violated(&db, since).await, BTreeSet::new());
    // A change that is recorded and is no edge.
    let step = "INSERT INTO audit_log (at, actor, action, transaction_ids, detail)
                VALUES (now(), 'worker:x', 'settle', ARRAY[{transfer}], '{\"stages\": [[\"completed\", \"failed\"]]}')";
    plant(&db, &scene.sql(step)).await;
    assert_eq!(violated(&db, since).await, BTreeSet::from(["I7 history"]));
    db.drop().await;
    scene.app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_tells_by_its_exit_code() {
    let scene = Scene::play().await;
    let db = scene.app.db.copy().await;
    let variables = scene.app.variables.with(&[("DATABASE_URL", &db.url().await)]);
    let holds = programs::run("wallet-worker", &["verify"], &variables).await;
    assert_eq!(holds.code, Some(0), "{holds:?}");
    let last = holds.out.lines().last().unwrap();
    assert!(
        last.contains("5 transactions") && last.ends_with("everything holds"),
        "{last}"
    );
    for check in verify::all() {
        assert!(
            holds.out.lines().any(|line| line.starts_with(check.name)),
            "{}: {}",
            check.name,
            holds.out
        );
    }

    plant(
        &db,
        &scene.sql("UPDATE wallets SET balance = balance + 1 WHERE id = {payer}"),
    )
    .await;
    for (args, found) in [
        (&["verify", "--json"] as &[&str], 3),
        (&["verify", "--json", "--quick"], 1),
    ] {
        let violated = programs::run("wallet-worker", args, &variables).await;
        assert_eq!(violated.code, Some(1), "{violated:?}");
        assert!(
            violated.err.contains("violated: ") && violated.err.contains("I6 balances"),
            "{violated:?}"
        );
        let told: Value = serde_json::from_str(&violated.out).unwrap();
        assert_eq!(told["holds"], false);
        let violated = told["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["violations"] != 0);
        assert_eq!(violated.clone().count(), found, "{told:#}");
        assert!(
            violated
                .clone()
                .all(|check| check["violations"] == 1 && check["first"][0].is_string()),
            "{told:#}"
        );
    }

    let nowhere = variables.with(&[(
        "DATABASE_URL",
        "postgres://nobody@127.0.0.1:1/none?sslmode=disable",
    )]);
    let unknown = programs::run("wallet-worker", &["verify"], &nowhere).await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    db.drop().await;
    scene.app.abandon().await;
}
