//! The people who were refused, and until when: not every request of a flood beyond the limit needs a request to Redis.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use wallet_core::ids::UserId;

/// The maximum number of people that are remembered; for others Redis is asked every time.
const MOST_KNOWN: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Refusal {
    /// The cost that was refused; a lower one might still be granted.
    cost: u32,
    until: Instant,
}

/// The refusals of windows that have not ended.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<UserId, Refusal>>);

impl Refusals {
    /// Returns how long this person has to wait for this cost, if it is known.
    pub(super) fn wait(&self, user: UserId, cost: u32) -> Option<Duration> {
        self.wait_at(user, cost, Instant::now())
    }

    fn wait_at(&self, user: UserId, cost: u32, now: Instant) -> Option<Duration> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refusal = known.get(&user).filter(|refusal| refusal.cost <= cost)?;
        Some(refusal.until.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// Remembers that this cost was refused for this long.
    pub(super) fn remember(&self, user: UserId, cost: u32, wait: Duration) {
        self.remember_at(user, cost, wait, Instant::now());
    }

    fn remember_at(&self, user: UserId, cost: u32, wait: Duration, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN && !known.contains_key(&user) {
            known.retain(|_, refusal| refusal.until > now);
            if known.len() >= MOST_KNOWN {
                return;
            }
        }
        let until = now + wait;
        let least = known
            .get(&user)
            .filter(|refusal| refusal.until > now)
            .map_or(cost, |refusal| refusal.cost.min(cost));
        known.insert(user, Refusal { cost: least, until });
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_refusal_counts_for_as_much_or_more_until_its_window_ends() {
        let refusals = Refusals::default();
        let (user, now) = (UserId::from_uuid(Uuid::from_u128(1)), Instant::now());
        let minute = Duration::from_secs(60);
        refusals.remember_at(user, 3, minute, now);
        assert_eq!(refusals.wait_at(user, 2, now), None, "two might be left");
        assert_eq!(refusals.wait_at(user, 3, now), Some(minute));
        refusals.remember_at(user, 1, minute, now);
        refusals.remember_at(user, 3, minute, now);
        assert_eq!(refusals.wait_at(user, 1, now), Some(minute), "the least counts");
        assert_eq!(refusals.wait_at(user, 3, now + minute), None);
    }

    #[test]
    fn memory_is_bounded_however_many_people_are_refused() {
        let refusals = Refusals::default();
        let now = Instant::now();
        for number in 0..20_000 {
            let user = UserId::from_uuid(Uuid::from_u128(number));
            refusals.remember_at(user, 1, Duration::from_secs(60), now);
        }
        assert_eq!(refusals.0.lock().unwrap().len(), MOST_KNOWN);
    }
}
