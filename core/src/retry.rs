//! When to try again: exponential backoff with full jitter, one policy per kind of error.
//!
//! Only delays are computed here. Which job waits, and how often it was tried, is kept elsewhere: attempts and due times are columns
//! of the job's row in PostgreSQL. The curve comes from the `backoff` crate, which is unmaintained (RUSTSEC-2025-0012, informational);
//! no other module may name it, so replacing it means replacing [`RetryPolicy::ceiling`].
//!
//! Full jitter (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>) draws the delay evenly between zero
//! and the curve, so that many jobs that failed at the same moment are spread over the whole interval.

use std::time::Duration;

use backoff::backoff::Backoff;
use backoff::exponential::ExponentialBackoff;
use backoff::{SystemClock, exponential::ExponentialBackoffBuilder};
use rand::Rng;

/// How the delays of one kind of error grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    initial: Duration,
    most: Duration,
}

impl RetryPolicy {
    /// A lock or a row that is held elsewhere for a moment.
    pub const CONTENDED: Self = Self::new(Duration::from_millis(100), Duration::from_secs(5));
    /// Another of our jobs has to make progress first; checking for it costs one query.
    pub const AFTER_ANOTHER: Self = Self::new(Duration::from_millis(500), Duration::from_secs(15));
    /// The database or Redis is away.
    pub const STORE_AWAY: Self = Self::new(Duration::from_millis(250), Duration::from_secs(30));
    /// Stripe has not finished the first request of a key, or holds a lock on the object.
    pub const STRIPE_BUSY: Self = Self::new(Duration::from_millis(500), Duration::from_secs(10));
    /// Stripe asked for fewer requests, or could not be reached.
    pub const STRIPE_THROTTLED: Self = Self::new(Duration::from_secs(1), Duration::from_secs(60));
    /// The outcome of a call to Stripe is unknown: it is sent again with the same key.
    pub const STRIPE_UNKNOWN: Self = Self::new(Duration::from_secs(1), Duration::from_secs(15 * 60));
    /// The platform's balance does not suffice yet; card money becomes available within days.
    pub const FUNDS_MISSING: Self = Self::new(Duration::from_secs(60), Duration::from_secs(6 * 60 * 60));
    /// Every other error that may pass by itself.
    pub const DEFAULT: Self = Self::new(Duration::from_secs(1), Duration::from_secs(5 * 60));

    /// Creates a policy whose delays double from `initial` up to `most`.
    #[must_use]
    pub const fn new(initial: Duration, most: Duration) -> Self {
        Self { initial, most }
    }

    /// Returns the delay before the try that follows `failures` failed ones, drawn from zero up to [`Self::ceiling`] in whole
    /// milliseconds. An `rng` with the same seed yields the same delays.
    pub fn delay(&self, failures: u32, rng: &mut (impl Rng + ?Sized)) -> Duration {
        let ceiling = u64::try_from(self.ceiling(failures).as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(rng.random_range(0..=ceiling))
    }

    /// Returns the longest delay after `failures` failed tries: `initial` for 0 and 1, then doubling up to `most`.
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Duration {
        let mut curve: ExponentialBackoff<SystemClock> = ExponentialBackoffBuilder::new()
            .with_initial_interval(self.initial)
            .with_max_interval(self.most)
            .with_multiplier(2.0)
            // The jitter is applied in `delay`: the crate's own cannot be seeded.
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        // Doubling 40 times exceeds every interval in use.
        let mut ceiling = self.initial;
        for _ in 0..failures.clamp(1, 40) {
            ceiling = curve.next_backoff().unwrap_or(self.most);
        }
        ceiling.clamp(self.initial.min(self.most), self.most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_most() {
        let policy = RetryPolicy::new(Duration::from_secs(1), Duration::from_secs(10));
        let seconds: Vec<u64> = (0..8)
            .map(|failures| policy.ceiling(failures).as_secs())
            .collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 10, 10, 10]);
        assert_eq!(policy.ceiling(u32::MAX), Duration::from_secs(10));
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        let draw = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            (0..20)
                .map(|failures| RetryPolicy::STRIPE_UNKNOWN.delay(failures, &mut rng))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn jitter_fills_the_whole_interval() {
        let mut rng = StdRng::seed_from_u64(1);
        let policy = RetryPolicy::new(Duration::from_secs(1), Duration::from_secs(1));
        let drawn: Vec<u128> = (0..1000).map(|_| policy.delay(1, &mut rng).as_millis()).collect();
        assert!(drawn.iter().any(|millis| *millis < 100), "never short");
        assert!(drawn.iter().any(|millis| *millis > 900), "never long");
    }

    proptest! {
        #[test]
        fn a_delay_never_exceeds_its_ceiling(failures in any::<u32>(), seed in any::<u64>()) {
            let mut rng = StdRng::seed_from_u64(seed);
            for policy in [RetryPolicy::CONTENDED, RetryPolicy::STRIPE_UNKNOWN, RetryPolicy::FUNDS_MISSING] {
                prop_assert!(policy.delay(failures, &mut rng) <= policy.ceiling(failures));
            }
        }
    }
}
