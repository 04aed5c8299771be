//! What a worker logs of its work: lines that lead to the transaction, and none of the libraries'.

use std::time::Duration;

use serde_json::{Value, json};
use wallet_dev::stack::{port, wait_until_ready};
use wallet_tests::TestApp;
use wallet_tests::app::id_of;
use wallet_tests::programs::start;

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
                span["transaction"] == id.as_str() && span["kind"] == *kind && span["job"].is_string()
            });
            assert!(found, "no line tells of the {kind} of {id}: {text}");
        }
    }
    app.finish().await;
}
