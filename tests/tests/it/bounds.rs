//! The bounds of what one person can make grow.

use chrono::Utc;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;
use wallet_core::db::PgConn;
use wallet_core::ids::TransactionId;
use wallet_core::text_limits::{MOST_DETAIL, MOST_MESSAGE};
use wallet_core::transactions::{self, MOST_LINES, TimelineKind};
use wallet_tests::app::{Options, id_of, uuid};
use wallet_tests::{TestApp, User};

const CREATE: &str = "mutation($input: CreateWalletInput!) { createWallet(input: $input) { id } }";

async fn limited(name: &'static str, most: &str) -> TestApp {
    TestApp::with(Options {
        workers: 0,
        variables: vec![(name, most.to_owned())],
        ..Options::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_has_no_more_wallets_than_one_may_however_many_are_asked_for_at_once() {
    let app = limited("WALLETS_PER_CURRENCY", "3").await;
    let (alice, bob) = (User::new(), User::new());
    let ask = async |user: &User, currency: &str, key: String| {
        let input = json!({ "currency": currency, "idempotencyKey": key });
        app.gql(user, CREATE, json!({ "input": input })).await
    };
    let answers = join_all((0..20).map(|number| ask(&alice, "usd", format!("key-{number}")))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.code().is_some()).collect();
    assert_eq!(refused.len(), 17);
    for answer in refused {
        assert_eq!(answer.code(), Some("LIMIT_EXCEEDED"), "{answer:?}");
        assert!(answer.message().contains("3 wallets in usd"), "{answer:?}");
    }
    assert_eq!(app.db.count("wallets").await, 3);
    assert_eq!(
        app.db.count("idempotency_keys").await,
        3,
        "a refused request leaves no key"
    );
    // The key of one that was created gives that one, though the person has as many as one may.
    let (number, created) = answers
        .iter()
        .enumerate()
        .find(|(_, answer)| answer.code().is_none())
        .unwrap();
    let again = ask(&alice, "usd", format!("key-{number}")).await.data();
    assert_eq!(again["id"], created.body["data"]["createWallet"]["id"]);
    // Another currency, and another person, have their own.
    assert_eq!(ask(&alice, "eur", "eur".to_owned()).await.code(), None);
    assert_eq!(ask(&bob, "usd", "usd".to_owned()).await.code(), None);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_currencies_together_have_a_limit_too() {
    let app = limited("WALLETS_PER_PERSON", "4").await;
    let alice = User::new();
    for (currency, expected) in [
        ("usd", None),
        ("eur", None),
        ("gbp", None),
        ("jpy", None),
        ("cad", Some("LIMIT_EXCEEDED")),
        ("usd", Some("LIMIT_EXCEEDED")),
    ] {
        let answer = app
            .gql(&alice, CREATE, json!({ "input": { "currency": currency } }))
            .await;
        assert_eq!(answer.code(), expected, "{currency}");
    }
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_with_five_thousand_wallets_is_answered_in_pages() {
    let app = TestApp::with_workers(0).await;
    let alice = User::new();
    let planted = "INSERT INTO wallets (id, user_id, currency) SELECT gen_random_uuid(), $1, 'usd' FROM generate_series(1, 5000)";
    assert_eq!(app.db.execute(planted, &[&alice.id]).await, 5_000);
    let query = "query($after: String) { wallets(after: $after) { id } }";
    let mut seen = Vec::new();
    loop {
        let page = app
            .gql(&alice, query, json!({ "after": seen.last() }))
            .await
            .data();
        let page: Vec<String> = page.as_array().unwrap().iter().map(id_of).collect();
        assert!(page.len() <= 100, "{}", page.len());
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen.len(), 5_000);
    assert!(seen.is_sorted_by(|one, next| one < next), "none twice");
    let wrong = app.gql(&alice, query, json!({ "after": "no id" })).await;
    assert_eq!(
        (wrong.code(), wrong.field()),
        (Some("VALIDATION_ERROR"), Some("after"))
    );
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_has_no_more_payments_under_way_than_it_may() {
    let mut app = limited("OPEN_PAYMENTS_PER_WALLET", "3").await;
    let (alice, hers) = app.owner(0).await;
    let ask = async |app: &TestApp| app.deposit(&alice, &hers, json!({ "amount": "10.00" })).await;
    let first = id_of(&ask(&app).await.data());
    for _ in 0..2 {
        assert_eq!(ask(&app).await.code(), None);
    }
    assert_eq!(ask(&app).await.code(), Some("LIMIT_EXCEEDED"));
    let other = app.wallet(&alice, json!({})).await;
    let there = app.deposit(&alice, &other, json!({ "amount": "10.00" })).await;
    assert_eq!(there.code(), None, "another wallet has its own");
    app.start_worker();
    let _ = app.cancel(&alice, &first).await.data();
    assert_eq!(app.ended(&alice, &first).await["status"], "CANCELLED");
    assert_eq!(ask(&app).await.code(), None, "one has ended");
    app.abandon().await;
}

async fn write(conn: &mut PgConn, id: TransactionId, kind: TimelineKind, message: &str) {
    transactions::record(conn, id, Uuid::now_v7(), Utc::now(), kind, message, None)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeline_ends_and_says_so_and_its_end_is_told_all_the_same() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(0).await;
    let deposit = id_of(
        &app.deposit(&alice, &hers, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    let id = TransactionId::from_uuid(uuid(&deposit));
    let mut conn = app.db.pool().await.conn().await.unwrap();
    for number in 0..300 {
        write(&mut conn, id, TimelineKind::Waiting, &format!("wait {number}")).await;
    }
    for number in 0..100 {
        write(&mut conn, id, TimelineKind::Posted, &format!("posting {number}")).await;
    }
    write(&mut conn, id, TimelineKind::Completed, "the end").await;
    drop(conn);
    let timeline = app.transaction(&alice, &deposit).await["timeline"].clone();
    let lines = timeline.as_array().unwrap();
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert!(lines.len() <= MOST_LINES + 1, "{}", lines.len());
    assert_eq!((of("accepted"), of("shortened"), of("completed")), (1, 1, 1));
    assert_eq!(of("waiting"), 149, "and one that was accepted");
    assert!(of("posted") > 20, "what moves money is told longer");
    assert_eq!(lines.last().unwrap()["message"], "the end");
    assert_eq!(
        app.db.count("transaction_events").await,
        i64::try_from(lines.len()).unwrap()
    );
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_a_timeline_is_never_larger_than_an_answer_is_weighed_with() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(0).await;
    let input = json!({ "amount": "10.00" });
    let deposit = id_of(&app.deposit(&alice, &hers, input).await.data());
    let id = TransactionId::from_uuid(uuid(&deposit));
    let mut conn = app.db.pool().await.conn().await.unwrap();
    let words = [
        "no ".repeat(1_000),
        "\"".repeat(1_000),
        "\u{1}ä😀".repeat(500),
        "short".to_owned(),
    ];
    for text in &words {
        let detail = json!({ "answer": text });
        let line = (Uuid::now_v7(), Utc::now());
        transactions::record(
            &mut conn,
            id,
            line.0,
            line.1,
            TimelineKind::StripeAnswer,
            text,
            Some(detail),
        )
        .await
        .unwrap();
    }
    drop(conn);
    let timeline = app.transaction(&alice, &deposit).await["timeline"].clone();
    let lines: Vec<&Value> = timeline.as_array().unwrap().iter().skip(1).collect();
    assert_eq!(lines.len(), words.len());
    for (line, text) in lines.iter().zip(&words) {
        let message = line["message"].as_str().unwrap();
        assert!(json!(message).to_string().len() <= MOST_MESSAGE + 2, "{message}");
        assert!(line["detail"].to_string().len() <= MOST_DETAIL, "{line}");
        let is_whole = message == text;
        assert_eq!(is_whole, text == "short", "{message}");
        assert!(is_whole || message.ends_with('…'), "{message}");
    }
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_at_once_is_what_was_sent_and_what_is_stored() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(10_000).await;
    let (_, his) = app.owner(0).await;
    for text in [
        "  blanks around  ",
        "two\nlines\r\nand a\ttab",
        "e\u{301} and é",
        "\"quoted\" \\ and $1 %s {}",
        "Straße, Ångström, 東京",
        "",
    ] {
        for amount in ["1", "1.5", "1.50"] {
            let sent = json!({ "toWalletId": his, "amount": amount, "description": text, "reference": text,
                               "metadata": { "text": text, "n": 1.5 } });
            let at_once = app.transfer(&alice, &hers, sent.clone()).await.data();
            let later = app.transaction(&alice, &id_of(&at_once)).await;
            for seen in [&at_once, &later] {
                for name in ["description", "reference", "metadata"] {
                    assert_eq!(seen[name], sent[name], "{name}");
                }
                assert_eq!(seen["amount"], if amount == "1" { "1.00" } else { "1.50" });
            }
            let written = |seen: &Value| seen["createdAt"].clone();
            assert_eq!(written(&at_once), written(&later));
        }
    }
    app.abandon().await;
}

const CHANGE: &str =
    "mutation($w: String!, $a: String!) { changePayoutAccount(walletId: $w, stripeAccountId: $a) { id } }";
const ONBOARD: &str =
    "mutation($w: String!, $i: OnboardPayoutsInput!) { onboardPayouts(walletId: $w, input: $i) { url } }";

/// Requests to Stripe that people cause come out of one budget of the whole platform, so each person has a few of them a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_makes_us_ask_stripe_a_few_times_a_minute_and_others_are_served() {
    let app = limited("STRIPE_REQUESTS_PER_MINUTE", "3").await;
    app.stripe
        .fault(json!({ "operation": "account*", "outcome": "normal" }))
        .await;
    let (alice, hers) = app.owner(0).await;
    let (ben, his) = app.owner(0).await;
    let change = async |user: &User, wallet: &str| {
        let names = json!({ "w": wallet, "a": "acct_1nobodys" });
        app.gql(user, CHANGE, names).await
    };
    let answers = join_all((0..30).map(|_| change(&alice, &hers))).await;
    let with = |code| {
        answers
            .iter()
            .filter(|answer| answer.code() == Some(code))
            .count()
    };
    assert_eq!(
        (with("VALIDATION_ERROR"), with("RATE_LIMITED")),
        (3, 27),
        "{answers:?}"
    );
    let asked = app.stripe.fault_hits().await[0];
    // Once for the platform's own account, and once for each that was let in.
    assert!(asked <= 4, "Stripe was asked {asked} times");
    // Every request that asks Stripe counts, and several in one document are several.
    let back = json!({ "returnUrl": "https://app.example.com/a", "refreshUrl": "https://app.example.com/b" });
    let onboarding = app.gql(&alice, ONBOARD, json!({ "w": hers, "i": back })).await;
    assert_eq!(onboarding.code(), Some("RATE_LIMITED"), "{onboarding:?}");
    let named = json!({ "stripeAccountId": "acct_1nobodys" });
    let created = app.gql(&alice, CREATE, json!({ "input": named })).await;
    assert_eq!(created.code(), Some("RATE_LIMITED"), "{created:?}");
    let without = app.gql(&alice, CREATE, json!({ "input": {} })).await;
    assert_eq!(
        without.code(),
        None,
        "Stripe has nothing to do with it: {without:?}"
    );
    assert_eq!(app.stripe.fault_hits().await, [asked]);
    assert_eq!(change(&ben, &his).await.code(), Some("VALIDATION_ERROR"));
    app.abandon().await;
}
