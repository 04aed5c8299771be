//! What is told at the end: tables for people, JSON for programs, and whether everything held.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use wallet_dev::say::say;

use crate::bugs::Caught;
use crate::kills::Killed;
use crate::nemesis::Chosen;
use crate::random::Outcome;
use crate::recovery::{self, Recovered};
use crate::scripted::Played;
use crate::tally::Counts;

/// Everything that was run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    seeds: Vec<Outcome>,
    kills: Vec<Killed>,
    recovery: Vec<Recovered>,
    scenarios: Vec<Played>,
    bugs: Vec<Caught>,
    /// What was checked beside the seeds.
    other: Counts,
    /// Faults of the random part that must have been reached.
    wanted: Vec<&'static str>,
    /// A short run need not reach each of them.
    quick: bool,
}

/// A seed in one line.
pub(crate) fn one_line(outcome: &Outcome) -> String {
    let counts = &outcome.counts;
    format!(
        "seed {}: {} requests accepted, {} faults reached, {} processes died, all final {} ms after healing, {} checks made, {} violations",
        outcome.seed,
        outcome.accepted,
        counts.faults.values().map(|(_, reached)| reached).sum::<u64>(),
        outcome.deaths,
        outcome.final_after_ms,
        counts.checks.values().map(|check| check.times).sum::<u64>(),
        counts.checks.values().map(|check| check.violated).sum::<u64>(),
    )
}

impl Report {
    /// An empty one.
    pub(crate) fn new(chosen: &Chosen, quick: bool) -> Self {
        Self {
            seeds: Vec::new(),
            kills: Vec::new(),
            recovery: Vec::new(),
            scenarios: Vec::new(),
            bugs: Vec::new(),
            other: Counts::default(),
            wanted: chosen.faults(),
            quick,
        }
    }

    /// One more seed.
    pub(crate) fn add_seed(&mut self, outcome: Outcome) {
        self.seeds.push(outcome);
    }

    /// The kill table.
    pub(crate) fn add_kills(&mut self, (rows, counts): (Vec<Killed>, Counts)) {
        self.kills = rows;
        self.other.add(&counts);
    }

    /// How fast work resumed.
    pub(crate) fn add_recovery(&mut self, (rows, counts): (Vec<Recovered>, Counts)) {
        self.recovery = rows;
        self.other.add(&counts);
    }

    /// The scenarios; what their checks found is in their own words.
    pub(crate) fn add_scenarios(&mut self, (rows, _): (Vec<Played>, Counts)) {
        self.scenarios = rows;
    }

    /// The planted bugs.
    pub(crate) fn add_bugs(&mut self, rows: Vec<Caught>) {
        self.bugs = rows;
    }

    /// Writes it to the folder and to the terminal, and says whether everything held.
    pub(crate) fn write(&self, folder: &Path) -> Result<bool> {
        let mut counts = Counts::default();
        for outcome in &self.seeds {
            counts.add(&outcome.counts);
        }
        let mut text = String::new();
        let mut failures = Vec::new();
        if !self.seeds.is_empty() {
            self.faults(&counts, &mut text, &mut failures);
            checks(&counts, &mut text, &mut failures);
        }
        self.kills(&mut text, &mut failures);
        self.recovery(&mut text, &mut failures);
        self.scenarios(&mut text, &mut failures);
        self.bugs(&mut text, &mut failures);
        failures.extend(self.other.found());
        if failures.is_empty() {
            let _ = writeln!(text, "\neverything held");
        } else {
            let _ = writeln!(text, "\n{} things did not hold:", failures.len());
            for failure in &failures {
                let _ = writeln!(text, "  {failure}");
            }
        }
        say(&text);
        std::fs::write(folder.join("report.txt"), &text).context("cannot write the report")?;
        std::fs::write(folder.join("report.json"), serde_json::to_vec_pretty(self)?)
            .context("cannot write the report")?;
        say(&format!("the report is in {}", folder.display()));
        Ok(failures.is_empty())
    }

