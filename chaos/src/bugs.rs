//! Planted bugs: one guard broken at a time. A campaign that does not notice would not notice a real one either.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use wallet_dev::say::say;
use wallet_dev::stack::Env;

use crate::check::rest;
use crate::nemesis::Chosen;
use crate::random::{self, Plan};

/// How long a bug has to show.
const PLANTED_FOR: Duration = Duration::from_secs(40);
/// How long its faults are tried without it.
const CONTROL_FOR: Duration = Duration::from_secs(20);
/// The seed of both.
const SEED: u64 = 9;
/// A slow machine gets less done in that time: a bug that has not shown is planted again, with another seed and for longer, so often at most.
const MOST_ROUNDS: u32 = 4;

/// A bug and whether it was noticed.
#[derive(Debug, Serialize)]
pub(crate) struct Caught {
    /// Its name.
    pub(crate) bug: &'static str,
    /// What told it.
    pub(crate) by: Option<String>,
    /// What was violated that does not tell it, if nothing did.
    pub(crate) others: Vec<String>,
    /// How long that took, with the start of the system.
    pub(crate) seconds: u64,
}

/// The faults of some bugs, without any bug: nothing may be violated, or a violation under the bug would not tell it.
#[derive(Debug, Serialize)]
pub(crate) struct Control {
    /// Which faults.
    pub(crate) faults: &'static [&'static str],
    /// What was violated.
    pub(crate) found: Vec<String>,
    /// How long it took.
    pub(crate) seconds: u64,
}

/// Under which faults a bug shows, and which checks tell it (how their findings begin).
struct Shows {
    faults: &'static [&'static str],
    by: &'static [&'static str],
}

/// What is never done, or never ends.
const UNDONE: &[&str] = &["I3 business", "I3 every request", "I8 every event", "I8 events"];

/// Bugs that need no faults show under load alone.
fn shows(bug: &str) -> Shows {
    let under = |faults, by| Shows { faults, by };
    const ALONE: &[&str] = &["F18"];
    match bug {
        "no-fence" => under(
            &["leases lapse", "F20", "F36 Stripe is slow"],
            &["I10 nobody settles"],
        ),
        "settled-twice" => under(ALONE, &["I1 ", "I5 entries", "I6 ", "I7 ", "I16 ", "I25 "]),
        "key-from-the-clock" => under(
            &["F13 answer lost", "F13 no answer", "F16 503"],
            &["I1 reconcile", "I1 stripe:clearing", "I2 "],
        ),
        "unknown-is-refused" => under(
            &["F13 answer lost", "F13 no answer", "F16 503"],
            &["I1 reconcile", "I1 stripe:clearing", "I2 completed"],
        ),
        "hold-not-released" => under(&["F17"], &["I6 ", "I16 "]),
        "event-marked-first" => under(&["event job dies often"], &["I8 "]),
        "dispatcher-by-cursor" => under(&["F07", "F25 queue emptied"], UNDONE),
        "job-after-commit" => under(&["API dies often", "kill -9 of an API"], UNDONE),
        "retry-forgotten" => under(&["F16 503", "F15 429"], UNDONE),
        "no-row-locks" => under(
            &["F29", "lock node restarted empty"],
            &["I1 transaction", "I6 ", "I15 ", "I16 ", "I25 "],
        ),
        "refunds-unlimited" => under(ALONE, &["I3 every request", "I15 ", "I16 "]),
        "audit-skipped" => under(ALONE, &["I7 ", "I12 "]),
        "client-key-ignored" => under(ALONE, &["I5 no transaction without a request", "I9 "]),
        "cancelled-here-only" => under(
            ALONE,
            &["I2 completed", "no alarm but about poison: contradiction"],
        ),
        // A bug that nobody has thought about is told by nothing.
        _ => under(ALONE, &[]),
    }
}

/// A slow machine is late without any bug: what came to its end after all proves nothing.
fn tells_something(found: &str) -> bool {
    !found.contains(rest::LATE)
}

