//! Wallets whose lock somebody else holds for longer than any worker may: after that their waiting is told.
//!
//! A lock of ours lives 30 seconds and is renewed for as long as one run of a job may take. A wallet that was busy all that time, with a key
//! that never expires, expires later than ours, or has had the same holder all along, is held by somebody who will not let go. Its money
//! goes on waiting, because whoever set the lock may have had a reason; but its owner reads so, and an operator gets an alarm with the
//! name of the key and its holder, and frees it by `wallet-worker locks free`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use wallet_core::alarms;
use wallet_core::db::DbError;
use wallet_core::ids::WalletId;
use wallet_core::locks::{Holder, KeySeen, WalletLocks};
use wallet_core::telemetry::chain;

use crate::worker::Worker;

/// A wallet that was not asked for this long has been free in between for all we know.
const GAP: TimeDelta = TimeDelta::seconds(60);
/// Wallets watched at once; a worker that meets more waits without a word for the others.
const MOST: usize = 1_000;
/// How often those that are overdue are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

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
    fn busy(&self, wallet: WalletId, now: DateTime<Utc>) {
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
    fn free(&self, wallet: WalletId) {
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
    fn suspects(&self) -> Vec<(WalletId, DateTime<Utc>, bool)> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting
            .iter()
            .filter(|(_, wait)| wait.is_told || wait.last - wait.since >= self.longest / 2)
            .map(|(wallet, wait)| (*wallet, wait.since, wait.is_told))
            .collect()
    }

    /// Notes who holds it; says whether that is more than a worker may.
    fn judge(&self, wallet: WalletId, holder: &Holder, ttl: Duration, now: DateTime<Utc>) -> bool {
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

    fn set_told(&self, wallet: WalletId, is_told: bool) {
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

/// Notes which wallets could be locked and which not.
pub(crate) fn note(
    worker: &Worker,
    busy: impl IntoIterator<Item = WalletId>,
    free: impl IntoIterator<Item = WalletId>,
) {
    let now = worker.clock.now();
    busy.into_iter().for_each(|wallet| worker.waits.busy(wallet, now));
    free.into_iter().for_each(|wallet| worker.waits.free(wallet));
}

/// Looks at what has been locked for too long, until `shutdown`.
pub(crate) async fn run(worker: std::sync::Arc<Worker>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        for (wallet, since, is_told) in worker.waits.suspects() {
            if let Err(error) = look(&worker, wallet, since, is_told).await {
                tracing::warn!(%wallet, error = %chain(&error), "an alarm about a lock could not be written");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

async fn look(
    worker: &Worker,
    wallet: WalletId,
    since: DateTime<Utc>,
    was_told: bool,
) -> Result<(), DbError> {
    let seen = worker.locks.look(wallet).await;
    let now = worker.clock.now();
    let ttl = worker.locks.ttl();
    let key = WalletLocks::key(wallet);
    let held: Vec<&Holder> = seen
        .iter()
        .filter_map(|seen| match seen {
            KeySeen::Held(holder) => Some(holder),
            KeySeen::Free | KeySeen::Unreachable => None,
        })
        .collect();
    let longest = held
        .iter()
        .max_by_key(|holder| holder.expires_in.unwrap_or(Duration::MAX));
    let Some(holder) = longest else {
        // A node that does not answer may still hold it.
        if was_told && seen.iter().all(|seen| *seen == KeySeen::Free) {
            alarms::close(&mut *worker.db.conn().await?, alarms::LOCK_OVERDUE, &key, now).await?;
            worker.waits.set_told(wallet, false);
        }
        return Ok(());
    };
    if was_told || !worker.waits.judge(wallet, holder, ttl, now) {
        return Ok(());
    }
    let expiry = holder.expires_in.map_or_else(
        || "without an expiry".to_owned(),
        |left| format!("for another {} s", left.as_secs()),
    );
    // One that looks like a worker's own is freed only by whoever insists.
    let held_too = if holder.is_unlawful(ttl) { "" } else { " --held" };
    let message = format!(
        "{key} is held by \"{}\" {expiry} on {} of {} lock nodes; the wallet's money has waited since {}; \
         `wallet-worker locks free {wallet}{held_too} --reason …` frees it",
        holder.value,
        // A worker of ours may hold the others at this moment, in vain.
        held.iter().filter(|other| other.value == holder.value).count(),
        seen.len(),
        since.format("%Y-%m-%d %H:%M:%S UTC")
    );
    alarms::raise(
        &mut *worker.db.conn().await?,
        alarms::LOCK_OVERDUE,
        &key,
        &message,
        now,
    )
    .await?;
    worker.waits.set_told(wallet, true);
    Ok(())
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
