//! The RedLock algorithm over the nodes: a lock is held while a majority of all configured nodes has granted it. It is valid for its
//! time to live, less the time that the requests took and an allowance for clocks that run at different speeds.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rslock::Lock;
use tokio::time::Instant;

use super::node::{Node, Vote};
use crate::ids::WalletId;

#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<Arc<Node>>,
    ttl: Duration,
}

/// The outcome of one try for one wallet.
pub(super) enum Attempt {
    Held(Held),
    Busy,
    NoQuorum,
}

/// The lock of a wallet that a majority has granted.
pub(super) struct Held {
    wallet: WalletId,
    grants: Vec<(Arc<Node>, Lock)>,
    valid_until: Instant,
}

impl Nodes {
    pub(super) fn new(nodes: Vec<Arc<Node>>, ttl: Duration) -> Self {
        Self { nodes, ttl }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter()
    }

    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The size of a majority of the configured nodes, whether they are up or not.
    pub(super) fn quorum(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    pub(super) fn up(&self) -> usize {
        self.nodes.iter().filter(|node| !node.is_down()).count()
    }

    /// One try; whatever a minority granted is released before this returns.
    pub(super) async fn attempt(&self, wallet: WalletId) -> Attempt {
        let started = Instant::now();
        let key = format!("wallet:{wallet}");
        let votes = join_all(self.nodes.iter().map(|node| node.lock(&key, self.ttl))).await;
        let mut grants = Vec::with_capacity(votes.len());
        let mut refused = Vec::new();
        for (vote, node) in votes.into_iter().zip(&self.nodes) {
            match vote {
                Vote::Granted(lock) => grants.push((Arc::clone(node), lock)),
                Vote::Refused => refused.push(node),
                Vote::Unreachable => {}
            }
        }
        let granted = grants.len();
        let held = Held {
            wallet,
            grants,
            valid_until: self.valid_until(started),
        };
        if granted >= self.quorum() && Instant::now() < held.valid_until {
            refused.into_iter().for_each(|node| node.suspect());
            return Attempt::Held(held);
        }
        held.release().await;
        let answered = join_all(refused.into_iter().map(|node| node.verify(started))).await;
        let reachable = granted + answered.into_iter().filter(|there| *there).count();
        if reachable >= self.quorum() {
            Attempt::Busy
        } else {
            Attempt::NoQuorum
        }
    }

    /// Renews `held` and returns until when it is valid, or `None` if too few nodes took part: then the lock is lost.
    pub(super) async fn extend(&self, held: &Held) -> Option<Instant> {
        let started = Instant::now();
        let asked = join_all(held.grants.iter().map(|(node, lock)| node.extend(lock, self.ttl))).await;
        let extended = asked.into_iter().filter(|done| *done).count();
        let valid_until = self.valid_until(started);
        (extended >= self.quorum() && Instant::now() < valid_until).then_some(valid_until)
    }

    fn valid_until(&self, started: Instant) -> Instant {
        let drift = self.ttl / 100 + Duration::from_millis(2);
        started + self.ttl.saturating_sub(drift)
    }
}

impl Held {
    pub(super) fn wallet(&self) -> WalletId {
        self.wallet
    }

    pub(super) fn valid_until(&self) -> Instant {
        self.valid_until
    }

    /// Releases what the nodes granted; does nothing on a node where the key now belongs to another holder.
    pub(super) async fn release(&self) {
        join_all(self.grants.iter().map(|(node, lock)| node.release(lock))).await;
    }
}
