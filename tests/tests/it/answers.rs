//! Answers as the GraphQL specification has them, and values that come back as they were sent.

use serde_json::{Value, json};
use wallet_tests::TestApp;
use wallet_tests::app::id_of;
use wallet_tests::socket::Socket;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_fails_nulls_its_parent_and_never_goes_missing() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.payee(10_000).await;
    app.wallet(&alice, json!({ "currency": "eur" })).await;
    let (_, his) = app.owner(0).await;
    let transfer = id_of(
        &app.transfer(&alice, &hers, json!({ "toWalletId": his, "amount": "1.00" }))
            .await
            .data(),
    );
    let bad_page = "transactions(first: 0) { nodes { id } }";
    for (query, data) in [
        (
            format!("{{ wallet(id: \"{hers}\") {{ id {bad_page} }} }}"),
            json!({ "wallet": null }),
        ),
        (
            format!("{{ wallet(id: \"{hers}\") {{ {bad_page} }} }}"),
            json!({ "wallet": null }),
        ),
        (format!("{{ wallets {{ id {bad_page} }} }}"), json!(null)),
        (
            format!(
                "{{ a: wallet(id: \"{hers}\") {{ currency }} b: wallet(id: \"{hers}\") {{ ...F }} }} fragment F on Wallet {{ id {bad_page} }}"
            ),
            json!({ "a": { "currency": "usd" }, "b": null }),
        ),
        (
            "{ wallets(userId: \"nobody\") { id } __typename }".to_owned(),
            json!(null),
        ),
        (
            format!("{{ wallet(id: \"{hers}\") {{ id @skip(if: true) }} }}"),
            json!({ "wallet": {} }),
        ),
        (
            "mutation { cancelTransaction(transactionId: \"none\") { id } }".to_owned(),
            json!(null),
        ),
        (
            format!(
                "mutation {{ a: cancelTransaction(transactionId: \"{transfer}\") {{ id }} b: cancelTransaction(transactionId: \"none\") {{ id }} }}"
            ),
            json!(null),
        ),
    ] {
        let answer = app.gql(&alice, &query, json!({})).await;
        assert_eq!(answer.body["data"], data, "{query}: {}", answer.body);
        assert_eq!(
            answer.body.get("errors").is_some(),
            !query.contains("@skip"),
            "{}",
            answer.body
        );
    }
    let mut socket = Socket::of(app.base(), &alice).await;
    let watched = format!("subscription {{ walletUpdated(id: \"{hers}\") {{ id {bad_page} }} }}");
    socket.begin("s", &watched, json!({})).await;
    let told = socket.result_of("s").await;
    assert_eq!(
        (&told["data"], &told["errors"][0]["extensions"]["field"]),
        (&Value::Null, &json!("first")),
        "{told}"
    );
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_mutation_does_not_hide_what_the_others_have_done() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.payee(10_000).await;
    let (_, his) = app.owner(0).await;
    let send = |alias: &str, to: &str| {
        format!(
            "{alias}: transfer(fromWalletId: \"{hers}\", input: {{ toWalletId: \"{to}\", amount: \"1.00\" }}) {{ id status }}"
        )
    };
    let kept = "SELECT count(*) FROM wallet_transactions WHERE transaction_type = 'transfer'";
    // The refused one stands first, last, and beside two.
    let bad = "bad";
    for (first, others) in [(true, 1), (false, 1), (false, 2)] {
        let before: i64 = app.db.value(kept, &[]).await;
        let mut parts: Vec<String> = (0..others)
            .map(|number| send(&format!("m{number}"), &his))
            .collect();
        parts.insert(if first { 0 } else { others }, send(bad, "nobody"));
        let query = format!("mutation {{ {} }}", parts.join(" "));
        let answer = app.gql(&alice, &query, json!({})).await;
        assert_eq!(answer.body["data"], Value::Null, "{}", answer.body);
        let errors = answer.body["errors"].as_array().unwrap();
        assert!(
            errors.len() == 1 && errors[0]["path"] == json!([bad]),
            "{}",
            answer.body
        );
        let told = answer.body["extensions"]["succeeded"].as_object().unwrap();
        assert_eq!(told.len(), others, "{}", answer.body);
        for number in 0..others {
            let done = &told[&format!("m{number}")];
            assert_eq!(done["status"], "PENDING", "{}", answer.body);
            let there = format!(
                "wallet_transactions WHERE id = '{}'",
                done["id"].as_str().unwrap()
            );
            assert_eq!(app.db.count(&there).await, 1, "{}", answer.body);
        }
        assert_eq!(
            app.db.value::<i64>(kept, &[]).await - before,
            i64::try_from(others).unwrap()
        );
    }
    // Where nothing failed, or one was asked for alone, there is nothing to tell beside the answer.
    for query in [
        format!("mutation {{ {} {} }}", send("a", &his), send("b", &his)),
        format!("mutation {{ {} }}", send("a", "nobody")),
    ] {
        let answer = app.gql(&alice, &query, json!({})).await;
        assert!(answer.body.get("extensions").is_none(), "{}", answer.body);
    }
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_are_answered_in_the_order_of_the_selection() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(0).await;
    let query = format!(
        "{{ z: wallet(id: \"{hers}\") {{ transactions {{ pageInfo {{ hasNextPage }} nodes {{ id }} }} currency ...F id }} __typename }} fragment F on Wallet {{ balance }}"
    );
    let sent = app
        .client()
        .post(format!("{}/graphql", app.base()))
        .bearer_auth(&alice.token)
        .json(&json!({ "query": query }));
    let text = sent.send().await.unwrap().text().await.unwrap();
    assert_eq!(
        text,
        format!(
            "{{\"data\":{{\"z\":{{\"transactions\":{{\"pageInfo\":{{\"hasNextPage\":false}},\"nodes\":[]}},\"currency\":\"usd\",\"balance\":\"0.00\",\"id\":\"{hers}\"}},\"__typename\":\"Query\"}}}}"
        )
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_that_says_two_things_moves_nothing() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.payee(10_000).await;
    let (_, his) = app.owner(0).await;
    let before = app.db.digest().await;
    let literal = |input: &str| {
        let query = format!(
            "mutation {{ transfer(fromWalletId: \"{hers}\", input: {{ toWalletId: \"{his}\", {input} }}) {{ id }} }}"
        );
        json!({ "query": query }).to_string()
    };
    let variables = |input: &str| {
        let query =
            "mutation($w: String!, $i: TransferInput!) { transfer(fromWalletId: $w, input: $i) { id } }";
        format!(
            "{{\"query\":{},\"variables\":{{\"w\":\"{hers}\",\"i\":{{\"toWalletId\":\"{his}\",{input}}}}}}}",
            json!(query)
        )
    };
    for (body, field) in [
        (literal("amount: \"1.00\", amount: \"50.00\""), "amount"),
        (literal("amount: \"1.00\", metadata: { a: 1, a: 2 }"), "metadata"),
        (literal("amount: 0.10000000000000000001"), "amount"),
        (
            literal("amount: 1, metadata: { n: 0.30000000000000000001 }"),
            "metadata",
        ),
        (variables("\"amount\":\"1.00\",\"amount\":\"50.00\""), "amount"),
        (
            variables("\"amount\":\"1.00\",\"\\u0061mount\":\"50.00\""),
            "amount",
        ),
        (variables("\"amount\":0.10000000000000000001"), "amount"),
        (
            variables("\"amount\":1,\"metadata\":{\"a\":{\"b\":1,\"b\":2}}"),
            "metadata",
        ),
        (
            variables("\"amount\":1,\"metadata\":{\"n\":18446744073709551616}"),
            "metadata",
        ),
        (
            variables("\"amount\":1,\"metadata\":{\"n\":[-9223372036854775809]}"),
            "metadata",
        ),
        (
            variables("\"amount\":1,\"metadata\":{\"n\":12345678901234567.89}"),
            "metadata",
        ),
    ] {
        let sent = app
            .client()
            .post(format!("{}/graphql", app.base()))
            .bearer_auth(&alice.token)
            .header("content-type", "application/json")
            .body(body.clone());
        let answer: Value = sent.send().await.unwrap().json().await.unwrap();
        let told = &answer["errors"][0]["extensions"];
        assert_eq!(
            (&told["code"], &told["field"]),
            (&json!("VALIDATION_ERROR"), &json!(field)),
            "{body}: {answer}"
        );
    }
    assert_eq!(app.db.digest().await, before, "a refusal changes nothing");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_and_texts_come_back_as_they_were_sent_at_once_and_later() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.payee(10_000).await;
    let (_, his) = app.owner(0).await;
    let numbers = "[0, -0.0, 1.0, 0.1, 12.50, 1e-7, 1e16, 1e19, 1e20, 1e300, 5e-324, 9007199254740993, 18446744073709551615, -9223372036854775808]";
    let texts = ["👨‍👩‍👧‍👦 rent", "🏳️‍🌈", "می‌خواهم اجاره بدهم", "क्‍ष"];
    for text in texts {
        let query = format!(
            "mutation {{ transfer(fromWalletId: \"{hers}\", input: {{ toWalletId: \"{his}\", amount: 1, description: \"{text}\", reference: \"\\uD83D\\uDE00\", metadata: {{ n: {numbers} }} }}) {{ id description reference metadata }} }}"
        );
        let at_once = app.gql(&alice, &query, json!({})).await.data();
        let id = id_of(&at_once);
        let later = app
            .gql(
                &alice,
                &format!("{{ transaction(id: \"{id}\") {{ id description reference metadata }} }}"),
                json!({}),
            )
            .await
            .data();
        assert_eq!(at_once.to_string(), later.to_string());
        assert_eq!(
            (&later["description"], &later["reference"]),
            (&json!(text), &json!("😀"))
        );
        let sent: Vec<f64> = serde_json::from_str(numbers).unwrap();
        let told: Vec<f64> = later["metadata"]["n"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        assert_eq!(told, sent);
    }
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_spellings_of_one_request_are_one_request() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.payee(10_000).await;
    let (_, his) = app.owner(0).await;
    let literal = |amount: &str, to: &str, metadata: &str, from: &str| {
        format!(
            "mutation {{ transfer(input: {{ metadata: {metadata}, amount: {amount}, toWalletId: \"{to}\", idempotencyKey: \"k\" }}, fromWalletId: \"{from}\") {{ id }} }}"
        )
    };
    let upper = (hers.to_uppercase(), his.to_uppercase());
    let first = app
        .gql(
            &alice,
            &literal("\"1.00\"", &his, "{ a: 1, b: [1.0, \"x\"] }", &hers),
            json!({}),
        )
        .await
        .data();
    for query in [
        literal("1", &his, "{ b: [1, \"x\"], a: 1.0 }", &hers),
        literal("1.0", &upper.1, "{ a: 1, b: [1e0, \"x\"] }", &upper.0),
        literal("\"1\"", &his, "{ a: 1.00, b: [1, \"\\u0078\"] }", &hers),
    ] {
        assert_eq!(app.gql(&alice, &query, json!({})).await.data(), first, "{query}");
    }
    let by_header = json!({
        "query": "mutation($w: String!, $i: TransferInput!) { transfer(fromWalletId: $w, input: $i) { id } }",
        "variables": { "w": hers, "i": { "toWalletId": his, "amount": 1.00, "description": null, "metadata": { "b": [1, "x"], "a": 1 } } }
    });
    let answer = app
        .post(Some(&alice.token), &by_header, &[("Idempotency-Key", "k")])
        .await;
    assert_eq!(answer.data(), first);
    let other = app
        .gql(
            &alice,
            &literal("1", &his, "{ a: 1, b: [1.5, \"x\"] }", &hers),
            json!({}),
        )
        .await;
    assert_eq!(other.code(), Some("IDEMPOTENCY_CONFLICT"));
    // A default that is given is the default.
    let deposit = |input: Value| app.deposit(&alice, &hers, input);
    let plain = deposit(json!({ "amount": "5", "idempotencyKey": "d" }))
        .await
        .data();
    let spelled =
        json!({ "amount": 5.0, "paymentMethod": "STRIPE", "metadata": null, "idempotencyKey": "d" });
    assert_eq!(deposit(spelled).await.data()["id"], plain["id"]);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_question_with_a_huge_answer_is_refused_and_told_what_to_ask() {
    let app = TestApp::with_workers(0).await;
    let (alice, hers) = app.owner(0).await;
    let aliases: String = (0..150).map(|number| format!("a{number}: metadata ")).collect();
    let query =
        format!("{{ wallet(id: \"{hers}\") {{ transactions(first: 60) {{ nodes {{ {aliases} }} }} }} }}");
    let answer = app.gql(&alice, &query, json!({})).await;
    assert_eq!(
        (answer.code(), answer.field()),
        (Some("VALIDATION_ERROR"), Some("query"))
    );
    assert!(answer.message().contains("smaller pages"), "{}", answer.message());
    app.finish().await;
}
