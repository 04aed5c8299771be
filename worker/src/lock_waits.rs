//! Wallets whose lock this worker does not get: since when, and who holds it.
//!
//! A lock of ours lives 30 seconds and is renewed for as long as one run of a job may take. A wallet that was busy all that time, with a key
//! that never expires, expires later than ours, or has had the same holder all along, is held by somebody who will not let go.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use wallet_core::ids::WalletId;
use wallet_core::locks::Holder;

/// A wallet that was not asked for this long has been free in between for all we know.
const GAP: TimeDelta = TimeDelta::seconds(60);
/// Wallets watched at once; a worker that meets more waits without a word for the others.
const MOST: usize = 1_000;
/// What the owner of a transaction reads, and what its job remembers.
pub(crate) const OVERDUE: &str =
    "the wallet is locked by something that does not let go; support has been told";

#[derive(Debug)]
struct Wait {
    since: DateTime<Utc>,
    last: DateTime<Utc>,
    /// Who held it when it was first looked at.
    holder: Option<String>,
    looked_at: Option<DateTime<Utc>>,
    is_told: bool,
}

/// The wallets that this process has found locked and not free since.
#[derive(Debug)]
pub(crate) struct Waits {
    /// No lock of a worker lasts longer.
    longest: TimeDelta,
    waiting: Mutex<HashMap<WalletId, Wait>>,
}

impl Waits {
    pub(crate) fn new(job_timeout: Duration, ttl: Duration) -> Self {
        Self {
            longest: TimeDelta::from_std(job_timeout.saturating_add(ttl)).unwrap_or(TimeDelta::MAX),
            waiting: Mutex::default(),
        }
    }

    /// Somebody else holds its lock.
    pub(crate) fn busy(&self, wallet: WalletId, now: DateTime<Utc>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.contains_key(&wallet) && waiting.len() >= MOST {
            waiting.retain(|_, wait| wait.is_told || now - wait.last <= GAP);
            if waiting.len() >= MOST {
                return;
            }
        }
        let wait = waiting.entry(wallet).or_insert(Wait {
            since: now,
            last: now,
            holder: None,
            looked_at: None,
            is_told: false,
        });
        if now - wait.last > GAP && !wait.is_told {
            wait.since = now;
            wait.looked_at = None;
        }
        wait.last = now;
    }

    /// It could be locked.
    pub(crate) fn free(&self, wallet: WalletId) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was told stays until its alarm is closed.
        if waiting.get(&wallet).is_some_and(|wait| !wait.is_told) {
            waiting.remove(&wallet);
        }
    }

    /// Whether somebody has been told that its lock does not come free.
    pub(crate) fn is_told(&self, wallet: WalletId) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(&wallet).is_some_and(|wait| wait.is_told)
    }

    /// Those to look at: locked for longer than a worker may, or told.
    pub(crate) fn suspects(&self) -> Vec<(WalletId, DateTime<Utc>, bool)> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting
            .iter()
            .filter(|(_, wait)| wait.is_told || wait.last - wait.since >= self.longest / 2)
            .map(|(wallet, wait)| (*wallet, wait.since, wait.is_told))
            .collect()
    }

    /// Notes who holds it; says whether that is more than a worker may.
    pub(crate) fn judge(&self, wallet: WalletId, holder: &Holder, ttl: Duration, now: DateTime<Utc>) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wait) = waiting.get_mut(&wallet) else {
            return false;
        };
        if wait.holder.as_ref() != Some(&holder.value) || wait.looked_at.is_none() {
            wait.holder = Some(holder.value.clone());
            wait.looked_at = Some(now);
        }
        let is_long = wait.last - wait.since >= self.longest;
        let is_same = wait.looked_at.is_some_and(|at| now - at >= self.longest);
        is_long && (holder.is_unlawful(ttl) || is_same)
    }

    pub(crate) fn set_told(&self, wallet: WalletId, is_told: bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if is_told {
            if let Some(wait) = waiting.get_mut(&wallet) {
                wait.is_told = true;
            }
        } else {
            waiting.remove(&wallet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    fn holder(value: &str, expires_in: Option<Duration>) -> Holder {
        Holder {
            value: value.to_owned(),
            expires_in,
        }
    }

    /// Busy every ten seconds for so long; the holder is judged at the end.
    fn after(seconds: i64, holder: &Holder) -> bool {
        let waits = Waits::new(Duration::from_secs(120), TTL);
        let (busy, start) = (wallet(7), DateTime::UNIX_EPOCH);
        let mut is_overdue = false;
        for second in (0..=seconds).step_by(10) {
            let now = start + TimeDelta::seconds(second);
            waits.busy(busy, now);
            for (suspect, ..) in waits.suspects() {
                is_overdue = waits.judge(suspect, holder, TTL, now);
            }
        }
        is_overdue
    }

    fn wallet(n: u32) -> WalletId {
        format!("018f2f5e-7b3c-7000-8000-{n:012x}").parse().unwrap()
    }

    #[test]
    fn a_lock_that_never_expires_is_told_once_no_worker_could_still_hold_it() {
        assert!(!after(140, &holder("x", None)));
        assert!(after(150, &holder("x", None)));
        assert!(after(150, &holder("x", Some(Duration::from_secs(300)))));
    }

    #[test]
    fn a_lock_of_a_worker_is_told_only_when_the_same_one_holds_it_all_along() {
        let short = holder("x", Some(Duration::from_secs(20)));
        assert!(!after(200, &short));
        assert!(after(300, &short));
    }

    #[test]
    fn a_wallet_that_was_free_in_between_has_not_waited() {
        let waits = Waits::new(Duration::from_secs(120), TTL);
        let (busy, start) = (wallet(7), DateTime::UNIX_EPOCH);
        waits.busy(busy, start);
        waits.free(busy);
        waits.busy(busy, start + TimeDelta::seconds(30));
        waits.busy(busy, start + TimeDelta::seconds(85));
        // Nobody asked for it for more than a minute.
        waits.busy(busy, start + TimeDelta::seconds(160));
        assert!(waits.suspects().is_empty());
    }

    #[test]
    fn the_wallets_that_are_watched_are_bounded() {
        let waits = Waits::new(Duration::from_secs(120), TTL);
        for n in 0..5_000 {
            waits.busy(wallet(n), DateTime::UNIX_EPOCH);
        }
        assert_eq!(waits.waiting.lock().unwrap().len(), MOST);
    }
}
