//! How often one address may cause work before the caller is known.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ClientAddress;

/// The maximum number of addresses that are remembered; beyond it, new addresses are not held back.
const MOST_REMEMBERED: usize = 10_000;

/// Lets each address through at a given rate, with a burst (the generic cell rate algorithm,
/// <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>).
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    at_once: Duration,
    longest: Duration,
    /// When each address will have used up what it was let through for.
    used_until: Mutex<HashMap<ClientAddress, Instant>>,
}

/// The wait would be longer than the longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooFast;

impl Pace {
    /// Lets an address through once in `every`, and `at_once` times in a burst; else it waits, but no longer than `longest`.
    pub(crate) fn new(every: Duration, at_once: u32, longest: Duration) -> Self {
        Self {
            every,
            at_once: every * at_once.saturating_sub(1),
            longest,
            used_until: Mutex::default(),
        }
    }

    /// Returns when it is the turn of this address, or after the longest wait if its turn would come later.
    ///
    /// # Errors
    /// [`TooFast`] if its turn would come later than that.
    pub(crate) async fn wait(&self, address: ClientAddress) -> Result<(), TooFast> {
        if address.is_crowd() {
            return Ok(());
        }
        let turn = self.turn(address, Instant::now());
        tokio::time::sleep(turn.unwrap_or(self.longest)).await;
        turn.map(drop)
    }

    /// Returns how long the address has to wait.
    fn turn(&self, address: ClientAddress, now: Instant) -> Result<Duration, TooFast> {
        let mut used_until = self.used_until();
        if used_until.len() >= MOST_REMEMBERED && !used_until.contains_key(&address) {
            used_until.retain(|_, until| *until > now);
            if used_until.len() >= MOST_REMEMBERED {
                return Ok(Duration::ZERO);
            }
        }
        let until = used_until.entry(address).or_insert(now);
        let used = until.saturating_duration_since(now);
        let wait = used.saturating_sub(self.at_once);
        if wait > self.longest {
            return Err(TooFast);
        }
        *until = now + used + self.every;
        Ok(wait)
    }

    fn used_until(&self) -> MutexGuard<'_, HashMap<ClientAddress, Instant>> {
        self.used_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(100);

    fn address(number: u32) -> ClientAddress {
        ClientAddress::of_peer(
            std::net::Ipv4Addr::from_bits(0x0100_0000 + number).into(),
            &Default::default(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_does_so_much_at_once_then_at_its_pace_and_is_refused_late() {
        let pace = Pace::new(EVERY, 3, 2 * EVERY);
        let began = Instant::now();
        let mut waited = Vec::new();
        for _ in 0..6 {
            waited.push(pace.turn(address(1), began));
        }
        let expected = [0, 0, 0, 1, 2].map(|turns| Ok(turns * EVERY));
        assert_eq!(waited, [&expected[..], &[Err(TooFast)]].concat());
        assert_eq!(pace.wait(address(1)).await, Err(TooFast));
        assert_eq!(
            began.elapsed(),
            2 * EVERY,
            "a refusal takes as long as the longest wait"
        );
        assert_eq!(pace.wait(address(2)).await, Ok(()), "others have their own");
        assert_eq!(
            pace.turn(address(1), began + 20 * EVERY),
            Ok(Duration::ZERO),
            "it comes back"
        );
    }

    #[test]
    fn memory_is_bounded_however_many_addresses_come() {
        let pace = Pace::new(EVERY, 1, EVERY);
        let now = Instant::now();
        for number in 0..20_000 {
            assert_eq!(pace.turn(address(number), now), Ok(Duration::ZERO));
        }
        assert_eq!(pace.used_until().len(), MOST_REMEMBERED);
        assert_eq!(pace.turn(address(50_000), now + 2 * EVERY), Ok(Duration::ZERO));
        assert_eq!(pace.used_until().len(), 1);
    }
}
