//! A simulator in a test's own process, as the page shows it.

use std::error::Error;

use serde_json::{Value, json};
use wallet_stripe_simulator::{Settings, SimulatorConfig, start};

/// What stands in the page, and a look at what it has done.
async fn example() -> Result<Value, Box<dyn Error>> {
    let simulator = start(SimulatorConfig {
        opening_balance: vec![("usd".to_owned(), 1_000_000)],
        settings: Settings {
            fee_basis_points: 0,
            fee_fixed: 0,
            ..Settings::default()
        },
        ..SimulatorConfig::default()
    })
    .await?;
    // Stripe's address for the program under test. POST /_control/webhook, or `webhook` of the configuration, names where events go.
    let stripe = simulator.url();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let day = json!({ "advance_seconds": 86_400 });
    let control = format!("{stripe}/_control/clock");
    client.post(control).json(&day).send().await?;
    let clock = client.get(format!("{stripe}/_control/clock")).send().await?;
    let clock = clock.json().await?;
    simulator.shutdown().await;
    Ok(clock)
}

#[tokio::test]
async fn the_example_of_the_simulator_s_page_works() {
    let clock = example().await.unwrap();
    assert_eq!(clock["ahead_ms"], 86_400_000);
    let page = include_str!("../../README.md");
    let shown = page
        .split("```rust\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let source = include_str!("embedded.rs");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    for line in shown.lines().map(str::trim) {
        assert!(lines.contains(&line), "{line}");
    }
}
