//! Wallets whose lock this worker cannot acquire: since when, and who holds it.
//!
//! A worker's lock lives 30 seconds and is renewed for as long as one run of a job may take. If a wallet was busy for longer than that,
//! and its key never expires, expires later than a worker's would, or has had the same holder throughout, the holder will not release it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use wallet_core::ids::WalletId;
use wallet_core::locks::Holder;

/// A wallet that was not requested for this long counts as free in between.
const GAP: TimeDelta = TimeDelta::seconds(60);
/// The maximum number of wallets watched at once; further waits are not reported.
const MOST: usize = 1_000;
/// What the owner of a transaction reads, and the reason that is stored with its job.
pub(crate) const OVERDUE: &str =
    "the wallet is locked by something that does not let go; support has been told";

#[derive(Debug)]
struct Wait {
    since: DateTime<Utc>,
    last: DateTime<Utc>,
    /// The last known holder, which has been the same since `looked_at`.
    holder: Option<String>,
    looked_at: Option<DateTime<Utc>>,
    is_reported: bool,
}

/// The wallets that this process has found locked and that have not been free since.
#[derive(Debug)]
pub(crate) struct Waits {
    /// The longest that a worker's lock can last.
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

    /// Notes that another holder has the wallet's lock.
    pub(crate) fn busy(&self, wallet: WalletId, now: DateTime<Utc>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.contains_key(&wallet) && waiting.len() >= MOST {
            waiting.retain(|_, wait| wait.is_reported || now - wait.last <= GAP);
            if waiting.len() >= MOST {
                return;
            }
        }
        let wait = waiting.entry(wallet).or_insert(Wait {
            since: now,
            last: now,
            holder: None,
            looked_at: None,
            is_reported: false,
        });
        if now - wait.last > GAP && !wait.is_reported {
            wait.since = now;
            wait.looked_at = None;
        }
        wait.last = now;
    }

    /// Notes that the wallet could be locked.
    pub(crate) fn free(&self, wallet: WalletId) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // A wallet with an alarm stays until its alarm is closed.
        if waiting.get(&wallet).is_some_and(|wait| !wait.is_reported) {
            waiting.remove(&wallet);
        }
    }

    /// Whether an alarm was raised because the wallet's lock does not come free.
    pub(crate) fn is_reported(&self, wallet: WalletId) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(&wallet).is_some_and(|wait| wait.is_reported)
    }

    /// Returns the wallets to check: locked for at least half the longest time, or with an alarm.
    pub(crate) fn suspects(&self) -> Vec<(WalletId, DateTime<Utc>, bool)> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting
            .iter()
            .filter(|(_, wait)| wait.is_reported || wait.last - wait.since >= self.longest / 2)
            .map(|(wallet, wait)| (*wallet, wait.since, wait.is_reported))
            .collect()
    }

    /// Notes the holder; returns whether the lock is held for longer than a worker may.
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

    pub(crate) fn set_told(&self, wallet: WalletId, is_reported: bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if is_reported {
            if let Some(wait) = waiting.get_mut(&wallet) {
                wait.is_reported = true;
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

    /// Busy every ten seconds for this long; the holder is judged each time, and the last verdict is returned.
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
        // The wallet was not requested for more than a minute.
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
