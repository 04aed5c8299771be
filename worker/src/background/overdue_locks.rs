//! Watches wallets whose lock another holder has for longer than any worker may, and raises alarms about them.
//!
//! The wallet's money continues to wait, because the lock may have been set for a reason. But its owner is notified, and
//! an operator gets an alarm with the name of the key and its holder, and can free it with `wallet-worker locks free`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::db::DbError;
use wallet_core::error_chain::chain;
use wallet_core::ids::WalletId;
use wallet_core::locks::{Holder, KeySeen, WalletLocks};

use crate::worker::Worker;

/// The interval between two checks of the suspect locks.
const CHECK_AGAIN: Duration = Duration::from_secs(2);

/// Checks the wallets that have been locked for too long, until `shutdown`.
pub(crate) async fn run(worker: std::sync::Arc<Worker>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        for (wallet, since, is_reported) in worker.waits.suspects() {
            if let Err(error) = check(&worker, wallet, since, is_reported).await {
                tracing::warn!(%wallet, error = %chain(&error), "an alarm about a lock could not be written");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(CHECK_AGAIN) => {}
        }
    }
}

async fn check(
    worker: &Worker,
    wallet: WalletId,
    since: DateTime<Utc>,
    was_told: bool,
) -> Result<(), DbError> {
    let seen = worker.locks.inspect(wallet).await;
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
        // A node that does not answer may still hold the key.
        if was_told && seen.iter().all(|seen| *seen == KeySeen::Free) {
            alarms::close(&mut *worker.db.conn().await?, AlarmKind::LockOverdue, &key, now).await?;
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
    // A lock that could be a worker's own is freed only if the operator insists with `--held`.
    let held_too = if holder.is_unlawful(ttl) { "" } else { " --held" };
    let message = format!(
        "{key} is held by \"{}\" {expiry} on {} of {} lock nodes; the wallet's money has waited since {}; \
         `wallet-worker locks free {wallet}{held_too} --reason …` frees it",
        holder.value,
        // Another worker may hold the remaining nodes at this moment, in vain.
        held.iter().filter(|other| other.value == holder.value).count(),
        seen.len(),
        since.format("%Y-%m-%d %H:%M:%S UTC")
    );
    alarms::raise(
        &mut *worker.db.conn().await?,
        AlarmKind::LockOverdue,
        &key,
        &message,
        now,
    )
    .await?;
    worker.waits.set_told(wallet, true);
    Ok(())
}
