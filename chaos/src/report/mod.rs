//! The report at the end: tables for people, JSON for programs, and whether everything held.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use wallet_dev::say::say;

use crate::bugs::{Collected, Control};
use crate::check::reader;
use crate::kills::Killed;
use crate::nemesis::{self, Chosen};
use crate::random::Outcome;
use crate::recovery::{self, Recovered};
use crate::scripted::Played;
use crate::session;
use crate::tally::Counts;

/// The results of everything that was run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    seeds: Vec<Outcome>,
    kills: Vec<Killed>,
    recovery: Vec<Recovered>,
    scenarios: Vec<Played>,
    bugs: Vec<Collected>,
    controls: Vec<Control>,
    /// What was counted apart from the seeds.
    other: Counts,
    /// Parts without an accepted request or without a snapshot.
    unseen: Vec<String>,
    /// Faults of the random part that must have been reached.
    wanted: Vec<&'static str>,
    bar: Bar,
}

/// How often the random part must reach its faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Bar {
    /// Each fault at least this often.
    Each(u64),
    /// One of each lane: a short run cannot reach them all.
    OneOfEachLane,
}

impl Bar {
    /// Returns the bar for a campaign of this many seeds with this many minutes each.
    pub(crate) fn of(seeds: usize, minutes: f64, quick: bool) -> Self {
        let seeds = u32::try_from(seeds).unwrap_or(u32::MAX);
        match f64::from(seeds) * minutes {
            _ if quick => Self::OneOfEachLane,
            total if total >= 20.0 => Self::Each(20),
            _ => Self::Each(1),
        }
    }

