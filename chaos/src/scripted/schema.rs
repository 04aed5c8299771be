//! F40: a newer version's migration runs while programs of this version keep working.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::Stage;
use crate::tally::Tally;
use crate::world::Wanted;

/// What a release may do first: only add.
const EXPANDING: [&str; 6] = [
    "ALTER TABLE wallet_transactions ADD COLUMN later_note text",
    "ALTER TABLE jobs ADD COLUMN later_priority smallint NOT NULL DEFAULT 0",
    "ALTER TABLE wallets ADD COLUMN later_limit numeric(15,2)",
    "ALTER TABLE stripe_events ADD COLUMN later_source text DEFAULT 'webhook'",
    "CREATE TABLE later_things (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, wallet_id uuid NOT NULL REFERENCES wallets (id))",
    "CREATE INDEX IF NOT EXISTS later_jobs ON jobs (later_priority, id)",
];

pub(super) async fn play(folder: &Path, tally: &Tally) -> Result<String> {
    let stage = Stage::set(folder, tally, Wanted::default(), 6).await?;
    let before = stage.load.journal.accepted();
    for statement in EXPANDING {
        // As in a careful release: a lock that cannot be had at once is requested again later, so that nothing queues up behind it.
        let mut tries = 0;
        loop {
            let client = stage.world.database.connect().await?;
            client.batch_execute("SET lock_timeout = '1s'").await?;
            match client.batch_execute(statement).await {
                Ok(()) => break,
                Err(_) if tries < 30 => tries += 1,
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let meanwhile = stage.load.journal.accepted() - before;
    anyhow::ensure!(meanwhile > 5, "only {meanwhile} requests were accepted meanwhile");
    stage.strike(0).await?;
    Ok(format!(
        "{} changes of the schema while {meanwhile} requests were accepted and done",
        EXPANDING.len()
    ))
}
