//! One person uses all they can get; measured is another person's waiting time, as a ratio to an idle system.

mod attacker;
mod attacks;
mod socket;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use self::attacker::Attacker;
pub(crate) use self::attacker::run as attack;
pub(crate) use self::attacks::Attack;
use self::attacks::Target;
use crate::client::Client;
use crate::report::{Line, millis};
use crate::system::System;

/// The bar: the maximum ratio of the other person's p99 to its value on an idle system.
const MOST: f64 = 3.0;
/// The pause between the other person's requests: as a person with an app sends them, within their own request limit.
const PAUSE: Duration = Duration::from_millis(110);
/// How long an attack runs before the other person is measured.
const BEFORE: Duration = Duration::from_secs(2);
/// How long the system rests after an attack.
const AFTER: Duration = Duration::from_secs(2);

const WALLET: &str =
    "query($id: String!) { wallet(id: $id) { id balance transactions(first: 5) { nodes { id status } } } }";

/// Measures every attack, or only one.
pub(crate) async fn measure(samples: usize, only: Option<Attack>) -> Result<Vec<Line>> {
    let system = System::start_limited().await?;
    let _worker = system.stack.start_worker().await?;
    let (other, attacker) = (system.client()?, system.client()?);
    let wallet = other.wallet().await?;
    let target = Target::prepare(system.stack.api_base(), &attacker).await?;
    // Warms up connections and caches.
    p99(&other, &wallet, 30).await?;
    let idle = p99(&other, &wallet, samples).await?;
    let mut lines = vec![Line::holds(
        format!("another person's p99 of {samples}, idle"),
        format!("{:.1} ms", millis(idle)),
        "",
        true,
    )];
    for attack in only.map_or_else(|| Attack::ALL.to_vec(), |one| vec![one]) {
        let attacker = Attacker::begin(attack, &target)?;
        tokio::time::sleep(BEFORE).await;
        let under = p99(&other, &wallet, samples).await?;
        let told = attacker.end().await?;
        let ratio = under.as_secs_f64() / idle.as_secs_f64();
        lines.push(Line::below(
            format!("{attack}: {:.1} ms, times idle", millis(under)),
            ratio,
            MOST,
            "x",
        ));
        lines.push(Line::note(format!("the attacker's answers: {told}")));
        tokio::time::sleep(AFTER).await;
    }
    Ok(lines)
}

/// Returns the 99th percentile of the waiting times of this many requests.
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
