//! What is told at the end: tables for people, JSON for programs, and whether everything held.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use wallet_dev::say::say;

use crate::nemesis::Chosen;
use crate::random::Outcome;
use crate::tally::Counts;

/// Everything that was run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    seeds: Vec<Outcome>,
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
            wanted: chosen.faults(),
            quick,
        }
    }

    /// One more seed.
    pub(crate) fn add_seed(&mut self, outcome: Outcome) {
        self.seeds.push(outcome);
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
        std::fs::write(folder.join("report.json"), serde_json::to_vec_pretty(self)?).context("cannot write the report")?;
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
