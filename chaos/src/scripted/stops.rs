//! F30: workers are stopped for longer than their leases and locks last, in the middle of their work, and then continue.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use wallet_dev::stack::Env;

use super::{Stage, until};
use crate::load::Single;
use crate::nemesis::points;
use crate::programs::Program;
use crate::tally::Tally;
use crate::world::Wanted;
use crate::world::member::Member;

const POINTS: [&str; 3] = ["JobsClaimed", "CallBeforeSend", "CallAnswered"];
/// Longer than the 30 s of a lock and the 15 s of a lease.
const STOPPED: Duration = Duration::from_secs(45);
/// How long other processes may take to do the work of a stopped one.
const TAKEN_OVER: Duration = Duration::from_secs(35);

pub(super) async fn play(folder: &Path, tally: &Tally) -> Result<String> {
    let wanted = Wanted {
        more_workers: 1,
        ..Wanted::default()
    };
    let stage = Stage::set(folder, tally, wanted, 0).await?;
    let workers: Vec<_> = stage
        .world
        .members(Program::Worker)
        .into_iter()
        .cloned()
        .collect();
    for (worker, point) in workers.iter().zip(POINTS) {
        worker.stay_stopped_for(STOPPED);
        worker.order(Env::new().with("FAILPOINTS", format!("{point}:stop#1")));
        worker.replace().await?;
    }
    let mut sent = Vec::new();
    let hits = || -> Result<usize> {
        let hits = points::hits(folder)?;
        let stopped =
            |point: &&&str| hits.contains_key(&((**point).to_owned(), "stop".to_owned(), Program::Worker));
        Ok(POINTS.iter().filter(stopped).count())
    };
    for round in 0..60 {
        for what in [Single::Withdrawal, Single::Deposit, Single::Transfer] {
            sent.push(stage.load.send(&stage.world, what, round % 8, 150).await?);
        }
        if hits()? == POINTS.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    anyhow::ensure!(hits()? == POINTS.len(), "only {} of the workers stopped", hits()?);
    for worker in &workers {
        // A worker that is restarted is an ordinary one; the stopped ones still have their orders, which are used up.
        worker.order(Env::new());
    }
    let took = until(
        "others do the work of the stopped workers",
        TAKEN_OVER,
        async || Ok(stage.with_status(&sent, "completed").await? == sent.len()),
    )
    .await?;
    until("all stopped workers go on", STOPPED * 2, async || {
        for worker in &workers {
            if worker.is_stopped().await {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await?;
    // They now write the results of what they held; these writes must be refused, and counted as refused.
    let refused = ["wallet_settlements_total{", "outcome=\"stale_fence\""];
    counted(&workers, &refused).await?;
    until(
        "a write under a void claim is refused and counted",
        Duration::from_secs(30),
        async || Ok(counted(&workers, &refused).await? > 0),
    )
    .await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let stale = counted(&workers, &refused).await?;
    let text = format!(
        "{} requests were done by others {} ms after the last stop; {stale} writes under void claims were refused",
        sent.len(),
        took.as_millis()
    );
    stage.strike(0).await?;
    Ok(text)
}

/// Returns the sum of the workers' metrics in the lines that contain all these parts.
async fn counted(workers: &[Arc<Member>], name: &[&str]) -> Result<u64> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()?;
    let mut sum = 0;
    for worker in workers {
        let port = worker
            .env()
            .get("METRICS_PORT")
            .context("a worker without metrics")?;
        let url = format!("http://127.0.0.1:{port}/metrics");
        let text = client.get(url).send().await?.error_for_status()?.text().await?;
        let found = text
            .lines()
            .find(|line| name.iter().all(|part| line.contains(part)));
        if let Some((_, count)) = found.and_then(|line| line.rsplit_once(' ')) {
            sum += count.parse::<u64>().context("no count")?;
        }
    }
    Ok(sum)
}
