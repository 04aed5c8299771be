//! One transfer at a time on an idle system.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::report::{Line, millis};
use crate::system::System;

/// The poll interval that the bar assumes.
const POLL: Duration = Duration::from_millis(5);

pub(crate) async fn measure(samples: usize) -> Result<Vec<Line>> {
    let system = System::start().await?;
    let _worker = system.stack.start_worker().await?;
    let funded = system.funded(2, "1000.00").await?;
    let [(client, from), (_, to)] = funded.people.as_slice() else {
        anyhow::bail!("two wallets were asked for")
    };
    let mut took = Vec::with_capacity(samples);
    for number in 0..samples + 20 {
        let began = Instant::now();
        let id = client.transfer(from, to, "0.01").await?;
        client.completed(&id, POLL, Duration::from_secs(10)).await?;
        // The first ones only warm up connections and caches.
        if number >= 20 {
            took.push(began.elapsed());
        }
    }
    took.sort_unstable();
    let at = |hundredths: usize| {
        took.get((took.len() * hundredths / 100).min(took.len() - 1))
            .copied()
            .context("no samples")
    };
    Ok(vec![
        Line::below(
            format!("transfer, mutation to COMPLETED, median of {samples}"),
            millis(at(50)?),
            25.0,
            "ms",
        ),
        Line::below("the same, p99", millis(at(99)?), 80.0, "ms"),
    ])
}
