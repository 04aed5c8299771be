//! Large requests: ordinary ones are answered, and no answer is larger than an answer may be.

use serde_json::{Value, json};
use uuid::Uuid;
use wallet_tests::app::Options;
use wallet_tests::{TestApp, User};

async fn app(limit: Option<u32>) -> TestApp {
    let limit = limit.map(|limit| ("RATE_LIMIT_PER_MINUTE", limit.to_string()));
    TestApp::with(Options {
        workers: 0,
        variables: limit.into_iter().collect(),
        ..Options::default()
    })
    .await
}

/// A person with so many wallets, each with so many transactions, whose metadata is so large and whose timelines have so many lines.
async fn plant(app: &TestApp, wallets: i32, rows: i32, metadata: i32, lines: i32) -> User {
    let user = User::new();
    let made = "INSERT INTO wallets (id, user_id, currency) SELECT gen_random_uuid(), $1, 'usd' FROM generate_series(1, $2)";
    app.db.execute(made, &[&user.id, &wallets]).await;
    let ids: Vec<Uuid> = (0..wallets * rows).map(|_| Uuid::now_v7()).collect();
    let made = "WITH w AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM wallets WHERE user_id = $1)
        INSERT INTO wallet_transactions (id, wallet_id, user_id, transaction_type, status, stage, amount, currency, metadata, failure_reason)
        SELECT t.id, w.id, $1, 'deposit', 'failed', 'failed', 1, 'usd', jsonb_build_object('text', repeat('x', $4)), 'PAYMENT_DECLINED: planted'
          FROM unnest($2::uuid[]) WITH ORDINALITY AS t (id, number) JOIN w ON w.place = (t.number - 1) / $3";
    let planted = app
        .db
        .execute(made, &[&user.id, &ids, &i64::from(rows), &metadata])
        .await;
    assert_eq!(planted, u64::try_from(ids.len()).unwrap());
    let on_record = "INSERT INTO audit_log (at, actor, action, transaction_ids, wallet_ids, detail)
        SELECT now(), 'operator', d.action, ARRAY[t.id], ARRAY[t.wallet_id], d.detail
          FROM wallet_transactions AS t,
               (VALUES (1, 'accept', '{\"type\": \"deposit\"}'::jsonb),
                       (2, 'settle', '{\"stages\": [[\"accepted\", \"failed\"]]}')) AS d (n, action, detail)
         WHERE t.user_id = $1 ORDER BY d.n";
    app.db.execute(on_record, &[&user.id]).await;
    let made = "INSERT INTO transaction_events (transaction_id, id, kind, message, created_at)
        SELECT t, gen_random_uuid(), 'waiting', 'line ' || n, now() FROM unnest($1::uuid[]) AS t, generate_series(1, $2) AS n";
    app.db.execute(made, &[&ids, &lines]).await;
    user
}

