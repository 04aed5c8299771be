//! `locks`: lists and frees wallet locks that no worker can hold.

use anyhow::bail;
use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::audit::{self, AuditRecord};
use wallet_core::config::RedisConfig;
use wallet_core::db::{DbError, in_transaction};
use wallet_core::ids::WalletId;
use wallet_core::locks::{Holder, Inspection, KeySeen, WalletLocks};
use wallet_core::reason::Reason;

use super::{Session, Verdict};

/// Locks of wallets on the lock nodes (RedLock).
#[derive(Debug, Subcommand)]
pub(crate) enum Locks {
    /// List the locks that no worker can hold: those that never expire, or expire later than a worker's.
    List,
    /// Remove the lock of a wallet that no worker can hold, as `list` shows it, so that its money can move. No money depends on a lock: PostgreSQL's rows are locked too.
    Free {
        /// The wallet.
        wallet: WalletId,
        /// Also remove one that a worker could hold, which `list` does not show: if one does, other workers then work beside it under row locks.
        #[arg(long)]
        held: bool,
        /// Why, for the audit trail: whose lock it was.
        #[arg(long)]
        reason: Reason,
    },
}

/// Lists the locks, or frees one.
pub(crate) async fn locks(session: &Session, config: &RedisConfig, command: Locks) -> anyhow::Result<()> {
    let urls: Vec<&str> = config.lock_urls.iter().map(ExposeSecret::expose_secret).collect();
    let locks = WalletLocks::new(&urls)?;
    match command {
        Locks::List => list(session, &locks).await,
        Locks::Free { wallet, held, reason } => free(session, &locks, wallet, held, &reason).await,
    }
}

async fn list(session: &Session, locks: &WalletLocks) -> anyhow::Result<()> {
    let Inspection {
        overdue,
        unreachable,
        cut,
    } = locks.overdue().await;
    let (_, nodes) = locks.needed_of();
    let mut lines: Vec<String> = overdue
        .iter()
        .map(|it| {
            format!(
                "{}  node {}  {}",
                WalletLocks::key(it.wallet),
                it.node,
                in_words(&it.holder)
            )
        })
        .collect();
    lines.push(format!("{} locks that no worker can hold", overdue.len()));
    if unreachable > 0 {
        lines.push(format!(
            "{unreachable} of {nodes} lock nodes do not answer: their locks are not listed"
        ));
    }
    if cut > 0 {
        lines.push(format!(
            "{cut} of {nodes} lock nodes have more keys than are inspected: the rest is not listed"
        ));
    }
    let rows: Vec<Value> = overdue
        .iter()
        .map(|it| json!({ "wallet": it.wallet.to_string(), "node": it.node, "holder": as_json(&it.holder) }))
        .collect();
    session.answer(
        &json!({ "overdue": rows, "nodes": nodes, "nodesUnreachable": unreachable, "nodesCut": cut }),
        lines,
    )?;
    if unreachable == nodes {
        let why = "no lock node (REDLOCK_URLS) answers, so nothing is known of their locks";
        return Err(Verdict::unknown(why).into());
    }
    Ok(())
}

async fn free(
    session: &Session,
    locks: &WalletLocks,
    wallet: WalletId,
    insisting: bool,
    reason: &Reason,
) -> anyhow::Result<()> {
    let removed = locks.free(wallet, insisting).await;
    let key = WalletLocks::key(wallet);
    let nodes: Vec<Value> = removed
        .iter()
        .zip(1..)
        .filter_map(|(seen, node): (&KeySeen, usize)| match seen {
            KeySeen::Held(holder) => Some(json!({ "node": node, "holder": as_json(holder) })),
            KeySeen::Free | KeySeen::Unreachable => None,
        })
        .collect();
    let unreachable = removed
        .iter()
        .filter(|seen| **seen == KeySeen::Unreachable)
        .count();
    if nodes.is_empty() {
        bail!(nothing_removed(locks, wallet, insisting).await);
    }
    let now = session.now();
    in_transaction!(session.db, conn => {
        alarms::close(conn, AlarmKind::LockOverdue, &key, now).await?;
        let entry = AuditRecord {
            wallets: &[wallet],
            detail: json!({ "key": key, "removed": nodes, "reason": reason.as_str() }),
            ..AuditRecord::new(now, &session.actor, "free_lock")
        };
        audit::record(conn, &entry).await?;
        Ok::<_, DbError>(())
    })?;
    let line = format!("{key} is removed from {} lock nodes", nodes.len());
    let object = json!({ "wallet": wallet.to_string(), "removed": nodes, "nodesUnreachable": unreachable });
    session.answer(&object, [line])
}

/// Describes why no node had anything to remove.
async fn nothing_removed(locks: &WalletLocks, wallet: WalletId, insisting: bool) -> String {
    let key = WalletLocks::key(wallet);
    let seen = locks.inspect(wallet).await;
    let nodes = seen.len();
    let silent = seen.iter().filter(|it| **it == KeySeen::Unreachable).count();
    let rest = if silent > 0 {
        format!("; {silent} of {nodes} lock nodes do not answer")
    } else {
        String::new()
    };
    let holder = seen.iter().find_map(|it| match it {
        KeySeen::Held(holder) => Some(in_words(holder)),
        KeySeen::Free | KeySeen::Unreachable => None,
    });
    match holder {
        Some(holder) if insisting => format!("{key} was taken at this moment ({holder}): look again{rest}"),
        Some(holder) => format!(
            "{key} may be a worker's at this moment ({holder}) and was left alone: --held removes it all the same{rest}"
        ),
        None if silent == nodes => {
            format!("no lock node (REDLOCK_URLS) answers, so nothing is known of {key}")
        }
        None => format!("{key} is on no lock node that answers: there is nothing to remove{rest}"),
    }
}

fn in_words(holder: &Holder) -> String {
    let expiry = holder.expires_in.map_or_else(
        || "never expires".to_owned(),
        |left| format!("expires in {} s", left.as_secs()),
    );
    format!("held by \"{}\", {expiry}", holder.value)
}

fn as_json(holder: &Holder) -> Value {
    json!({ "value": holder.value, "expiresInSeconds": holder.expires_in.map(|left| left.as_secs()) })
}
