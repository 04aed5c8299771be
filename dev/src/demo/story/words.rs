//! Prints the story.

use std::cell::Cell;

use serde_json::Value;

use super::super::client::text;
use crate::say::say;

/// The counter of the steps.
#[derive(Default)]
pub(super) struct Steps(Cell<u32>);

impl Steps {
    /// Prints the heading of the next step.
    pub(super) fn next(&self, what: &str) {
        let number = self.0.get().saturating_add(1);
        self.0.set(number);
        say(&format!("\n{number:>3}.  {what}"));
    }
}

/// Prints a line below a step.
pub(super) fn note(what: &str) {
    say(&format!("      {what}"));
}

/// Prints a mutation's immediate response.
pub(super) fn told(transaction: &Value) {
    note(&format!(
        "accepted: {} {}",
        text(transaction, "status"),
        text(transaction, "id")
    ));
}

/// Prints every line of a transaction's timeline.
pub(super) fn timeline(transaction: &Value) {
    for line in lines(transaction) {
        note(&format!("· {line}"));
    }
}

/// Returns whether a line of the timeline contains these words.
pub(super) fn says(transaction: &Value, words: &str) -> bool {
    lines(transaction).any(|line| line.contains(words))
}

fn lines(transaction: &Value) -> impl Iterator<Item = &str> {
    let lines = transaction.get("timeline").and_then(Value::as_array);
    lines.into_iter().flatten().map(|line| text(line, "message"))
}
