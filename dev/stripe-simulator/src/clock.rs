//! The simulator's clock: real time plus an offset that tests move, and the timers that live on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::serial::pairs;

/// A point in the simulator's time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Moment(i64);

impl Moment {
    /// Returns whole seconds since the Unix epoch, as Stripe's `created` fields count.
    pub(crate) const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns milliseconds since the Unix epoch.
    pub(crate) const fn millis(self) -> i64 {
        self.0
    }

    /// Returns the moment `millis` later.
    pub(crate) fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add_unsigned(millis))
    }

    /// Returns the milliseconds from `earlier` to this moment; zero when `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Returns the moment as RFC 3339 text in UTC.
    pub(crate) fn rfc3339(self) -> String {
        chrono::DateTime::from_timestamp_millis(self.0)
            .map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
            .unwrap_or_default()
    }
}

/// Real time plus an offset, which only grows, so that it never makes simulated time run backwards.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Clock {
    offset_millis: u64,
}

impl Clock {
    /// Returns the simulator's current time.
    pub(crate) fn now(self) -> Moment {
        self.real().plus_millis(self.offset_millis)
    }

    /// Returns the machine's current time, without the offset.
    pub(crate) fn real(self) -> Moment {
        Moment(chrono::Utc::now().timestamp_millis())
    }

    /// Moves simulated time forward.
    pub(crate) fn advance(&mut self, millis: u64) {
        self.offset_millis = self.offset_millis.saturating_add(millis);
    }

    /// Returns how far simulated time is ahead of real time, in milliseconds.
    pub(crate) const fn offset_millis(self) -> u64 {
        self.offset_millis
    }
}

/// Work that is due at a later moment, ordered by due time and then by the order of planning.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
pub(crate) struct Timers<T> {
    #[serde(with = "pairs")]
    queue: BTreeMap<(Moment, u64), T>,
    planned: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self {
            queue: BTreeMap::new(),
            planned: 0,
        }
    }
}

impl<T> Timers<T> {
    /// Plans `work` for `due`.
    pub(crate) fn plan(&mut self, due: Moment, work: T) {
        self.planned += 1;
        self.queue.insert((due, self.planned), work);
    }

    /// Takes the earliest work that is due at `now`, if any.
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<T> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// Returns when the next work is due.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        self.queue.first_key_value().map(|(key, _)| key.0)
    }

    /// Iterates over all waiting work.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &T> {
        self.queue.values()
    }

    /// Returns the amount of waiting work.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_of_due_time_and_never_early() {
        let now = Clock::default().now();
        let mut timers = Timers::default();
        timers.plan(now.plus_millis(20), "second");
        timers.plan(now.plus_millis(10), "first");
        timers.plan(now.plus_millis(20), "third");
        assert_eq!(timers.take_due(now), None);
        assert_eq!(timers.take_due(now.plus_millis(15)), Some("first"));
        assert_eq!(timers.take_due(now.plus_millis(15)), None);
        assert_eq!(timers.take_due(now.plus_millis(20)), Some("second"));
        assert_eq!(timers.take_due(now.plus_millis(20)), Some("third"));
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn advancing_moves_simulated_time_but_not_real_time() {
        let mut clock = Clock::default();
        clock.advance(86_400_000);
        let ahead = clock.now().since(clock.real());
        assert!((86_399_000..=86_401_000).contains(&ahead));
    }
}
