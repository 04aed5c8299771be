//! Inspecting the locks of wallets from outside: who holds one, for how much longer, and whether that can be lawful.
//!
//! Our workers set a key with a time to live and renew it. A key that never expires, or expires later than ours ever do, was set by
//! another program or by an operator's mistake. It keeps a wallet's money waiting until it is removed.

use std::sync::LazyLock;
use std::time::Duration;

use futures::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, Script};
use tokio::time::timeout;

use super::WalletLocks;
use super::node::Node;
use crate::ids::WalletId;

/// The time limit for inspecting one node; no work waits for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// The maximum number of keys per node that are inspected; each is a wallet that is being worked on at this moment.
const MOST_KEYS: usize = 10_000;
/// The pattern of the keys of wallets, which excludes other keys in the same Redis that begin in the same way.
const WALLET_KEYS: &str = "wallet:????????-????-????-????-????????????";
/// The number of bytes of a holder's value that are shown.
const SHOWN: usize = 40;

/// A script that returns the value of a key, or its kind if it is not a string, and its time to live.
static INSPECT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/inspect.lua")));
/// A script that removes a key, unless one of our workers may hold it and the caller does not insist.
static FREE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/free.lua")));

/// The state of a wallet's key on one lock node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySeen {
    /// The node has no such key.
    Free,
    /// The key has a holder.
    Held(Holder),
    /// The node does not answer.
    Unreachable,
}

/// The holder of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The value of the key, shortened and made printable.
    pub value: String,
    /// The time until the key expires; `None` if it never does.
    pub expires_in: Option<Duration>,
}

impl Holder {
    /// Whether none of our workers can hold a key like this: it never expires, or expires later than `ttl`.
    #[must_use]
    pub fn is_unlawful(&self, ttl: Duration) -> bool {
        self.expires_in.is_none_or(|left| left > ttl)
    }
}

/// A key that none of our workers can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// The wallet.
    pub wallet: WalletId,
    /// The node, by its place in the list.
    pub node: usize,
    /// The holder of the key.
    pub holder: Holder,
}

/// The result of an inspection of all nodes.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The keys that none of our workers can hold.
    pub overdue: Vec<Overdue>,
    /// Nodes that did not answer.
    pub unreachable: usize,
    /// Nodes with more keys than are inspected.
    pub cut: usize,
}

impl WalletLocks {
    /// Returns the key of a wallet, which is the same on every node.
    #[must_use]
    pub fn key(wallet: WalletId) -> String {
        format!("wallet:{wallet}")
    }

    /// Returns the state of a wallet's key on each node, in the order of the nodes.
    pub async fn inspect(&self, wallet: WalletId) -> Vec<KeySeen> {
        let key = Self::key(wallet);
        join_all(self.nodes.iter().map(|node| inspect(node, &key))).await
    }

    /// Inspects all keys on all nodes.
    pub async fn overdue(&self) -> Inspection {
        let mut inspection = Inspection::default();
        for node in self.nodes.iter() {
            let asked = timeout(PATIENCE * 5, async {
                let mut redis = connect(node).await?;
                let mut seen = Vec::new();
                for key in keys(&mut redis).await? {
                    seen.push((key.clone(), ask(&mut redis, &key).await?));
                }
                Ok::<_, RedisError>(seen)
            });
            let Ok(Ok(seen)) = asked.await else {
                inspection.unreachable += 1;
                continue;
            };
            inspection.cut += usize::from(seen.len() >= MOST_KEYS);
            for (key, seen) in seen {
                // A key in another spelling is not the lock of any wallet.
                let wallet = key
                    .strip_prefix("wallet:")
                    .and_then(|id| id.parse().ok())
                    .filter(|wallet| Self::key(*wallet) == key);
                if let (Some(wallet), KeySeen::Held(holder)) = (wallet, seen)
                    && holder.is_unlawful(self.timing.ttl)
                {
                    inspection.overdue.push(Overdue {
                        wallet,
                        node: node.position(),
                        holder,
                    });
                }
            }
        }
        inspection
    }

