//! The counts of a campaign: faults that were really reached, checks that were made, and what violated them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// How often a check was made, and what it found.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Checked {
    /// How often the check was made.
    pub(crate) times: u64,
    /// How many violations it found.
    pub(crate) violated: u64,
    /// The first violations.
    pub(crate) found: Vec<String>,
}

#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Counts {
    /// Faults by name: how often each was ordered, and how often it was really reached.
    pub(crate) faults: BTreeMap<String, (u64, u64)>,
    /// Checks by name.
    pub(crate) checks: BTreeMap<String, Checked>,
    /// Any other number worth reporting.
    pub(crate) numbers: BTreeMap<String, u64>,
}

/// The counts as shared by everything that runs.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally(Arc<Mutex<Counts>>);

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts that a fault was ordered.
    pub(crate) fn ordered(&self, fault: &str) {
        self.lock().faults.entry(fault.to_owned()).or_default().0 += 1;
    }

    /// Counts that a fault was really reached this many times more.
    pub(crate) fn reached(&self, fault: &str, times: u64) {
        self.lock().faults.entry(fault.to_owned()).or_default().1 += times;
    }

    /// Adds to another number.
    pub(crate) fn count(&self, what: &str, times: u64) {
        *self.lock().numbers.entry(what.to_owned()).or_default() += times;
    }

    /// Counts that a check was made, with its violations, if any.
    pub(crate) fn checked(&self, check: &str, violations: impl IntoIterator<Item = String>) {
        let mut counts = self.lock();
        let entry = counts.checks.entry(check.to_owned()).or_default();
        entry.times += 1;
        for violation in violations {
            entry.violated += 1;
            if entry.found.len() < 20 && !entry.found.contains(&violation) {
                entry.found.push(violation);
            }
        }
    }

    /// Returns the number of violations so far.
    pub(crate) fn violations(&self) -> u64 {
        self.lock().checks.values().map(|check| check.violated).sum()
    }

    /// Returns a copy of all counts.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().clone()
    }
}

impl Counts {
    /// Adds another run's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        for (name, (ordered, reached)) in &other.faults {
            let entry = self.faults.entry(name.clone()).or_default();
            entry.0 += ordered;
            entry.1 += reached;
        }
        for (name, checked) in &other.checks {
            let entry = self.checks.entry(name.clone()).or_default();
            entry.times += checked.times;
            entry.violated += checked.violated;
            entry.found.extend(checked.found.iter().cloned());
        }
        for (name, number) in &other.numbers {
            *self.numbers.entry(name.clone()).or_default() += number;
        }
    }

    /// Returns every violation, with the name of its check.
    pub(crate) fn found(&self) -> impl Iterator<Item = String> {
        self.checks
            .iter()
            .flat_map(|(name, check)| check.found.iter().map(move |found| format!("{name}: {found}")))
    }
}
