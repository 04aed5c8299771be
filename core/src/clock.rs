//! Time as an injected dependency.
//!
//! Key ages, expiries and retry times use this clock, bound as a parameter of the SQL that needs it, so that a test can
//! move it in a running process. Leases use PostgreSQL's own clock (`docs/ARCHITECTURE.md`, "Clocks").

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

/// The current instant, in UTC.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// Returns the current instant.
    fn now(&self) -> DateTime<Utc>;

    /// Passes the clock the current time of PostgreSQL's; only a [`FollowingClock`] uses it.
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

/// A clock that starts at another clock's time, advances with the machine's monotonic clock, which cannot be set, and is corrected by PostgreSQL's
/// clock: so the programs of several machines agree even if one's wall clock is wrong or jumps. Errors below a second are not corrected.
#[derive(Debug)]
pub struct FollowingClock {
    origin: DateTime<Utc>,
    since: Instant,
    ahead_ms: AtomicI64,
}

/// The difference from which on the clock is corrected.
const TOLERATED_MS: u64 = 1_000;

impl FollowingClock {
    /// Creates a clock that starts at the current time of `begin`.
    pub fn from(begin: &dyn Clock) -> Self {
        Self {
            origin: begin.now(),
            since: Instant::now(),
            ahead_ms: AtomicI64::new(0),
        }
    }
}

impl Clock for FollowingClock {
    fn now(&self) -> DateTime<Utc> {
        let ahead = TimeDelta::milliseconds(self.ahead_ms.load(Ordering::SeqCst));
        self.origin + self.since.elapsed() - ahead
    }

    fn observe(&self, reference: DateTime<Utc>) {
        let wrong = (self.now() - reference).num_milliseconds();
        if wrong.unsigned_abs() >= TOLERATED_MS {
            tracing::warn!(
                milliseconds = wrong,
                "this program's clock is ahead of PostgreSQL's by so much (behind, when negative), and is corrected"
            );
            self.ahead_ms.fetch_add(wrong, Ordering::SeqCst);
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
    fn a_clock_that_follows_is_right_however_wrong_its_machine_is_and_whatever_is_done_to_it() {
        for wrong in [600, -600, 86_400] {
            let machine = MovableClock::default();
            machine.advance(TimeDelta::seconds(wrong));
            let clock = FollowingClock::from(&machine);
            assert!((seconds_off(&clock) - wrong).abs() <= 1);
            clock.observe(SystemClock.now());
            assert_eq!(seconds_off(&clock), 0);
            machine.advance(TimeDelta::seconds(-wrong));
            assert_eq!(seconds_off(&clock), 0);
        }
    }

    #[test]
    fn less_than_a_second_is_no_difference() {
        let clock = FollowingClock::from(&SystemClock);
        clock.observe(SystemClock.now() - TimeDelta::milliseconds(900));
        assert_eq!(clock.ahead_ms.load(Ordering::SeqCst), 0);
    }
}
