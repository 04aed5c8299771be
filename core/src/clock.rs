//! Time as an injected dependency.
//!
//! Key ages, expiries and retry times use this clock, bound as a parameter of the SQL that needs it, so that a test can
//! move it in a running process. Leases use PostgreSQL's own clock (`docs/ARCHITECTURE.md`, "Clocks").

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// The current instant, in UTC.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> DateTime<Utc>;

    /// Tells it what PostgreSQL's clock says now; only a [`FollowingClock`] cares.
    fn observe(&self, _reference: DateTime<Utc>) {}
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

/// The system's wall clock: the one place that reads it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Corrects a clock by PostgreSQL's, so that the programs of several machines agree although one of their clocks is wrong. As long as it is
/// right to a second it stays as it is.
#[derive(Debug, Default)]
pub struct FollowingClock<C> {
    own: C,
    ahead_ms: AtomicI64,
}

/// How far apart two clocks may be that count as the same.
const TOLERATED_MS: i64 = 1_000;

impl<C> FollowingClock<C> {
    /// A clock that nobody has told anything yet: `own`.
    pub const fn new(own: C) -> Self {
        Self {
            own,
            ahead_ms: AtomicI64::new(0),
        }
    }
}

impl<C: Clock> Clock for FollowingClock<C> {
    fn now(&self) -> DateTime<Utc> {
        self.own.now() - TimeDelta::milliseconds(self.ahead_ms.load(Ordering::SeqCst))
    }

    fn observe(&self, reference: DateTime<Utc>) {
        let ahead = (self.own.now() - reference).num_milliseconds();
        let ahead = if ahead.abs() < TOLERATED_MS { 0 } else { ahead };
        let known = self.ahead_ms.load(Ordering::SeqCst);
        if ahead.abs_diff(known) >= TOLERATED_MS.unsigned_abs() {
            tracing::warn!(
                milliseconds = ahead,
                "this machine's clock is ahead of PostgreSQL's by so much (behind, when negative); following PostgreSQL's"
            );
            self.ahead_ms.store(ahead, Ordering::SeqCst);
        }
    }
}

/// The wall clock plus an offset that can be moved while the process runs.
#[derive(Debug, Default)]
pub struct MovableClock {
    offset_ms: AtomicI64,
}

impl MovableClock {
    /// Moves the clock forward (or back, with a negative step) for every holder.
    pub fn advance(&self, step: TimeDelta) {
        self.offset_ms
            .fetch_add(step.num_milliseconds(), Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::milliseconds(self.offset_ms.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds_off(clock: &dyn Clock) -> i64 {
        (clock.now() - SystemClock.now()).num_seconds()
    }

    #[test]
    fn a_clock_that_follows_is_right_however_wrong_its_machine_is() {
        for wrong in [600, -600, 86_400] {
            let machine = MovableClock::default();
            machine.advance(TimeDelta::seconds(wrong));
            let clock = FollowingClock::new(machine);
            assert!((seconds_off(&clock) - wrong).abs() <= 1);
            clock.observe(SystemClock.now());
            assert_eq!(seconds_off(&clock), 0);
            // Its machine is set right again.
            clock.own.advance(TimeDelta::seconds(-wrong));
            clock.observe(SystemClock.now());
            assert_eq!(seconds_off(&clock), 0);
        }
    }

    #[test]
    fn less_than_a_second_is_no_difference() {
        let clock = FollowingClock::new(SystemClock);
        clock.observe(SystemClock.now() - TimeDelta::milliseconds(900));
        assert_eq!(clock.ahead_ms.load(Ordering::SeqCst), 0);
    }
}
