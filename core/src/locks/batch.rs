//! Locking many wallets with one try each, side by side: for workers that execute a batch of transfers and release the jobs
//! of busy wallets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;

use super::QuorumLoss;
use super::guard::Lease;
use super::quorum::{Attempt, Nodes};
use crate::ids::WalletId;

/// The number of wallets per task, so that a large batch uses more than one processor.
const CHUNK: usize = 128;
/// The number of a chunk's wallets that are tried side by side; the requests share one pipelined connection per node.
const SIDE_BY_SIDE: usize = 64;

/// The outcome of one try per wallet: some are held, some busy, some without a majority.
///
/// The held locks are renewed and released as with [`WalletGuard`](super::WalletGuard).
#[must_use = "the wallets are unlocked when this is dropped"]
pub struct BatchGuard {
    lease: Lease,
    held: BTreeSet<WalletId>,
    busy: BTreeSet<WalletId>,
    without_quorum: BTreeSet<WalletId>,
    loss: QuorumLoss,
}

impl BatchGuard {
    /// The wallets that are locked.
    #[must_use]
    pub fn held(&self) -> &BTreeSet<WalletId> {
        &self.held
    }

    /// The wallets that another holder has locked.
    #[must_use]
    pub fn busy(&self) -> &BTreeSet<WalletId> {
        &self.busy
    }

    /// The wallets for which fewer than a majority of the lock nodes answered.
    #[must_use]
    pub fn without_quorum(&self) -> &BTreeSet<WalletId> {
        &self.without_quorum
    }

    /// Whether `wallet` may be worked on: it is locked by this guard, or the nodes are away and work continues without them.
    #[must_use]
    pub fn allows(&self, wallet: WalletId) -> bool {
        self.held.contains(&wallet)
            || (self.loss == QuorumLoss::Proceed && self.without_quorum.contains(&wallet))
    }

    /// Whether one of the locks can no longer be relied on; then none of them can.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lease.is_lost()
    }

    /// Completes when a renewal has failed, and not before.
    pub async fn lost(&self) {
        self.lease.lost().await;
    }

    /// Releases the held locks on every node that answers.
    pub async fn release(self) {
        self.lease.release().await;
    }
}

impl std::fmt::Debug for BatchGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchGuard")
            .field("held", &self.held.len())
            .field("busy", &self.busy)
            .field("without_quorum", &self.without_quorum)
            .finish_non_exhaustive()
    }
}

pub(super) async fn try_each(
    nodes: Arc<Nodes>,
    wallets: Vec<WalletId>,
    renew_every: Duration,
    loss: QuorumLoss,
) -> BatchGuard {
    let chunks = wallets.chunks(CHUNK).map(|chunk| {
        let nodes = Arc::clone(&nodes);
        let chunk = chunk.to_vec();
        super::joined(tokio::spawn(async move {
            futures::stream::iter(chunk)
                .map(|wallet| {
                    let nodes = &nodes;
                    async move { (wallet, nodes.attempt(wallet).await) }
                })
                .buffer_unordered(SIDE_BY_SIDE)
                .collect::<Vec<_>>()
                .await
        }))
    });
    let mut locks = Vec::with_capacity(wallets.len());
    let (mut held, mut busy, mut without_quorum) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (wallet, attempt) in join_all(chunks).await.into_iter().flatten() {
        match attempt {
            Attempt::Held(lock) => {
                locks.push(lock);
                held.insert(wallet);
            }
            Attempt::Busy => {
                busy.insert(wallet);
            }
            Attempt::NoQuorum => {
                without_quorum.insert(wallet);
            }
        }
    }
    BatchGuard {
        lease: Lease::start(nodes, locks, renew_every),
        held,
        busy,
        without_quorum,
        loss,
    }
}
