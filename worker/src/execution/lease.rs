//! Renews the leases of running jobs: one statement for all of them, by a task of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wallet_core::db::Db;
use wallet_core::error_chain::chain;
use wallet_core::ids::JobId;
use wallet_core::jobs::{self, Claim, RENEW_EVERY};

/// The claims of the jobs that this process runs.
#[derive(Clone)]
pub(crate) struct Leases {
    db: Db,
    /// The longest time for which a claim is renewed.
    longest: Duration,
    held: Arc<Mutex<HashMap<JobId, Held>>>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    fence: i64,
    since: Instant,
}

/// A guard that keeps claims renewed until it is dropped, which a panic also does: then the leases run out and other workers take over.
pub(crate) struct Kept {
    leases: Leases,
    claims: Vec<Claim>,
}

impl Leases {
    /// Renews each claim for as long as one run may take, and no longer: a job that never yields cannot be
    /// dropped, and only when its lease runs out can another worker try it, and then park it.
    pub(crate) fn new(db: Db, longest_run: Duration) -> Self {
        Self {
            db,
            longest: longest_run.saturating_add(RENEW_EVERY),
            held: Arc::default(),
        }
    }

    /// Keeps these claims renewed until the returned guard is dropped.
    pub(crate) fn keep(&self, claims: Vec<Claim>) -> Kept {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let since = Instant::now();
        held.extend(claims.iter().map(|claim| {
            let fence = claim.fence;
            (claim.job, Held { fence, since })
        }));
        Kept {
            leases: self.clone(),
            claims,
        }
    }

    /// Returns the claims to renew; drops those that have run too long, with a line in the log.
    fn renewable(&self) -> Vec<Claim> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|job, held| {
            let is_renewed = held.since.elapsed() <= self.longest;
            if !is_renewed {
                tracing::error!(%job, "the job runs for too long and cannot be dropped; its lease will run out");
            }
            is_renewed
        });
        let claim = |(job, held): (&JobId, &Held)| Claim {
            job: *job,
            fence: held.fence,
        };
        held.iter().map(claim).collect()
    }

    /// Renews the claims until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
            let claims = self.renewable();
            if claims.is_empty() {
                continue;
            }
            match jobs::renew(&self.db, &claims).await {
                Ok(renewed) if renewed.len() < claims.len() => {
                    // These ended a moment ago or were taken over: the fence refuses whatever their jobs still write.
                    tracing::debug!(
                        held = claims.len(),
                        renewed = renewed.len(),
                        "some claims are no longer ours"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "leases could not be renewed"),
            }
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut held = self.leases.held.lock().unwrap_or_else(PoisonError::into_inner);
        for claim in &self.claims {
            if held.get(&claim.job).map(|held| held.fence) == Some(claim.fence) {
                held.remove(&claim.job);
            }
        }
    }
}
