//! One seed of the random campaign: faults under load, then everything heals and must end in time, then the checkers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rand::Rng as _;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use wallet_dev::pace;
use wallet_dev::say::say;
use wallet_dev::stack::Env;

use crate::check;
use crate::load::{Amount, Load};
use crate::nemesis::{Chosen, Nemesis};
use crate::seed;
use crate::tally::{Counts, Tally};
use crate::world::{Wanted, World};

/// How long after healing every request must be final, on a machine of the usual speed.
pub(crate) const FINAL_WITHIN: Duration = Duration::from_secs(60);

/// The result of one seed.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// The seed.
    pub(crate) seed: u64,
    /// Everything that was counted.
    pub(crate) counts: Counts,
    /// How long after healing everything was final, in milliseconds.
    pub(crate) final_after_ms: u128,
    /// The number of accepted requests.
    pub(crate) accepted: usize,
    /// The number of processes that died and were restarted.
    pub(crate) deaths: u64,
}

/// How a seed is run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How long things are broken.
    pub(crate) faults_for: Duration,
    /// The chosen faults.
    pub(crate) chosen: Chosen,
    /// The file to run as our programs: this very program, unless another is named, such as one with a bug.
    pub(crate) file: Option<PathBuf>,
    /// Whether the run ends at the first violation.
    pub(crate) until_violated: bool,
    /// Whether every process may be restarted when everything heals. Every second seed does without restarts:
    /// a new process would hide a consumer that hangs, a supervisor that died or a breaker that stays open.
    pub(crate) starts_anew: bool,
    /// Whether the run reports its progress.
    pub(crate) tells: bool,
}

/// Runs one seed; the logs go to `folder`.
pub(crate) async fn run(number: u64, plan: &Plan, folder: &Path) -> Result<Outcome> {
    let tally = Tally::default();
    let mut random = seed::stream(number, "plan");
    // Some seeds run with few connections, so that pools are exhausted (F36); all run with checks every few seconds.
    let pool = if random.random_bool(0.3) { "4" } else { "10" };
    let env = Env::new()
        .with("DATABASE_POOL_SIZE", pool)
        .with("VERIFY_QUICK_SECONDS", "3");
    let wanted = Wanted {
        env,
        file: plan.file.clone(),
        ..Wanted::default()
    };
    let world = World::start(number, tally.clone(), folder, wanted)
        .await
        .context("the system does not start")?;
    let amount = Amount {
        clients: 10,
        pause: Duration::from_millis(250),
        everybody: true,
    };
    let mut load = Load::start(&world, amount)
        .await
        .context("the load does not start")?;
    let reading = CancellationToken::new();
    let reader = check::reader::start(&world, Duration::from_millis(1_500), reading.clone());

    let operator = tokio::spawn(operator(Arc::clone(&world)));

    let began = Instant::now();
    let nemesis = Nemesis::start(&world, &plan.chosen, plan.faults_for).await;
    let mut told = Instant::now();
    while began.elapsed() < plan.faults_for {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if plan.tells && told.elapsed() > Duration::from_secs(15) {
            told = Instant::now();
            say(&format!(
                "    seed {number}: {} s of faults, {} requests accepted, {} faults reached, {} violations",
                began.elapsed().as_secs(),
                load.journal.accepted(),
                tally
                    .counts()
                    .faults
                    .values()
                    .map(|(_, reached)| reached)
                    .sum::<u64>(),
                tally.violations()
            ));
        }
        if plan.until_violated && tally.violations() > 0 {
            break;
        }
    }
    let deaths = world.members.iter().map(|member| member.deaths()).sum();
    let seen_early = plan.until_violated && tally.violations() > 0;
    nemesis
        .heal(&world, plan.starts_anew && !number.is_multiple_of(2))
        .await
        .context("it does not heal")?;
    let healed = Instant::now();
    if let Err(error) = load.stop_asking(pace::scaled(FINAL_WITHIN)).await {
        tally.checked("every request is answered after healing", [format!("{error:#}")]);
    } else {
        tally.checked("every request is answered after healing", []);
    }
    let after = if seen_early {
        Duration::ZERO
    } else {
        check::rest::wait(&world, healed, pace::scaled(FINAL_WITHIN)).await?
    };
    operator.abort();
    reading.cancel();
    let _ = reader.await;
    if !seen_early {
        check::all(&world, &load.journal, 0)
            .await
            .context("the checks could not be made")?;
    }
    let accepted = load.journal.accepted();
    load.end().await;
    world.end().await;
    Ok(Outcome {
        seed: number,
        counts: tally.counts(),
        final_after_ms: after.as_millis(),
        accepted,
        deaths,
    })
}

/// An operator who requeues jobs that were parked after three deaths of their workers, as the alarm asks: here workers die all the time.
async fn operator(world: Arc<World>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // If PostgreSQL's faults prevent this, it is tried again.
        let _ = world.requeue_crashed().await;
    }
}