fn aliases(count: usize, field: &str) -> String {
    (0..count).map(|number| format!("a{number}: {field} ")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordinary_list_of_wallets_with_histories_and_timelines_is_answered_whole() {
    let app = app(None).await;
    let list = "{ wallets { id balance transactions(first: 50) { nodes { id amount status metadata timeline { at message } } } } }";
    for (wallets, rows, metadata, lines) in [(8, 50, 500, 10), (1, 50, 15_000, 24), (100, 2, 10, 3)] {
        let user = plant(&app, wallets, rows, metadata, lines).await;
        let answer = app.gql(&user, list, json!({})).await.data();
        let answer = answer.as_array().unwrap();
        assert_eq!(answer.len(), usize::try_from(wallets).unwrap());
        for wallet in answer {
            let nodes = wallet["transactions"]["nodes"].as_array().unwrap();
            assert_eq!(nodes.len(), usize::try_from(rows).unwrap());
            for node in nodes {
                let told = node["timeline"].as_array().unwrap();
                assert_eq!(told.len(), usize::try_from(lines).unwrap(), "{node}");
            }
        }
        // A timeline is the same in a list and alone.
        let one = &answer[0]["transactions"]["nodes"][1];
        let alone = "query($id: String!) { transaction(id: $id) { timeline { at message } } }";
        let alone = app.gql(&user, alone, json!({ "id": one["id"] })).await.data();
        assert_eq!(alone["timeline"], one["timeline"]);
    }
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_answered_with_more_than_an_answer_may_weigh() {
    let app = app(None).await;
    let user = plant(&app, 10, 100, 16_000, 1).await;
    let wallet: Uuid = app
        .db
        .value(
            "SELECT max(id::text)::uuid FROM wallets WHERE user_id = $1",
            &[&user.id],
        )
        .await;
    let page = |first: usize, fields: String| {
        format!(
            "{{ wallet(id: \"{wallet}\") {{ transactions(first: {first}) {{ nodes {{ {fields} }} }} }} }}"
        )
    };
    // 2.6 KB that were answered with 129 MiB, and others of the kind: refused before anything is read.
    for heavy in [
        page(60, aliases(150, "metadata")),
        page(100, aliases(6, "metadata")),
        page(20, aliases(30, "metadata")),
        format!("{{ {} }}", aliases(99, "wallets { id }")),
        format!(
            "{{ {} }}",
            aliases(3, "wallets { transactions(first: 50) { nodes { id } } }")
        ),
    ] {
        let answer = app.gql(&user, &heavy, json!({})).await;
        assert_eq!(
            (answer.code(), answer.field()),
            (Some("VALIDATION_ERROR"), Some("query")),
            "{heavy}"
        );
    }
    // What is more than usual there is given up while it is built.
    for heavy in [
        "{ wallets { transactions(first: 100) { nodes { metadata } } } }".to_owned(),
        "{ wallets { id transactions(first: 60) { edges { node { id metadata } } } } }".to_owned(),
        "{ wallets { transactions(first: 90) { nodes { metadata } edges { node { metadata } } } } }"
            .to_owned(),
    ] {
        let answer = app.gql(&user, &heavy, json!({})).await;
        assert_eq!(
            (answer.code(), &answer.body["data"]),
            (Some("LIMIT_EXCEEDED"), &Value::Null),
            "{heavy}"
        );
        assert!(answer.body.to_string().len() < 1_000);
    }
    // What fits is answered.
    let answer = app
        .gql(&user, &page(100, aliases(5, "metadata")), json!({}))
        .await;
    assert!(answer.code().is_none() && answer.body.to_string().len() > 7_900_000);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_costs_more_than_a_minute_has_is_answered_and_takes_all_of_it() {
    let app = app(Some(5)).await;
    let heavy = "{ wallets { transactions(first: 50) { nodes { metadata description timeline { message detail } } } } }";
    for user in [plant(&app, 1, 3, 10, 1).await, plant(&app, 2, 3, 10, 1).await] {
        assert_eq!(app.gql(&user, heavy, json!({})).await.code(), None);
        let refused = app.gql(&user, "{ wallets { id } }", json!({})).await;
        assert_eq!((refused.status, refused.code()), (429, Some("RATE_LIMITED")));
        let wait = refused.body["errors"][0]["extensions"]["retryAfter"]
            .as_u64()
            .unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_answer_took_in_the_end_counts_towards_the_rate_limit() {
    let app = app(Some(10)).await;
    let (much, little) = (plant(&app, 100, 1, 10, 1).await, plant(&app, 1, 1, 10, 1).await);
    let list = "{ wallets { id transactions(first: 1) { nodes { id timeline { at } } } } }";
    let ask = async |user: &User| app.gql(user, list, json!({})).await.code().map(str::to_owned);
    for _ in 0..2 {
        assert_eq!(ask(&little).await, None);
    }
    assert_eq!(ask(&much).await, None, "what was usual was let in");
    assert_eq!(ask(&much).await, None, "nine of ten");
    assert_eq!(ask(&much).await.as_deref(), Some("RATE_LIMITED"));
    assert_eq!(ask(&little).await, None);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_of_another_type_or_without_an_end_is_begun_anew_and_is_nobody_elses_trouble() {
    let app = app(Some(3)).await;
    let client = redis::Client::open(app.variables.get("REDIS_URL").unwrap()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let namespace = app.variables.get("REDIS_NAMESPACE").unwrap().to_owned();
    for planted in [
        "LPUSH KEY x",
        "HSET KEY x 1",
        "SADD KEY x",
        "ZADD KEY 1 x",
        "XADD KEY * x 1",
        "SET KEY garbage EX 30",
        "SET KEY 1.5 EX 30",
        "SET KEY -7 EX 30",
        "SET KEY 99999999999999999999 EX 30",
        // Counts for ever, or far longer than a window: nobody would ever be let in again.
        "SET KEY 3",
        "SET KEY 3 EX 86400",
    ] {
        let (user, other) = (User::new(), User::new());
        let key = format!("{namespace}:rate:{}", user.id);
        let mut words = planted
            .split(' ')
            .map(|word| if word == "KEY" { &key } else { word });
        let mut command = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        command.exec_async(&mut redis).await.unwrap();
        let ask = async |user: &User| app.gql(user, "{ __typename }", json!({})).await.status;
        for _ in 0..3 {
            assert_eq!(ask(&user).await, 200, "{planted}");
        }
        assert_eq!(ask(&user).await, 429, "{planted}: the limit holds from then on");
        assert_eq!(ask(&other).await, 200, "{planted}");
        let left: i64 = redis::cmd("PTTL")
            .arg(&key)
            .query_async(&mut redis)
            .await
            .unwrap();
        assert!(
            (1..=60_000).contains(&left),
            "{planted}: counted in Redis, for a minute: {left}"
        );
    }
    app.finish().await;
}
