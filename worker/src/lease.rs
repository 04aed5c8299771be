//! Renewing the leases of running jobs: one statement for all of them, by a task of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use wallet_core::db::Db;
use wallet_core::ids::JobId;
use wallet_core::jobs::{self, Claim, RENEW_EVERY};
use wallet_core::telemetry::chain;

/// The claims that this process works on.
#[derive(Clone)]
pub(crate) struct Leases {
    db: Db,
    held: Arc<Mutex<HashMap<JobId, i64>>>,
}

/// Keeps claims renewed until it is dropped, also by a panic: then the leases run out and others take over.
pub(crate) struct Kept {
    leases: Leases,
    claims: Vec<Claim>,
}

impl Leases {
    pub(crate) fn new(db: Db) -> Self {
        Self {
            db,
            held: Arc::default(),
        }
    }

    /// Has these claims renewed while the result lives.
    pub(crate) fn keep(&self, claims: Vec<Claim>) -> Kept {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend(claims.iter().map(|claim| (claim.job, claim.fence)));
        Kept {
            leases: self.clone(),
            claims,
        }
    }

    /// Renews until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
            let claims: Vec<Claim> = {
                let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                held.iter()
                    .map(|(job, fence)| Claim {
                        job: *job,
                        fence: *fence,
                    })
                    .collect()
            };
            if claims.is_empty() {
                continue;
            }
            match jobs::renew(&self.db, &claims).await {
                Ok(renewed) if renewed.len() < claims.len() => {
                    // Ended a moment ago, or taken over: whatever it still writes is refused by the fence.
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
            if held.get(&claim.job) == Some(&claim.fence) {
                held.remove(&claim.job);
            }
        }
    }
}