/// What Stripe refuses for no reason is parked with an alarm, as it should be.
fn is_due_to_refusals(found: &str) -> bool {
    ["no alarm but about poison", "I3 nothing is parked but poison"]
        .iter()
        .any(|check| found.starts_with(check))
}

fn plan(bug: &str, faults: &[&str], length: Duration) -> Plan {
    let texts: Vec<String> = faults.iter().map(|text| (*text).to_owned()).collect();
    Plan {
        faults_for: length,
        chosen: Chosen::named(&texts),
        env: Env::new(),
        until_violated: true,
        // A dispatcher that begins anew has no cursor.
        starts_anew: bug != "dispatcher-by-cursor",
        tells: false,
    }
}

/// Plants every bug in turn, or those whose names contain one of these texts, each set of faults once without a bug first.
pub(crate) async fn run(folder: &Path, named: &[String]) -> Result<(Vec<Caught>, Vec<Control>)> {
    let mut all = Vec::new();
    let mut controls: Vec<Control> = Vec::new();
    for bug in wallet_core::chaos::PlantedBug::ALL {
        let bug = bug.name();
        if !named.is_empty() && !named.iter().any(|text| bug.contains(text.as_str())) {
            continue;
        }
        let faults = shows(bug).faults;
        if !controls.iter().any(|control| control.faults == faults) {
            controls.push(control(bug, faults, &folder.join(format!("without-{bug}"))).await);
        }
        all.push(plant(bug, folder).await);
    }
    Ok((all, controls))
}

async fn control(bug: &'static str, faults: &'static [&'static str], folder: &Path) -> Control {
    let began = Instant::now();
    let found = match random::run(SEED, &plan(bug, faults, CONTROL_FOR), folder).await {
        Ok(outcome) => (outcome.counts.found().filter(|found| tells_something(found)))
            .filter(|found| !(faults.contains(&"F17") && is_due_to_refusals(found)))
            .collect(),
        Err(error) => vec![format!("{error:#}")],
    };
    let seconds = began.elapsed().as_secs();
    let faults_told = faults.join(", ");
    say(&match found.first() {
        Some(first) => format!("    without a bug, {faults_told}: VIOLATED after {seconds} s: {first}"),
        None => format!("    without a bug, {faults_told}: nothing is violated, {seconds} s"),
    });
    Control {
        faults,
        found,
        seconds,
    }
}

async fn plant(bug: &'static str, folder: &Path) -> Caught {
    let began = Instant::now();
    let shows = shows(bug);
    let tells = |found: &&String| shows.by.iter().any(|name| found.starts_with(name));
    let (mut by, mut found) = (None, Vec::new());
    for round in 1..=MOST_ROUNDS {
        let mut plan = plan(bug, shows.faults, PLANTED_FOR * round);
        plan.env = Env::new().with("PLANTED_BUG", bug);
        let seed = SEED + u64::from(round) - 1;
        found = match random::run(seed, &plan, &folder.join(bug)).await {
            Ok(outcome) => (outcome.counts.found().filter(|found| tells_something(found))).collect(),
            // Under a bug anything may go wrong; what is only broken and not seen is not caught.
            Err(error) => {
                say(&format!("    {bug}: {error:#}"));
                Vec::new()
            }
        };
        by = (found.iter().find(tells)).and_then(|found| found.lines().next().map(str::to_owned));
        if by.is_some() || round == MOST_ROUNDS {
            break;
        }
        say(&format!("    {bug}: not seen yet, looking for longer"));
    }
    let seconds = began.elapsed().as_secs();
    let others = if by.is_some() { Vec::new() } else { found };
    say(&match (&by, others.first()) {
        (Some(by), _) => format!("    {bug}: caught after {seconds} s by {by}"),
        (None, None) => format!("    {bug}: NOT CAUGHT after {seconds} s"),
        (None, Some(other)) => {
            format!("    {bug}: NOT CAUGHT after {seconds} s; what was seen does not tell it: {other}")
        }
    });
    Caught {
        bug,
        by,
        others,
        seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_is_told_by_something() {
        for bug in wallet_core::chaos::PlantedBug::ALL {
            assert!(!shows(bug.name()).by.is_empty(), "{}", bug.name());
        }
    }
}
