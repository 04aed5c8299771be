//! Scenarios that chance would not reach: each is run once, by a script.

mod clock;
mod configs;
mod poison;
mod restore;
mod schema;
mod skew;
mod stops;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;
use wallet_dev::pace;
use wallet_dev::say::say;

use crate::check;
use crate::load::{Amount, Load};
use crate::random::FINAL_WITHIN;
use crate::tally::{Counts, Tally};
use crate::world::{Wanted, World};

/// The result of one scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Played {
    /// Its name.
    pub(crate) name: &'static str,
    /// What was observed, or why it does not hold.
    pub(crate) told: String,
    /// Whether it holds.
    pub(crate) holds: bool,
    /// How long it took.
    pub(crate) seconds: u64,
}

/// The names of the scenarios.
pub(crate) const NAMES: [&str; 10] = [
    "F13 answers lost for 25 hours",
    "F15 429 for ten minutes",
    "F30 stopped for 45 s at JobsClaimed, CallBeforeSend and CallAnswered",
    "F32 clocks ten minutes wrong",
    "F37 a job that kills its worker",
    "F37 a job that panics",
    "F37 a job that spins",
    "F40 old programs on a newer schema",
    "F44 a backup restored",
    "F45 bad configurations",
];

/// Runs all scenarios whose names contain one of the texts, or all if there are no texts.
pub(crate) async fn run(folder: &Path, named: &[String]) -> Result<(Vec<Played>, Counts)> {
    let mut all = Vec::new();
    let mut counts = Counts::default();
    for (number, name) in NAMES.into_iter().enumerate() {
        if !named.is_empty()
            && !named
                .iter()
                .any(|text| name.to_lowercase().contains(&text.to_lowercase()))
        {
            continue;
        }
        let began = Instant::now();
        let place = folder.join(format!("scenario-{number}"));
        let _ = std::fs::remove_dir_all(&place);
        let tally = Tally::default();
        let played = play(name, &place, &tally).await;
        let found: Vec<String> = tally.counts().found().collect();
        counts.add(&tally.counts());
        let (told, holds) = match played {
            Ok(told) if found.is_empty() => (told, true),
            Ok(told) => (format!("{told}; but {}", found.join("; ")), false),
            Err(error) => (format!("{error:#} {}", found.join("; ")), false),
        };
        let seconds = began.elapsed().as_secs();
        let mark = if holds { "holds" } else { "DOES NOT HOLD" };
        say(&format!("    {name}: {mark} after {seconds} s: {told}"));
        all.push(Played {
            name,
            told,
            holds,
            seconds,
        });
    }
    Ok((all, counts))
}

async fn play(name: &str, folder: &Path, tally: &Tally) -> Result<String> {
    match name {
        "F13 answers lost for 25 hours" => clock::answers_lost(folder, tally).await,
        "F15 429 for ten minutes" => clock::storm(folder, tally).await,
        "F30 stopped for 45 s at JobsClaimed, CallBeforeSend and CallAnswered" => {
            stops::play(folder, tally).await
        }
        "F32 clocks ten minutes wrong" => skew::play(folder, tally).await,
        "F37 a job that kills its worker" => poison::play(folder, tally, "abort").await,
        "F37 a job that panics" => poison::play(folder, tally, "panic").await,
        "F37 a job that spins" => poison::play(folder, tally, "spin").await,
        "F40 old programs on a newer schema" => schema::play(folder, tally).await,
        "F44 a backup restored" => restore::play(folder, tally).await,
        "F45 bad configurations" => configs::play(folder, tally).await,
        other => bail!("there is no scenario {other}"),
    }
}

/// A world in which people have money, and without any load but the script's unless `clients` is above zero.
struct Stage {
    world: Arc<World>,
    load: Load,
}

impl Stage {
    async fn set(folder: &Path, tally: &Tally, wanted: Wanted, clients: usize) -> Result<Self> {
        let world = World::start(11, tally.clone(), folder, wanted).await?;
        let amount = Amount {
            clients,
            pause: Duration::from_millis(300),
            everybody: false,
        };
        let load = Load::start(&world, amount).await?;
        Ok(Self { world, load })
    }

    /// Stops the load, waits until everything is final, checks it, and ends the world.
    async fn strike(mut self, parked: i64) -> Result<()> {
        let healed = Instant::now();
        self.load.stop_asking(pace::scaled(FINAL_WITHIN)).await?;
        check::rest::wait(&self.world, healed, pace::scaled(FINAL_WITHIN)).await?;
        self.check(parked).await
    }

    /// Checks everything as it is, and ends the world.
    async fn check(self, parked: i64) -> Result<()> {
        check::all(&self.world, &self.load.journal, parked).await?;
        self.load.end().await;
        self.world.end().await;
        Ok(())
    }

    async fn status(&self, id: uuid::Uuid) -> Result<String> {
        let client = self.world.database.connect().await?;
        let sql = "SELECT status::text FROM wallet_transactions WHERE id = $1";
        Ok(client.query_one(sql, &[&id]).await?.get(0))
    }

    /// Returns how many of these transactions have this status.
    async fn with_status(&self, ids: &[uuid::Uuid], status: &str) -> Result<usize> {
        let mut found = 0;
        for id in ids {
            if self.status(*id).await? == status {
                found += 1;
            }
        }
        Ok(found)
    }
}

/// Waits until a condition holds, for at most the limit scaled to this machine; returns how long that took.
async fn until(
    what: &str,
    limit: Duration,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<Duration> {
    let (start, limit) = (Instant::now(), pace::scaled(limit));
    loop {
        if holds().await.unwrap_or(false) {
            return Ok(start.elapsed());
        }
        if start.elapsed() > limit {
            bail!("{what}: not after {} s", limit.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