    /// Removes a wallet's key on nodes where [`Self::overdue`] would list it, with `insisting` on all. Returns what was removed, by node.
    pub async fn free(&self, wallet: WalletId, insisting: bool) -> Vec<KeySeen> {
        let key = Self::key(wallet);
        let ttl = u64::try_from(self.timing.ttl.as_millis()).unwrap_or(u64::MAX);
        let free = async |node: &Node| {
            let asked = timeout(PATIENCE, async {
                let mut redis = connect(node).await?;
                let mut free = FREE.key(&key);
                free.arg(u8::from(insisting)).arg(ttl);
                free.invoke_async(&mut redis).await.map(seen)
            });
            match asked.await {
                Ok(Ok(removed)) => removed,
                _ => KeySeen::Unreachable,
            }
        };
        let mut removed = Vec::new();
        for node in self.nodes.iter() {
            removed.push(free(node).await);
        }
        removed
    }

    /// Returns how long a key of ours lives without being renewed.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        self.timing.ttl
    }
}

async fn inspect(node: &Node, key: &str) -> KeySeen {
    let asked = timeout(PATIENCE, async {
        let mut redis = connect(node).await?;
        ask(&mut redis, key).await
    });
    match asked.await {
        Ok(Ok(seen)) => seen,
        _ => KeySeen::Unreachable,
    }
}

async fn connect(node: &Node) -> Result<MultiplexedConnection, RedisError> {
    node.client()
        .get_multiplexed_async_connection_with_config(&AsyncConnectionConfig::new())
        .await
}

async fn ask(redis: &mut MultiplexedConnection, key: &str) -> Result<KeySeen, RedisError> {
    INSPECT.key(key).invoke_async(redis).await.map(seen)
}

/// Returns the keys of wallets on a node, up to the maximum that is inspected.
async fn keys(redis: &mut MultiplexedConnection) -> Result<Vec<String>, RedisError> {
    let mut found = Vec::new();
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor)
            .arg("MATCH")
            .arg(WALLET_KEYS)
            .arg("COUNT")
            .arg(1_000);
        let (next, keys): (u64, Vec<String>) = scan.query_async(redis).await?;
        found.extend(keys);
        cursor = next;
        if cursor == 0 || found.len() >= MOST_KEYS {
            return Ok(found);
        }
    }
}

fn seen(told: Option<(Vec<u8>, i64)>) -> KeySeen {
    let Some((value, left)) = told else {
        return KeySeen::Free;
    };
    KeySeen::Held(Holder {
        value: printable(&value),
        expires_in: u64::try_from(left).ok().map(Duration::from_millis),
    })
}

/// The start of a value, in hexadecimal if it has characters that a terminal could act on.
fn printable(value: &[u8]) -> String {
    let shown: Vec<u8> = value.iter().copied().take(SHOWN).collect();
    if shown.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return String::from_utf8_lossy(&shown).into_owned();
    }
    hex::encode(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_never_expires_or_too_late_is_nobodys_of_ours() {
        let holder = |left| match seen(Some((b"x".to_vec(), left))) {
            KeySeen::Held(holder) => holder,
            other => panic!("{other:?}"),
        };
        let ttl = Duration::from_secs(30);
        assert!(holder(-1).is_unlawful(ttl));
        assert!(holder(30_001).is_unlawful(ttl));
        assert!(!holder(30_000).is_unlawful(ttl) && !holder(0).is_unlawful(ttl));
        assert_eq!(seen(None), KeySeen::Free);
    }

    #[test]
    fn a_holder_is_shown_without_what_a_terminal_acts_on() {
        assert_eq!(printable(b"by hand, Ada"), "by hand, Ada");
        assert_eq!(printable(b"\x1b[2J"), "1b5b324a");
        assert_eq!(printable(&[b'a'; 100]).len(), SHOWN);
    }
}
