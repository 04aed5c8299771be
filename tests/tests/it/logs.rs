//! What the programs log of their work: lines that lead to the transaction, and no lines of the libraries; and why a token is refused.

use std::time::Duration;

use serde_json::{Value, json};
use wallet_dev::stack::{port, wait_until_ready};
use wallet_tests::app::id_of;
use wallet_tests::programs::start;
use wallet_tests::{TestApp, User};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_about_a_job_names_its_transaction_and_none_is_a_librarys() {
    let app = TestApp::with_workers(0).await;
    let free = port::free().unwrap().to_string();
    let mut worker = start(
        "wallet-worker",
        &["run"],
        &app.variables.with(&[("METRICS_PORT", &free)]),
    );
    let ready = format!("http://127.0.0.1:{free}/readyz");
    wait_until_ready(&ready, &mut worker.process, Duration::from_secs(30))
        .await
        .unwrap();
    let (alice, wallet) = app.payee(5_000).await;
    let deposit = app.deposited(&alice, &wallet, 700, "pm_card_visa").await;
    let withdrawal = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    app.completed(&alice, &withdrawal).await;
    app.at_rest().await;
    let text = std::fs::read_to_string(worker.process.log()).unwrap();
    worker.process.stop().await.unwrap();
    assert!(!text.contains("Unknown value"), "{text}");
    let lines: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    for (id, kinds) in [
        (&deposit, &["deposit_intent"] as &[&str]),
        (
            &withdrawal,
            &["withdrawal_hold", "withdrawal_transfer", "withdrawal_payout"],
        ),
    ] {
        for kind in kinds {
            let found = lines.iter().any(|line| {
                let span = &line["span"];
                span["transaction_id"] == id.as_str() && span["kind"] == *kind && span["job"].is_string()
            });
            assert!(found, "no line tells of the {kind} of {id}: {text}");
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_is_followed_by_its_id_from_its_acceptance_to_its_payout() {
    let app = TestApp::with_workers(0).await;
    let (port, metrics) = (
        port::free().unwrap().to_string(),
        port::free().unwrap().to_string(),
    );
    let variables = app.variables.with(&[("PORT", &port), ("METRICS_PORT", &metrics)]);
    let mut api = start("wallet-api", &[], &variables);
    let mut worker = start("wallet-worker", &["run"], &variables);
    for (program, at) in [(&mut api, &port), (&mut worker, &metrics)] {
        let ready = format!("http://127.0.0.1:{at}/readyz");
        wait_until_ready(&ready, &mut program.process, Duration::from_secs(30))
            .await
            .unwrap();
    }
    let (alice, wallet) = app.payee(5_000).await;
    let asked = json!({
        "query": "mutation($w: String!, $i: WithdrawInput!) { withdraw(walletId: $w, input: $i) { id } }",
        "variables": { "w": wallet, "i": { "amount": "10.00" } },
    });
    let sent = app
        .client()
        .post(format!("http://127.0.0.1:{port}/graphql"))
        .bearer_auth(&alice.token)
        .json(&asked);
    let answer: Value = sent.send().await.unwrap().json().await.unwrap();
    let id = answer["data"]["withdraw"]["id"].as_str().unwrap().to_owned();
    app.completed(&alice, &id).await;
    app.at_rest().await;
    let mut lines: Vec<Value> = Vec::new();
    for program in [&mut api, &mut worker] {
        let text = std::fs::read_to_string(program.process.log()).unwrap();
        program.process.stop().await.unwrap();
        lines.extend(text.lines().filter_map(|line| serde_json::from_str(line).ok()));
    }
    // What somebody finds who looks for the id in the field of that name, wherever it stands.
    let about: Vec<&Value> = lines
        .iter()
        .filter(|line| line["transaction_id"] == id.as_str() || line["span"]["transaction_id"] == id.as_str())
        .collect();
    let stored = "SELECT stripe_transfer_id::text || ' ' || stripe_payout_id::text FROM wallet_transactions WHERE id = $1";
    let stored: String = app.db.value(stored, &[&wallet_tests::app::uuid(&id)]).await;
    let (transfer, payout) = stored.split_once(' ').unwrap();
    let one = |what: &str, is_it: &dyn Fn(&Value) -> bool| {
        assert!(
            about.iter().any(|line| is_it(line)),
            "no line tells of {what}: {about:#?}"
        );
    };
    one("the acceptance", &|line| {
        line["service"] == "wallet-api"
            && line["message"] == "accepted"
            && line["span"]["request_id"].is_string()
    });
    for object in [transfer, payout] {
        one(object, &|line| {
            line["message"] == "made at Stripe" && line["object"] == object
        });
    }
    one("the event", &|line| {
        line["event"]
            .as_str()
            .is_some_and(|event| event.starts_with("evt_"))
            && line["object"] == payout
    });
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_claim_for_which_tokens_are_refused_is_told_now_and_then_and_their_text_never() {
    let app = TestApp::with_workers(0).await;
    let free = port::free().unwrap().to_string();
    let issuer = ("JWT_ISSUER", "https://login.example.com/");
    let variables = app.variables.with(&[("PORT", free.as_str()), issuer]);
    let mut api = start("wallet-api", &[], &variables);
    let ready = format!("http://127.0.0.1:{free}/readyz");
    wait_until_ready(&ready, &mut api.process, Duration::from_secs(30))
        .await
        .unwrap();
    let user = User::new();
    for _ in 0..20 {
        let asked = app
            .client()
            .post(format!("http://127.0.0.1:{free}/graphql"))
            .bearer_auth(&user.token)
            .json(&json!({ "query": "{ wallets { id } }" }));
        assert_eq!(asked.send().await.unwrap().status().as_u16(), 401);
    }
    api.process.stop().await.unwrap();
    let text = std::fs::read_to_string(api.process.log()).unwrap();
    let told: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("token refused"))
        .collect();
    assert!((1..=3).contains(&told.len()), "{told:#?}");
    assert!(
        told.iter().all(|line| line.contains("iss is missing")),
        "{told:#?}"
    );
    let (_, payload) = user.token.split_once('.').unwrap();
    assert!(!text.contains(&payload[..20]), "{text}");
    app.finish().await;
}
