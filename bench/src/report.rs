//! A measured figure beside its bar.

use std::fmt;
use std::time::Duration;

/// One line of the report.
pub(crate) struct Line {
    what: String,
    measured: String,
    bar: String,
    holds: bool,
}

impl Line {
    /// A figure that must stay below its bar.
    pub(crate) fn below(what: impl Into<String>, measured: f64, bar: f64, unit: &str) -> Self {
        Self {
            what: what.into(),
            measured: format!("{measured:.1} {unit}"),
            bar: format!("< {bar} {unit}"),
            holds: measured < bar,
        }
    }

    /// Something that must be so.
    pub(crate) fn holds(
        what: impl Into<String>,
        measured: impl Into<String>,
        bar: impl Into<String>,
        holds: bool,
    ) -> Self {
        Self {
            what: what.into(),
            measured: measured.into(),
            bar: bar.into(),
            holds,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.holds { "holds" } else { "MISSED" };
        write!(
            f,
            "  {:<58} {:>16}   {:<14} {mark}",
            self.what, self.measured, self.bar
        )
    }
}

/// Milliseconds with a fraction.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
