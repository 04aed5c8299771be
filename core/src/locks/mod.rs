//! RedLock over wallets: it keeps workers from getting in each other's way, and nothing more.
//!
//! A lock may be lost at any moment (a pause longer than its time to live, a node that restarts empty), so no money depends
//! on it: the fence of the job and the row locks of PostgreSQL decide. The lock only saves work that would be lost there.
//!
//! The crate `rslock` does the work on one node: it sets a key, if absent, with a random value and a time to live, and releases
//! and extends it by compare-and-set. Each node has its own `LockManager` and the majority is counted here, because a manager over
//! several nodes:
//!
//! - waits for the slowest node: one that hangs costs every lock half a second to a second, and its time limits cannot be set;
//! - answers "unavailable" both when another holder has the lock and when too few nodes can be reached;
//! - unlocks everywhere when one extension misses its majority, while the owner is still at work.
//!
//! Its `acquire` and `using` are never used (the first loops for ever when the nodes are down, the second drops the work when an
//! extension fails), nor is its list of resources (it joins the names into one key). Dropping its lock releases nothing, so the
//! guards here release explicitly; if they are only dropped, a spawned task releases.
//!
//! The key of a wallet is `wallet:{uuid}` on every node, so that any other RedLock client can take part.

mod batch;
mod guard;
mod inspect;
mod node;
mod quorum;
#[cfg(test)]
pub(crate) mod test_redis;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rand::Rng;

pub use batch::BatchGuard;
pub use guard::WalletGuard;
pub use inspect::{Holder, Inspection, KeySeen, Overdue};

use crate::ids::WalletId;
use guard::Lease;
use node::Node;
use quorum::{Attempt, Held, Nodes};

/// Why wallets could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another holder had this wallet at every try.
    #[error("{wallet:?} is locked by another worker")]
    Busy {
        /// The first wallet, in the order of ids, that was not free at the last try.
        wallet: WalletId,
    },
    /// Fewer than a majority of the lock nodes answered at the last try.
    #[error("fewer than {needed} of {nodes} lock nodes can be reached")]
    NoQuorum {
        /// How many must answer.
        needed: usize,
        /// How many are configured.
        nodes: usize,
    },
    /// No lock node was given.
    #[error("no lock node is configured")]
    NoNodes,
    /// An address is not a Redis URL.
    #[error("lock node {position} has an address that is no Redis URL")]
    InvalidUrl {
        /// The node's place in the list, from 1; the URL itself may contain a password.
        position: usize,
        /// The error of the Redis client.
        #[source]
        source: redis::RedisError,
    },
}

/// How long locks live and how often they are tried.
#[derive(Debug, Clone, Copy)]
pub struct LockTiming {
    /// Time to live of a key that is not renewed.
    pub ttl: Duration,
    /// The time between renewals while the lock is held; well below the time to live.
    pub renew_every: Duration,
    /// The number of tries of [`WalletLocks::lock`], including the first.
    pub tries: u32,
    /// The mean pause between two tries; each pause is between half and one and a half of it.
    pub spacing: Duration,
}

impl Default for LockTiming {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(30),
            renew_every: Duration::from_secs(10),
            tries: 10,
            spacing: Duration::from_millis(200),
        }
    }
}

/// What happens to work while fewer than a majority of the lock nodes answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QuorumLoss {
    /// Work that moves money waits in PostgreSQL until a majority is back.
    #[default]
    Wait,
    /// Work continues under the row locks of PostgreSQL and the fences of the jobs, which are what keeps it correct.
    Proceed,
}

/// The locks of wallets, over all lock nodes; cheap to clone.
#[derive(Debug, Clone)]
pub struct WalletLocks {
    nodes: Arc<Nodes>,
    timing: LockTiming,
    loss: QuorumLoss,
}

impl WalletLocks {
    /// Creates locks over the nodes at `urls`, with the times of the specification. Connects at the first use.
    ///
    /// # Errors
    /// [`LockError::NoNodes`] for an empty list, [`LockError::InvalidUrl`] for an address that is not a Redis URL.
    pub fn new<U: AsRef<str>>(urls: &[U]) -> Result<Self, LockError> {
        Self::with_timing(urls, LockTiming::default())
    }

    /// Like [`WalletLocks::new`], with other times.
    ///
    /// # Errors
    /// As [`WalletLocks::new`].
    pub fn with_timing<U: AsRef<str>>(urls: &[U], timing: LockTiming) -> Result<Self, LockError> {
        if urls.is_empty() {
            return Err(LockError::NoNodes);
        }
        let nodes = urls.iter().zip(1..).map(|(url, position)| {
            Node::open(url.as_ref(), position).map_err(|source| LockError::InvalidUrl { position, source })
        });
        Ok(Self {
            nodes: Arc::new(Nodes::new(nodes.collect::<Result<_, _>>()?, timing.ttl)),
            timing,
            loss: QuorumLoss::default(),
        })
    }

