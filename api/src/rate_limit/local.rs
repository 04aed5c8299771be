//! The count of this process alone, as long as Redis is unavailable.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use wallet_core::ids::UserId;

use super::WINDOW;

/// The maximum number of people counted at once; beyond it, people who are not counted yet are let through.
const MOST_COUNTED: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Counter {
    since: Instant,
    used: u32,
}

/// Counters in memory.
#[derive(Debug, Default)]
pub(super) struct LocalWindows(Mutex<HashMap<UserId, Counter>>);

impl LocalWindows {
    /// Takes `cost` of `limit` operations. Returns `None` if they were taken, else how long to wait.
    pub(super) fn take(&self, user: UserId, cost: u32, limit: u32) -> Option<Duration> {
        self.take_at(user, cost, limit, Instant::now())
    }

    fn take_at(&self, user: UserId, cost: u32, limit: u32, now: Instant) -> Option<Duration> {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |counter: &Counter| now.saturating_duration_since(counter.since);
        if counters.len() >= MOST_COUNTED && !counters.contains_key(&user) {
            counters.retain(|_, counter| age(counter) < WINDOW);
            if counters.len() >= MOST_COUNTED {
                return None;
            }
        }
        let counter = counters.entry(user).or_insert(Counter { since: now, used: 0 });
        if age(counter) >= WINDOW {
            *counter = Counter { since: now, used: 0 };
        }
        let used = counter.used.saturating_add(cost);
        if used > limit {
            return Some(WINDOW.saturating_sub(age(counter)));
        }
        counter.used = used;
        None
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn user(number: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_window_holds_exactly_its_limit_and_then_begins_anew() {
        let windows = LocalWindows::default();
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(windows.take_at(user(1), 1, 3, start), None);
        }
        let later = start + Duration::from_secs(20);
        assert_eq!(
            windows.take_at(user(1), 1, 3, later),
            Some(Duration::from_secs(40))
        );
        assert_eq!(
            windows.take_at(user(2), 1, 3, later),
            None,
            "others have their own"
        );
        assert_eq!(windows.take_at(user(1), 3, 3, start + WINDOW), None);
        assert!(windows.take_at(user(1), 1, 3, start + WINDOW).is_some());
    }

    #[test]
    fn several_operations_at_once_are_taken_whole_or_not_at_all() {
        let windows = LocalWindows::default();
        let now = Instant::now();
        assert_eq!(windows.take_at(user(1), 2, 3, now), None);
        assert!(windows.take_at(user(1), 2, 3, now).is_some());
        assert_eq!(windows.take_at(user(1), 1, 3, now), None);
    }

    #[test]
    fn memory_is_bounded_however_many_people_come() {
        let windows = LocalWindows::default();
        let now = Instant::now();
        for number in 0..20_000 {
            assert_eq!(windows.take_at(user(number), 1, 1, now), None);
        }
        assert_eq!(windows.0.lock().unwrap().len(), MOST_COUNTED);
        windows.take_at(user(50_000), 1, 1, now + WINDOW);
        assert_eq!(windows.0.lock().unwrap().len(), 1);
    }
}
