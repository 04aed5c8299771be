//! Reports what is being started and how long it took.

use std::sync::Arc;
use std::time::{Duration, Instant};

type Tell = dyn Fn(&str, Duration) + Send + Sync;

/// The receiver of finished steps.
#[derive(Clone)]
pub struct Progress(Arc<Tell>);

impl Progress {
    /// Reports every finished step, and the time it took, to `tell`.
    pub fn new(tell: impl Fn(&str, Duration) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Reports nothing: for tests.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(|_, _| {})
    }

    /// Begins a step.
    #[must_use]
    pub fn step(&self) -> Step<'_> {
        Step {
            progress: self,
            start: Instant::now(),
        }
    }
}

/// A step in progress.
#[derive(Debug)]
pub struct Step<'a> {
    progress: &'a Progress,
    start: Instant,
}

impl Step<'_> {
    /// Reports the step as finished.
    pub fn done(self, what: &str) {
        (self.progress.0)(what, self.start.elapsed());
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Progress")
    }
}