    fn faults(&self, counts: &Counts, text: &mut String, failures: &mut Vec<String>) {
        let _ = writeln!(text, "\nfaults{:>62}{:>10}", "ordered", "reached");
        for (name, (ordered, reached)) in &counts.faults {
            let _ = writeln!(text, "  {name:<56}{ordered:>10}{reached:>10}");
        }
        for wanted in &self.wanted {
            let reached = counts.faults.get(*wanted).map_or(0, |(_, reached)| *reached);
            if reached == 0 && !self.quick {
                failures.push(format!("never reached: {wanted}"));
            }
        }
    }
}

impl Report {
    fn kills(&self, text: &mut String, failures: &mut Vec<String>) {
        if self.kills.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\nkill -9 at every failpoint{:>20}{:>16}{:>13}",
            "reached", "all done after", "violations"
        );
        for row in &self.kills {
            let name = format!("{} at {}", row.program, row.point);
            let done = row.done_ms.map_or("never".to_owned(), |ms| format!("{ms} ms"));
            let reached = if row.reached { "yes" } else { "NO" };
            let _ = writeln!(text, "  {name:<24}{reached:>20}{done:>16}{:>13}", row.violations);
            if !row.holds() {
                failures.push(format!(
                    "killed {name}: reached {reached}, done after {done}, {} violations",
                    row.violations
                ));
            }
        }
    }

    fn recovery(&self, text: &mut String, failures: &mut Vec<String>) {
        if self.recovery.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\nafter a single fault{:>46}{:>8}{:>13}{:>22}",
            "reached", "waited", "resumed", "what waited was done"
        );
        for row in &self.recovery {
            let shown = |time: Option<u128>| time.map_or("never".to_owned(), |ms| format!("{ms} ms"));
            let resumed = if row.waited == 0 {
                "-".to_owned()
            } else {
                shown(row.resumed_ms)
            };
            let done = shown(row.done_ms);
            let _ = writeln!(
                text,
                "  {:<56}{:>8}{:>8}{resumed:>13}{done:>22}",
                row.fault, row.reached, row.waited
            );
            if !row.holds() {
                failures.push(format!(
                    "after {}: resumed after {resumed}, done after {done}",
                    row.fault
                ));
            }
        }
        let (median, fast) = recovery::median(&self.recovery);
        let _ = writeln!(text, "  median until work resumed: {median} ms");
        if !fast {
            failures.push(format!("the median until work resumed is {median} ms"));
        }
    }

    fn scenarios(&self, text: &mut String, failures: &mut Vec<String>) {
        if !self.scenarios.is_empty() {
            let _ = writeln!(text, "\nscenarios");
        }
        for played in &self.scenarios {
            let mark = if played.holds { "holds" } else { "DOES NOT HOLD" };
            let _ = writeln!(
                text,
                "  {} ({} s): {mark}: {}",
                played.name, played.seconds, played.told
            );
            if !played.holds {
                failures.push(format!("{}: {}", played.name, played.told));
            }
        }
    }

    fn bugs(&self, text: &mut String, failures: &mut Vec<String>) {
        if !self.bugs.is_empty() {
            let _ = writeln!(text, "\nplanted bugs");
        }
        for caught in &self.bugs {
            let by = caught.by.as_deref().unwrap_or("NOT CAUGHT");
            let _ = writeln!(text, "  {:<24}{:>5} s  {by}", caught.bug, caught.seconds);
            if caught.by.is_none() {
                failures.push(format!("not caught: {}", caught.bug));
            }
        }
    }
}

fn checks(counts: &Counts, text: &mut String, failures: &mut Vec<String>) {
    let _ = writeln!(text, "\nchecks{:>62}{:>11}", "made", "violations");
    for (name, check) in &counts.checks {
        let _ = writeln!(text, "  {name:<56}{:>10}{:>11}", check.times, check.violated);
    }
    let _ = writeln!(text, "\nnumbers");
    for (name, number) in &counts.numbers {
        let _ = writeln!(text, "  {name:<66}{number:>10}");
    }
    failures.extend(counts.found());
}
