//! Looking at the locks of wallets from outside: who holds one, for how long still, and whether that can be lawful.
//!
//! A worker of ours sets a key with a time to live and renews it. A key that never expires, or expires later than any of ours, is somebody
//! else's: another program's, or an operator's mistake. It keeps a wallet's money waiting until somebody removes it.

use std::sync::LazyLock;
use std::time::Duration;

use futures::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, Script};
use tokio::time::timeout;

use super::WalletLocks;
use super::node::Node;
use crate::ids::WalletId;

/// How long a node may take to be looked at: nobody's work waits for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Keys of one node that are looked at; each is one wallet that is worked on at this moment.
const MOST_KEYS: usize = 10_000;
/// The keys of wallets, and not what else may stand in the same Redis under a name that begins so.
const WALLET_KEYS: &str = "wallet:????????-????-????-????-????????????";
/// Bytes of a holder's value that are shown.
const SHOWN: usize = 40;

/// Kind, value and time to live of a key.
static LOOK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/look.lua")));
/// Removes a key, unless a worker of ours may hold it and nobody insists.
static FREE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/free.lua")));

/// What one lock node says about a wallet's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySeen {
    /// Nobody holds it there.
    Free,
    /// Somebody does.
    Held(Holder),
    /// The node does not answer.
    Unreachable,
}

/// Somebody who holds a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The value of the key, cut and made printable.
    pub value: String,
    /// When it expires; never without it.
    pub expires_in: Option<Duration>,
}

impl Holder {
    /// Whether no worker of ours can hold a key like this: it never expires, or later than `ttl`.
    #[must_use]
    pub fn is_unlawful(&self, ttl: Duration) -> bool {
        self.expires_in.is_none_or(|left| left > ttl)
    }
}

/// A key that no worker of ours can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// The wallet.
    pub wallet: WalletId,
    /// The node, by its place in the list.
    pub node: usize,
    /// Who.
    pub holder: Holder,
}

/// What was seen on all nodes.
#[derive(Debug, Default)]
pub struct Looked {
    /// The keys that no worker of ours can hold.
    pub overdue: Vec<Overdue>,
    /// Nodes that did not answer.
    pub unreachable: usize,
    /// Nodes with more keys than are looked at.
    pub cut: usize,
}

impl WalletLocks {
    /// The key of a wallet, the same on every node.
    #[must_use]
    pub fn key(wallet: WalletId) -> String {
        format!("wallet:{wallet}")
    }

    /// What each node says about a wallet's key, in the order of the nodes.
    pub async fn look(&self, wallet: WalletId) -> Vec<KeySeen> {
        let key = Self::key(wallet);
        join_all(self.nodes.iter().map(|node| look(node, &key))).await
    }

    /// Looks at all keys on the nodes.
    pub async fn overdue(&self) -> Looked {
        let mut looked = Looked::default();
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
                looked.unreachable += 1;
                continue;
            };
            looked.cut += usize::from(seen.len() >= MOST_KEYS);
            for (key, seen) in seen {
                // In another spelling it is the lock of nobody.
                let wallet = key
                    .strip_prefix("wallet:")
                    .and_then(|id| id.parse().ok())
                    .filter(|wallet| Self::key(*wallet) == key);
                if let (Some(wallet), KeySeen::Held(holder)) = (wallet, seen)
                    && holder.is_unlawful(self.timing.ttl)
                {
                    looked.overdue.push(Overdue {
                        wallet,
                        node: node.position(),
                        holder,
                    });
                }
            }
        }
        looked
    }

    /// Removes a wallet's key wherever [`Self::overdue`] would list it, and with `insisting` wherever it is. Brings what was removed, by node.
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

    /// How long a key of ours lives without being renewed.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        self.timing.ttl
    }
}

async fn look(node: &Node, key: &str) -> KeySeen {
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
    LOOK.key(key).invoke_async(redis).await.map(seen)
}

/// The keys of wallets on a node, as many as are looked at.
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

/// The start of a value, without what a terminal would act on.
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
