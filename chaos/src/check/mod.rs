//! The checkers, during the run and at its end. Each check is counted, whether or not it finds anything.

mod accepted;
mod effects;
mod leaks;
pub(crate) mod reader;
pub(crate) mod rest;
mod secrets;

use std::sync::Arc;

use anyhow::Result;
use wallet_core::db::{Db, DbOptions};
use wallet_core::verify::{Scope, verify};

use crate::load::journal::Journal;
use crate::world::World;

/// Checks everything that must hold once all has healed and finished.
pub(crate) async fn all(world: &Arc<World>, journal: &Journal, parked: i64) -> Result<()> {
    books(world).await?;
    effects::check(world).await?;
    accepted::check(world, journal).await?;
    leaks::check(world, parked).await?;
    secrets::check(world).await
}

/// Checks all of the product's own invariants, in one snapshot.
pub(crate) async fn books(world: &World) -> Result<()> {
    let options = DbOptions {
        application_name: "chaos-checker",
        writes: false,
        pool_size: 1,
        ..DbOptions::default()
    };
    let db = Db::connect(&world.database.url(), &options).await?;
    books_in(&db, world).await
}

async fn books_in(db: &Db, world: &World) -> Result<()> {
    let verified = verify(db, Scope::Complete, 10, |_, _| {}).await?;
    for finding in verified.findings {
        let found = finding.first.iter().map(ToString::to_string);
        world.tally.checked(finding.check.name, found);
    }
    witnessed(world).await
}

/// Checks what PostgreSQL itself recorded (`world/witness.sql`).
async fn witnessed(world: &World) -> Result<()> {
    let told = async |sql: &str| -> Result<Vec<String>> {
        let rows = world.database.connect().await?.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    let stale = "SELECT 'job ' || job || ' was settled under claim ' || fence || ' when claim ' || given || ' had been given'
                   FROM campaign.stale LIMIT 20";
    let early = "SELECT event || ' counted as processed before it was' FROM campaign.early LIMIT 20";
    let (stale, early) = (told(stale).await?, told(early).await?);
    let tally = &world.tally;
    tally.checked("I10 nobody settles under a claim that is void", stale);
    tally.checked("I8 an event is processed by the commit that ends its job", early);
    Ok(())
}
