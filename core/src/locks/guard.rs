//! The guards of held locks: they renew themselves, know when they are lost, and are released on every path.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::quorum::{Held, Nodes};
use crate::ids::WalletId;

/// The number of wallets that are renewed or released side by side.
const SIDE_BY_SIDE: usize = 64;

/// Wallets that are held together and renewed by a background task.
pub(super) struct Lease {
    shared: Arc<Shared>,
    renewal: Option<AbortHandle>,
    released: bool,
}

struct Shared {
    nodes: Arc<Nodes>,
    held: Vec<Held>,
    valid_until: Mutex<Option<Instant>>,
    lost: CancellationToken,
}

impl Lease {
    pub(super) fn start(nodes: Arc<Nodes>, held: Vec<Held>, renew_every: Duration) -> Self {
        let valid_until = Mutex::new(held.iter().map(Held::valid_until).min());
        let shared = Arc::new(Shared {
            nodes,
            held,
            valid_until,
            lost: CancellationToken::new(),
        });
        let renewal = (!shared.held.is_empty())
            .then(|| tokio::spawn(renew(Arc::clone(&shared), renew_every)).abort_handle());
        Self {
            shared,
            renewal,
            released: false,
        }
    }

    pub(super) fn wallets(&self) -> impl Iterator<Item = WalletId> + '_ {
        self.shared.held.iter().map(Held::wallet)
    }

    pub(super) fn is_lost(&self) -> bool {
        let valid_until = *self
            .shared
            .valid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.shared.lost.is_cancelled() || valid_until.is_some_and(|end| Instant::now() >= end)
    }

    pub(super) async fn lost(&self) {
        self.shared.lost.cancelled().await;
    }

    pub(super) async fn release(mut self) {
        self.stop_renewal();
        let shared = Arc::clone(&self.shared);
        self.released = true;
        // In a task of its own, so that a caller that is cancelled here still releases.
        super::joined(tokio::spawn(async move { shared.release().await })).await;
    }

    fn stop_renewal(&mut self) {
        if let Some(renewal) = self.renewal.take() {
            renewal.abort();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop_renewal();
        if self.released || self.shared.held.is_empty() {
            return;
        }
        // Without a runtime the keys are left to expire.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let shared = Arc::clone(&self.shared);
            runtime.spawn(async move { shared.release().await });
        }
    }
}

impl Shared {
    /// Renews every wallet; returns false as soon as one has too few nodes left. That is never retried: the node that missed the
    /// extension has given the key up, and another worker may be at work.
    async fn extend(&self) -> bool {
        let renewals: Vec<_> = self.held.iter().map(|held| self.nodes.extend(held)).collect();
        let renewed: Vec<_> = stream::iter(renewals)
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
        let Some(renewed) = renewed.into_iter().collect::<Option<Vec<Instant>>>() else {
            return false;
        };
        *self.valid_until.lock().unwrap_or_else(PoisonError::into_inner) = renewed.into_iter().min();
        true
    }

    async fn release(&self) {
        let releases: Vec<_> = self.held.iter().map(Held::release).collect();
        stream::iter(releases)
            .buffer_unordered(SIDE_BY_SIDE)
            .for_each(|()| std::future::ready(()))
            .await;
    }
}

async fn renew(shared: Arc<Shared>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if !shared.extend().await {
            tracing::warn!(wallets = shared.held.len(), "lock lost while it was held");
            shared.lost.cancel();
            return;
        }
    }
}

/// The locks of all the wallets that were requested.
///
/// They are renewed while the guard exists. Release it with [`WalletGuard::release`] when the work is done; a guard that is only
/// dropped is released in the background.
#[must_use = "the wallets are unlocked when this is dropped"]
pub struct WalletGuard(Lease);

impl WalletGuard {
    pub(super) fn new(lease: Lease) -> Self {
        Self(lease)
    }

    /// Whether the lock can no longer be relied on: a renewal failed, or its time ran out while this process stood still.
    /// Jobs that have not begun are released; work under way continues, since the fence decides.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.is_lost()
    }

    /// Completes when a renewal has failed, and not before.
    pub async fn lost(&self) {
        self.0.lost().await;
    }

    /// Releases the locks on every node that answers. Never fails: what cannot be reached expires.
    pub async fn release(self) {
        self.0.release().await;
    }
}

impl std::fmt::Debug for WalletGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WalletGuard")
            .field(&self.0.wallets().collect::<Vec<_>>())
            .finish()
    }
}
