//! The report: measured figures beside their bars.

use std::fmt;
use std::time::Duration;

/// One line of the report.
pub(crate) enum Line {
    /// A figure and its bar.
    Figure {
        what: String,
        measured: String,
        bar: String,
        holds: bool,
    },
    /// Further information beside the figures.
    Note(String),
}

impl Line {
    /// Returns a figure that must stay below its bar.
    pub(crate) fn below(what: impl Into<String>, measured: f64, bar: f64, unit: &str) -> Self {
        Self::Figure {
            what: what.into(),
            measured: format!("{measured:.1} {unit}"),
            bar: format!("< {bar} {unit}"),
            holds: measured < bar,
        }
    }

    /// Returns a figure whose bar is met if `holds` is true.
    pub(crate) fn holds(
        what: impl Into<String>,
        measured: impl Into<String>,
        bar: impl Into<String>,
        holds: bool,
    ) -> Self {
        Self::Figure {
            what: what.into(),
            measured: measured.into(),
            bar: bar.into(),
            holds,
        }
    }

    /// Returns further information beside the figures.
    pub(crate) const fn note(told: String) -> Self {
        Self::Note(told)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Figure {
                what,
                measured,
                bar,
                holds,
            } => {
                let mark = if *holds { "holds" } else { "MISSED" };
                write!(f, "  {what:<58} {measured:>16}   {bar:<14} {mark}")
            }
            Self::Note(told) => write!(f, "      {told}"),
        }
    }
}

/// Returns a duration in milliseconds, with a fraction.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
