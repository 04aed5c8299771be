//! One person takes all they can get; another one's waiting time, as a ratio to an idle system.

mod attacks;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::task::JoinHandle;

use self::attacks::{Attack, Target};
use crate::client::Client;
use crate::report::{Line, millis};
use crate::system::System;

/// The bar: how many times the idle value the other person's p99 may be.
const MOST: f64 = 3.0;
/// The other person asks no more often than a person with an app does, within their own limit of requests.
const PAUSE: Duration = Duration::from_millis(110);
/// How long an attack runs before the other person is measured.
const BEFORE: Duration = Duration::from_secs(2);

const WALLET: &str =
    "query($id: String!) { wallet(id: $id) { id balance transactions(first: 5) { nodes { id status } } } }";

/// Attacks that run until this is dropped.
struct Running(Vec<JoinHandle<()>>);

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

pub(crate) async fn measure(samples: usize) -> Result<Vec<Line>> {
    let system = System::start_limited().await?;
    let _worker = system.stack.start_worker().await?;
    let (other, attacker) = (system.client()?, system.client()?);
    let wallet = other.wallet().await?;
    let target = Target::prepare(system.stack.api_base(), attacker).await?;
    // Warms connections and caches.
    p99(&other, &wallet, 30).await?;
    let idle = p99(&other, &wallet, samples).await?;
    let mut lines = vec![Line::holds(
        format!("another person's p99 of {samples}, idle"),
        format!("{:.1} ms", millis(idle)),
        "",
        true,
    )];
    for attack in Attack::ALL {
        let running = Running(attack.begin(&target));
        tokio::time::sleep(BEFORE).await;
        let under = p99(&other, &wallet, samples).await?;
        drop(running);
        let ratio = under.as_secs_f64() / idle.as_secs_f64();
        lines.push(Line::below(
            format!("{attack}: {:.1} ms, times idle", millis(under)),
            ratio,
            MOST,
            "x",
        ));
    }
    Ok(lines)
}

/// The 99th hundredth of the waiting times of so many requests.
async fn p99(person: &Client, wallet: &str, samples: usize) -> Result<Duration> {
    let mut took = Vec::with_capacity(samples);
    for _ in 0..samples {
        tokio::time::sleep(PAUSE).await;
        let began = Instant::now();
        let status = person.send(WALLET, json!({ "id": wallet })).await?;
        anyhow::ensure!(status == 200, "the other person was answered {status}");
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took.get(took.len() * 99 / 100).copied().context("no samples")
}
