//! F44: the database comes back from a backup, and Stripe has done more since. The difference must be seen before money goes out.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use wallet_dev::stack::PostgresOptions;

use super::{Stage, until};
use crate::load::Single;
use crate::programs::Program;
use crate::tally::Tally;
use crate::world::{Service, Wanted};

pub(super) async fn play(folder: &Path, tally: &Tally) -> Result<String> {
    let stage = Stage::set(folder, tally, Wanted::default(), 4).await?;
    let world = std::sync::Arc::clone(&stage.world);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let backup = {
        let servers = world.database.servers().await;
        let options = PostgresOptions {
            fsync: true,
            ..PostgresOptions::default()
        };
        servers.primary.copy(false, options).await?
    };
    let mut later = Vec::new();
    for person in 0..4 {
        later.push(stage.load.send(&world, Single::Withdrawal, person, 1_100).await?);
        later.push(stage.load.send(&world, Single::Deposit, person, 1_300).await?);
    }
    until(
        "what came after the backup is done",
        Duration::from_secs(35),
        async || Ok(stage.with_status(&later, "completed").await? == later.len()),
    )
    .await?;
    let (before, said) = world.operate(&["reconcile"]).await?;
    for member in &world.members {
        member.stop().await?;
    }
    let port = world.database.replace(backup).await?;
    world.redirect(Service::Database, port);
    let lost: i64 = world
        .database
        .number("SELECT count(*) FROM wallet_transactions")
        .await?;
    let (after, told) = world.operate(&["reconcile"]).await?;
    let named = later.iter().filter(|id| told.contains(&id.to_string())).count();
    ensure!(
        before != 2 && after == 1,
        "reconcile ended with {before} before ({said}) and {after} after the restore: {told}"
    );
    // The programs come up again; the books are in order by themselves, and wait for a person to settle the difference.
    for member in world.members(Program::Worker) {
        member.start().await?;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    crate::check::books(&world).await?;
    stage.load.end().await;
    world.end().await;
    Ok(format!(
        "{lost} transactions were restored; reconcile found the difference (exit code {after}, {before} before) and named {named} of {} lost requests",
        later.len()
    ))
}
