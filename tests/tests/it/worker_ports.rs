//! Workers that are scaled by a number have one environment, and with it one `METRICS_PORT`.

use serde_json::Value;
use wallet_dev::stack::port;
use wallet_tests::programs::start;
use wallet_tests::{TestApp, eventually, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_with_one_metrics_port_both_work_and_both_tell_their_health() {
    let app = TestApp::with_workers(0).await;
    let asked = port::free().unwrap();
    let variables = app.variables.with(&[("METRICS_PORT", &asked.to_string())]);
    let is_ready = async |port: u64| {
        let url = format!("http://127.0.0.1:{port}/readyz");
        let answer = app.client().get(&url).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    };
    let mut first = start("wallet-worker", &["run"], &variables);
    eventually("the first worker to be ready", async || {
        is_ready(asked.into()).await
    })
    .await;

    let mut second = start("wallet-worker", &["run"], &variables);
    let told = until("the second worker to say where it serves", async || {
        let log = std::fs::read_to_string(second.process.log()).unwrap();
        log.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["level"] == "WARN" && line["asked"] == asked)
    })
    .await;
    assert!(
        told["message"].as_str().unwrap().contains("METRICS_PORT"),
        "{told}"
    );
    let other = told["port"].as_u64().unwrap();
    assert_ne!(other, u64::from(asked));
    eventually("the second worker to be ready", async || is_ready(other).await).await;
    assert!(is_ready(asked.into()).await, "the first goes on");

    // The second works also alone.
    first.process.stop().await.unwrap();
    let (alice, hers) = app.owner(5_000).await;
    let (_bob, his) = app.owner(0).await;
    let sent = app.send(&alice, &hers, &his, 100).await;
    app.completed(&alice, &sent).await;
    second.process.stop().await.unwrap();
    app.finish().await;
}
