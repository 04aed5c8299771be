//! F37: a job that ends its worker every time is parked, other jobs continue, and an operator can have it run again.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use wallet_dev::stack::Env;

use super::{Stage, until};
use crate::load::Single;
use crate::programs::Program;
use crate::tally::Tally;
use crate::world::Wanted;

/// The seconds after which the lease of a run is no longer renewed.
const SHORT_RUN: &str = "5";
/// Enough for three starts, each with a lease that runs out.
const PARKED_WITHIN: Duration = Duration::from_secs(120);

pub(super) async fn play(folder: &Path, tally: &Tally, action: &str) -> Result<String> {
    let stage = Stage::set(folder, tally, Wanted::default(), 0).await?;
    let world = &stage.world;
    let mut orders = Env::new().with("FAILPOINTS", format!("CallBeforeSend:{action}"));
    if action == "spin" {
        // A spinning job occupies a thread of its program for good, however many processors there are; so does housekeeping that calls Stripe.
        orders.set("TOKIO_WORKER_THREADS", "8");
        orders.set("JOB_TIMEOUT_SECONDS", SHORT_RUN);
    }
    for worker in world.members(Program::Worker) {
        // Of everything sent now, only the withdrawal calls Stripe.
        worker.order(orders.clone());
        worker.replace().await?;
    }
    let poison = stage.load.send(world, Single::Withdrawal, 0, 500).await?;
    let mut others = Vec::new();
    for person in 0..24 {
        others.push(
            stage
                .load
                .send(world, Single::Transfer, 1 + person % 6, 100)
                .await?,
        );
    }
    let fine = until("the others are done", Duration::from_secs(35), async || {
        Ok(stage.with_status(&others, "completed").await? == others.len())
    })
    .await?;
    let job = "SELECT coalesce(max(id), 0) FROM jobs WHERE parked_at IS NOT NULL AND transaction_id = ";
    let job = format!("{job}'{poison}'");
    let parked = until("the poison is parked", PARKED_WITHIN, async || {
        Ok(world.database.number(&job).await? > 0)
    })
    .await?;
    let number = world.database.number(&job).await?;
    let starts = world
        .database
        .number(&format!("SELECT starts::bigint FROM jobs WHERE id = {number}"))
        .await?;
    // Housekeeping parks it after the third start, or the claim of a fourth does, which does not run.
    ensure!((3..=4).contains(&starts), "it was parked after {starts} starts");
    let alarms = format!(
        "SELECT count(*) FROM alarms WHERE kind = 'job_parked' AND subject = '{number}' AND closed_at IS NULL"
    );
    ensure!(
        world.database.number(&alarms).await? == 1,
        "the parked job has no alarm"
    );
    ensure!(
        stage.status(poison).await? == "processing",
        "the transaction is not as it was"
    );
    let deaths: u64 = world
        .members(Program::Worker)
        .iter()
        .map(|worker| worker.deaths())
        .sum();
    for worker in world.members(Program::Worker) {
        worker.order(Env::new());
        worker.kill().await?;
    }
    // Housekeeping that reads Stripe's lists may have reached the failpoint too.
    let all = "SELECT id FROM jobs WHERE parked_at IS NOT NULL";
    for row in world.database.connect().await?.query(all, &[]).await? {
        let id: i64 = row.get(0);
        let (code, said) = world
            .operate(&["requeue", &id.to_string()])
            .await
            .context("requeue")?;
        ensure!(code == 0, "requeue ended with {code}: {said}");
    }
    until(
        "the withdrawal is done after all",
        Duration::from_secs(60),
        async || Ok(stage.status(poison).await? == "completed"),
    )
    .await?;
    stage.strike(0).await?;
    Ok(format!(
        "{} others were done after {} ms, the poison was parked with an alarm after {} s and {deaths} deaths, and done once requeued",
        others.len(),
        fine.as_millis(),
        parked.as_secs()
    ))
}
