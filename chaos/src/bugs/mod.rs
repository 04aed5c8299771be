//! Planted bugs: one guard broken at a time. A campaign that does not notice it would not notice a real bug either.
//!
//! Each bug is a patch in `chaos/bugs`, applied to a copy of the source and built; the campaign runs the programs of that build.

mod bug;
mod scratch;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use wallet_dev::say::say;

pub(crate) use bug::Bug;
use scratch::Scratch;

use crate::check::rest;
use crate::nemesis::Chosen;
use crate::random::{self, Plan};

/// How long a bug has to show itself.
const PLANTED_FOR: Duration = Duration::from_secs(40);
/// How long its faults run without it.
const CONTROL_FOR: Duration = Duration::from_secs(20);
/// The seed of both runs.
const SEED: u64 = 9;
/// The maximum number of rounds: a slow machine gets less done, so a bug that has not shown is planted again, with another seed and for longer.
const MOST_ROUNDS: u32 = 4;

/// A bug and whether it was noticed.
#[derive(Debug, Serialize)]
pub(crate) struct Collected {
    /// The name of the bug.
    pub(crate) bug: String,
    /// The finding that revealed it.
    pub(crate) by: Option<String>,
    /// If nothing revealed it: the violations that do not count as revealing it.
    pub(crate) others: Vec<String>,
    /// How long that took, including the start of the system but not the build.
    pub(crate) seconds: u64,
}

/// The faults of some bugs, run without any bug: nothing may be violated, or a violation under the bug would prove nothing.
#[derive(Debug, Serialize)]
pub(crate) struct Control {
    /// The faults.
    pub(crate) faults: Vec<String>,
    /// The violations.
    pub(crate) found: Vec<String>,
    /// How long the run took.
    pub(crate) seconds: u64,
}

/// Whether a finding counts: a slow machine is late without any bug, so a late request that did finish proves nothing.
fn tells_something(found: &str) -> bool {
    !found.contains(rest::LATE)
}

/// Whether a finding is due to refusals: what Stripe refuses for no reason is rightly parked with an alarm.
fn is_due_to_refusals(found: &str) -> bool {
    ["no alarm but about poison", "I3 nothing is parked but poison"]
        .iter()
        .any(|check| found.starts_with(check))
}

fn plan(bug: &Bug, length: Duration) -> Plan {
    Plan {
        faults_for: length,
        chosen: Chosen::named(&bug.faults),
        file: None,
        until_violated: true,
        starts_anew: bug.starts_anew,
        tells: false,
    }
}

/// Plants every bug in turn, or those whose names contain one of these texts; each set of faults first runs once without a bug.
pub(crate) async fn run(folder: &Path, named: &[String]) -> Result<(Vec<Collected>, Vec<Control>)> {
    let mut all = Vec::new();
    let mut controls: Vec<Control> = Vec::new();
    let scratch = Scratch::make().await?;
    for bug in Bug::all()? {
        if !named.is_empty() && !named.iter().any(|text| bug.name.contains(text.as_str())) {
            continue;
        }
        if !controls.iter().any(|control| control.faults == bug.faults) {
            controls.push(control(&bug, &folder.join(format!("without-{}", bug.name))).await);
        }
        let building = Instant::now();
        let file = scratch.build(&bug).await?;
        say(&format!(
            "    {}: built in {} s",
            bug.name,
            building.elapsed().as_secs()
        ));
        all.push(plant(bug, file, folder).await);
    }
    Ok((all, controls))
}

async fn control(bug: &Bug, folder: &Path) -> Control {
    let began = Instant::now();
    let found = match random::run(SEED, &plan(bug, CONTROL_FOR), folder).await {
        Ok(outcome) => (outcome.counts.found().filter(|found| tells_something(found)))
            .filter(|found| !(bug.faults.iter().any(|fault| fault == "F17") && is_due_to_refusals(found)))
            .collect(),
        Err(error) => vec![format!("{error:#}")],
    };
    let seconds = began.elapsed().as_secs();
    let faults_told = bug.faults.join(", ");
    say(&match found.first() {
        Some(first) => format!("    without a bug, {faults_told}: VIOLATED after {seconds} s: {first}"),
        None => format!("    without a bug, {faults_told}: nothing is violated, {seconds} s"),
    });
    Control {
        faults: bug.faults.clone(),
        found,
        seconds,
    }
}

/// Runs the programs with the bug until it is noticed.
async fn plant(bug: Bug, file: PathBuf, folder: &Path) -> Collected {
    let began = Instant::now();
    let tells = |found: &&String| bug.is_told_by(found);
    let name = bug.name.as_str();
    let (mut by, mut found) = (None, Vec::new());
    for round in 1..=MOST_ROUNDS {
        let mut plan = plan(&bug, PLANTED_FOR * round);
        plan.file = Some(file.clone());
        let seed = SEED + u64::from(round) - 1;
        found = match random::run(seed, &plan, &folder.join(name)).await {
            Ok(outcome) => (outcome.counts.found().filter(|found| tells_something(found))).collect(),
            // Under a bug anything may go wrong; a run that merely breaks has not caught the bug.
            Err(error) => {
                say(&format!("    {name}: {error:#}"));
                Vec::new()
            }
        };
        by = (found.iter().find(tells)).and_then(|found| found.lines().next().map(str::to_owned));
        if by.is_some() || round == MOST_ROUNDS {
            break;
        }
        say(&format!("    {name}: not seen yet, looking for longer"));
    }
    let seconds = began.elapsed().as_secs();
    let others = if by.is_some() { Vec::new() } else { found };
    say(&match (&by, others.first()) {
        (Some(by), _) => format!("    {name}: caught after {seconds} s by {by}"),
        (None, None) => format!("    {name}: NOT CAUGHT after {seconds} s"),
        (None, Some(other)) => {
            format!("    {name}: NOT CAUGHT after {seconds} s; what was seen does not tell it: {other}")
        }
    });
    Collected {
        bug: bug.name,
        by,
        others,
        seconds,
    }
}