    /// Returns the same locks with another behaviour on the loss of the majority.
    #[must_use]
    pub fn on_loss(mut self, loss: QuorumLoss) -> Self {
        self.loss = loss;
        self
    }

    /// Locks all of `wallets`, or none: if one is not free, the others are released before the next try.
    ///
    /// The first try requests them all at once, which is the fast path. Later tries go in the order of ids: of two workers that
    /// need overlapping sets one then always gets ahead, and since no worker waits while it holds locks, there is no deadlock.
    ///
    /// # Errors
    /// [`LockError::Busy`] or [`LockError::NoQuorum`], as the last try ended; the latter only with [`QuorumLoss::Wait`].
    pub async fn lock(&self, wallets: &[WalletId]) -> Result<WalletGuard, LockError> {
        let wallets: Arc<[WalletId]> = unique_sorted(wallets).into();
        let mut tries = 1;
        loop {
            let locks = self.clone();
            let set = Arc::clone(&wallets);
            // In a task of its own: a caller that is cancelled in the middle must not leave keys behind.
            let refused =
                match joined(tokio::spawn(async move { locks.try_set(&set, tries == 1).await })).await {
                    Ok(lease) => return Ok(WalletGuard::new(lease)),
                    Err(refused) => refused,
                };
            if self.loss == QuorumLoss::Proceed && matches!(refused, LockError::NoQuorum { .. }) {
                tracing::warn!("going on without RedLock, under row locks and fences");
                let nothing = Lease::start(Arc::clone(&self.nodes), Vec::new(), self.timing.renew_every);
                return Ok(WalletGuard::new(nothing));
            }
            if tries >= self.timing.tries {
                return Err(refused);
            }
            tries += 1;
            tokio::time::sleep(self.pause()).await;
        }
    }

    async fn try_set(&self, wallets: &[WalletId], at_once: bool) -> Result<Lease, LockError> {
        let attempts: Vec<Attempt> = if at_once {
            join_all(wallets.iter().map(|wallet| self.nodes.attempt(*wallet))).await
        } else {
            let mut attempts = Vec::with_capacity(wallets.len());
            for wallet in wallets {
                attempts.push(self.nodes.attempt(*wallet).await);
                if !matches!(attempts.last(), Some(Attempt::Held(_))) {
                    break;
                }
            }
            attempts
        };
        let mut held = Vec::with_capacity(attempts.len());
        let mut refused = None;
        for (attempt, wallet) in attempts.into_iter().zip(wallets) {
            let error = match attempt {
                Attempt::Held(lock) => {
                    held.push(lock);
                    continue;
                }
                Attempt::Busy => LockError::Busy { wallet: *wallet },
                Attempt::NoQuorum => self.no_quorum(),
            };
            refused.get_or_insert(error);
        }
        match refused {
            None => Ok(Lease::start(
                Arc::clone(&self.nodes),
                held,
                self.timing.renew_every,
            )),
            Some(error) => {
                join_all(held.iter().map(Held::release)).await;
                Err(error)
            }
        }
    }

    /// Tries each of `wallets` once, all side by side, and returns which are held and which are not; never waits for a holder.
    pub async fn try_lock_each(&self, wallets: &[WalletId]) -> BatchGuard {
        let wallets = unique_sorted(wallets);
        let nodes = Arc::clone(&self.nodes);
        let renew_every = self.timing.renew_every;
        let loss = self.loss;
        joined(tokio::spawn(batch::try_each(nodes, wallets, renew_every, loss))).await
    }

    /// Returns how many lock nodes are not known to be down.
    #[must_use]
    pub fn nodes_up(&self) -> usize {
        self.nodes.up()
    }

    /// Whether a majority of the lock nodes is not known to be down.
    #[must_use]
    pub fn has_quorum(&self) -> bool {
        self.nodes.up() >= self.nodes.quorum()
    }

    /// Returns how many lock nodes are needed, and how many there are.
    #[must_use]
    pub fn needed_of(&self) -> (usize, usize) {
        (self.nodes.quorum(), self.nodes.count())
    }

    fn no_quorum(&self) -> LockError {
        LockError::NoQuorum {
            needed: self.nodes.quorum(),
            nodes: self.nodes.count(),
        }
    }

    /// A random pause between half and one and a half of the spacing. It affects only timing, so it needs no seed.
    fn pause(&self) -> Duration {
        let spacing = self.timing.spacing;
        let half = spacing / 2;
        rand::rng().random_range(half..=spacing + half)
    }
}

fn unique_sorted(wallets: &[WalletId]) -> Vec<WalletId> {
    wallets
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Returns the outcome of a task of this module; a panic in the task is resumed in the caller.
async fn joined<T>(task: tokio::task::JoinHandle<T>) -> T {
    match task.await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // These tasks are never cancelled, so the runtime is shutting down, and the caller with it.
        Err(_) => std::future::pending().await,
    }
}