    /// Describes what was reached too seldom.
    fn missed(self, wanted: &[&'static str], counts: &Counts) -> Vec<String> {
        match self {
            Self::Each(least) => self
                .missing(wanted, counts)
                .into_iter()
                .map(|fault| format!("reached {} times of {least}: {fault}", reached(counts, fault)))
                .collect(),
            Self::OneOfEachLane => self
                .missing_lanes(wanted, counts)
                .into_iter()
                .filter_map(|lane| lane.first().copied())
                .map(|first| format!("nothing was reached of the lane of {first}"))
                .collect(),
        }
    }

    /// Returns the faults that must be reached more often.
    fn missing(self, wanted: &[&'static str], counts: &Counts) -> Vec<&'static str> {
        match self {
            Self::Each(least) => {
                let is_missing = |fault: &&'static str| reached(counts, fault) < least;
                wanted.iter().copied().filter(is_missing).collect()
            }
            Self::OneOfEachLane => self.missing_lanes(wanted, counts).concat(),
        }
    }

    /// Returns the wanted faults of each lane of which none was reached.
    fn missing_lanes(self, wanted: &[&'static str], counts: &Counts) -> Vec<Vec<&'static str>> {
        let lanes = nemesis::lanes().into_iter().map(|lane| {
            let of_lane = lane.iter().copied().filter(|fault| wanted.contains(fault));
            of_lane.collect::<Vec<_>>()
        });
        lanes
            .filter(|lane| !lane.is_empty() && lane.iter().all(|fault| reached(counts, fault) == 0))
            .collect()
    }
}

fn reached(counts: &Counts, fault: &str) -> u64 {
    counts.faults.get(fault).map_or(0, |(_, reached)| *reached)
}

/// Lists what was missing: a campaign without an accepted request or without a snapshot proves nothing.
fn unseen(accepted: u64, counts: &Counts, of: &str) -> Vec<String> {
    let seen = counts.numbers.get(reader::SNAPSHOTS).copied().unwrap_or(0);
    [
        (accepted, "no request was accepted"),
        (seen, "no snapshot was read"),
    ]
    .into_iter()
    .filter(|(count, _)| *count == 0)
    .map(|(_, what)| format!("{what} in {of}"))
    .collect()
}

/// Describes the result of a seed in one line.
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
    /// Makes an empty report.
    pub(crate) fn new(chosen: &Chosen, bar: Bar) -> Self {
        Self {
            seeds: Vec::new(),
            kills: Vec::new(),
            recovery: Vec::new(),
            scenarios: Vec::new(),
            bugs: Vec::new(),
            controls: Vec::new(),
            other: Counts::default(),
            unseen: Vec::new(),
            wanted: chosen.faults(),
            bar,
        }
    }

    /// Adds the result of a seed.
    pub(crate) fn add_seed(&mut self, outcome: Outcome) {
        self.seeds.push(outcome);
    }

    /// Returns the faults that the seeds have not reached often enough.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let mut counts = Counts::default();
        for outcome in &self.seeds {
            counts.add(&outcome.counts);
        }
        self.bar.missing(&self.wanted, &counts)
    }

    /// Adds the kill table.
    pub(crate) fn add_kills(&mut self, (rows, counts): (Vec<Killed>, Counts)) {
        self.kills = rows;
        self.add_session(&counts, "the kill table");
    }

    /// Adds the recovery times.
    pub(crate) fn add_recovery(&mut self, (rows, counts): (Vec<Recovered>, Counts)) {
        self.recovery = rows;
        self.add_session(&counts, "the recovery times");
    }

    fn add_session(&mut self, counts: &Counts, name: &str) {
        let accepted = counts.numbers.get(session::ACCEPTED).copied().unwrap_or(0);
        self.unseen.extend(unseen(accepted, counts, name));
        self.other.add(counts);
    }

    /// Adds the scenarios; each describes what its checks found in its own words.
    pub(crate) fn add_scenarios(&mut self, (rows, _): (Vec<Played>, Counts)) {
        self.scenarios = rows;
    }

    /// Adds the planted bugs, and the runs of their faults without them.
    pub(crate) fn add_bugs(&mut self, (rows, controls): (Vec<Collected>, Vec<Control>)) {
        self.bugs = rows;
        self.controls = controls;
    }

    /// Writes the report to the folder and to the terminal, and returns whether everything held.
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
        failures.extend(self.unseen.iter().cloned());
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
        failures.extend(self.bar.missed(&self.wanted, counts));
        for outcome in &self.seeds {
            let accepted = u64::try_from(outcome.accepted).unwrap_or(u64::MAX);
            failures.extend(unseen(
                accepted,
                &outcome.counts,
                &format!("seed {}", outcome.seed),
            ));
        }
    }
}

impl Report {
    fn kills(&self, text: &mut String, failures: &mut Vec<String>) {
        if self.kills.is_empty() {
            return;
        }
        let _ = writeln!(text, "\nends at every failpoint");
        for row in &self.kills {
            let line = format!("{}: {}", row.name, row.told());
            let _ = writeln!(text, "  {line}");
            if !row.holds() {
                failures.push(line);
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
            let resumed = row.resumed();
            let done = shown(row.done_ms);
            let _ = writeln!(
                text,
                "  {:<56}{:>8}{:>8}{resumed:>13}{done:>22}",
                row.fault, row.reached, row.waited
            );
            if let (0, Some(why)) = (row.waited, row.does_not_stop) {
                let _ = writeln!(text, "    nothing waits: {why}");
            }
            if !row.holds() {
                failures.push(format!(
                    "after {}, reached {} times, {} waited: resumed after {resumed}, done after {done}",
                    row.fault, row.reached, row.waited
                ));
            }
        }
        match recovery::median(&self.recovery) {
            Some((median, fast)) => {
                let _ = writeln!(text, "  median until work resumed: {median} ms");
                if !fast {
                    failures.push(format!("the median until work resumed is {median} ms"));
                }
            }
            None if recovery::is_none_waited_for(&self.recovery) => {
                let _ = writeln!(text, "  no median: the system stops for none of these");
            }
            None => failures.push("how fast work resumes was not measured".to_owned()),
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
                let others = caught.others.join("; ");
                failures.push(format!("not caught: {}; seen instead: {others}", caught.bug));
            }
        }
        for control in &self.controls {
            let faults = control.faults.join(", ");
            let what = match control.found.is_empty() {
                true => "nothing is violated",
                false => "VIOLATED",
            };
            let _ = writeln!(text, "  without a bug, {faults}: {what} ({} s)", control.seconds);
            for found in &control.found {
                failures.push(format!("without a bug, {faults}: {found}"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(reached: &[(&str, u64)]) -> Counts {
        let faults = reached
            .iter()
            .map(|(name, times)| ((*name).to_owned(), (1, *times)));
        Counts {
            faults: faults.collect(),
            ..Counts::default()
        }
    }

    #[test]
    fn a_long_campaign_reaches_each_fault_twenty_times() {
        assert_eq!(Bar::of(10, 2.0, false), Bar::Each(20));
        assert_eq!(Bar::of(2, 0.6, false), Bar::Each(1));
        let found = counts(&[("often", 20), ("seldom", 19)]);
        assert_eq!(Bar::Each(20).missed(&["often"], &found).len(), 0);
        assert_eq!(
            Bar::Each(20).missed(&["often", "seldom", "never"], &found).len(),
            2
        );
        assert_eq!(
            Bar::Each(1).missed(&["often", "seldom", "never"], &found).len(),
            1
        );
    }

    #[test]
    fn a_quick_run_reaches_one_fault_of_each_lane() {
        let first: Vec<&str> = nemesis::lanes()
            .iter()
            .filter_map(|lane| lane.first().copied())
            .collect();
        let all: Vec<(&str, u64)> = first.iter().map(|fault| (*fault, 1)).collect();
        let bar = Bar::of(1, 0.4, true);
        let wanted: Vec<&'static str> = nemesis::lanes().concat();
        assert_eq!(bar.missed(&wanted, &counts(&all)).len(), 0);
        assert_eq!(bar.missed(&wanted, &counts(&[])).len(), 4);
        assert_eq!(bar.missed(&[], &counts(&[])).len(), 0);
    }

    #[test]
    fn a_campaign_that_nobody_used_or_looked_at_does_not_hold() {
        let mut seen = Counts::default();
        assert_eq!(unseen(0, &seen, "one").len(), 2);
        seen.numbers.insert(reader::SNAPSHOTS.to_owned(), 1);
        assert_eq!(unseen(1, &seen, "one").len(), 0);
    }
}
