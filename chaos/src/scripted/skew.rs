//! F32: the clocks of two workers are ten minutes wrong, one fast and one slow, and are set back while the workers run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use wallet_dev::pace;
use wallet_dev::stack::Env;

use super::Stage;
use crate::check;
use crate::clock::{self, FILE, FOLLOWS};
use crate::programs::Program;
use crate::random::FINAL_WITHIN;
use crate::tally::Tally;
use crate::world::Wanted;

/// The error of each worker's clock in seconds: at first, and later.
const WRONG: [(i64, i64); 3] = [(600, 300), (-600, -660), (0, 0)];
/// How long each error lasts.
const EACH: Duration = Duration::from_secs(10);

pub(super) async fn play(folder: &Path, tally: &Tally) -> Result<String> {
    let mut stage = Stage::set(folder, tally, Wanted::default(), 6).await?;
    let world = std::sync::Arc::clone(&stage.world);
    let workers = world.members(Program::Worker);
    let mut files: Vec<PathBuf> = Vec::new();
    for (number, worker) in workers.iter().enumerate() {
        let (at_first, _) = WRONG.get(number).context("too many workers")?;
        let file = folder.join(format!("clock-{number}"));
        clock::set(&file, *at_first)?;
        worker.order(
            Env::new()
                .with(FILE, file.display().to_string())
                .with(FOLLOWS, "1"),
        );
        ensure!(worker.replace().await?, "a worker did not end in good order");
        files.push(file);
    }
    let before = stage.load.journal.accepted();
    tokio::time::sleep(EACH).await;
    for (file, (_, later)) in files.iter().zip(WRONG) {
        clock::set(file, later)?;
    }
    tokio::time::sleep(EACH).await;
    let meanwhile = stage.load.journal.accepted() - before;
    ensure!(meanwhile > 5, "only {meanwhile} requests were accepted meanwhile");
    for file in &files {
        clock::set(file, 0)?;
    }
    let right = Instant::now();
    stage.load.stop_asking(pace::scaled(FINAL_WITHIN)).await?;
    let took = check::rest::wait(&world, right, pace::scaled(FINAL_WITHIN)).await?;
    stage.check(0).await?;
    Ok(format!(
        "{meanwhile} requests were accepted while clocks were wrong; all was done {} ms after they were right again",
        took.as_millis()
    ))
}
