//! Watches whether enough lock nodes can be written to: without a majority no wallet can be locked, and all money waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::db::DbError;
use wallet_core::error_chain::chain;

use crate::metrics::LOCK_NODES_UP;
use crate::worker::Worker;

/// The check interval.
const EVERY: Duration = Duration::from_secs(1);
/// A majority lost for less than this raises no alarm: nodes are restarted one after the other.
const ALARM_AFTER: Duration = Duration::from_secs(5);
/// The interval at which the alarm is raised again, in case a person closed it, or a worker that still has the majority.
const ALARM_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// The subject of the alarm: there is one set of nodes.
const NODES: &str = "lock nodes";

/// Checks the nodes until `shutdown`.
pub(crate) async fn run(worker: Arc<Worker>, shutdown: CancellationToken) {
    let mut watch = Watch::default();
    while !shutdown.is_cancelled() {
        if let Err(error) = watch.check(&worker).await {
            tracing::debug!(error = %chain(&error), "an alarm about the lock nodes could not be written");
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

#[derive(Default)]
struct Watch {
    lost_since: Option<Instant>,
    told: Option<Instant>,
    /// Whether an alarm that an earlier run of the worker may have left was closed.
    has_closed: bool,
}

impl Watch {
    async fn check(&mut self, worker: &Worker) -> Result<(), DbError> {
        let up = worker.locks.nodes_up();
        metrics::gauge!(LOCK_NODES_UP).set(u32::try_from(up).unwrap_or(u32::MAX));
        let now = Instant::now();
        if worker.locks.has_quorum() {
            self.lost_since = None;
            if self.told.is_some() || !self.has_closed {
                let conn = &mut worker.db.conn().await?;
                alarms::close(conn, AlarmKind::LockQuorumLost, NODES, worker.clock.now()).await?;
                (self.told, self.has_closed) = (None, true);
            }
            return Ok(());
        }
        let since = *self.lost_since.get_or_insert(now);
        let is_due = self.told.is_none_or(|told| now - told >= ALARM_AGAIN_AFTER);
        if now - since >= ALARM_AFTER && is_due {
            let (needed, nodes) = worker.locks.needed_of();
            let message = format!(
                "{up} of {nodes} lock nodes (REDLOCK_URLS) can be written to and {needed} are needed: no wallet can be locked, and all money \
                 waits; see `INFO`, the memory and the role of each node, and `/readyz` of the workers"
            );
            let conn = &mut worker.db.conn().await?;
            alarms::raise(
                conn,
                AlarmKind::LockQuorumLost,
                NODES,
                &message,
                worker.clock.now(),
            )
            .await?;
            self.told = Some(now);
        }
        Ok(())
    }
}
