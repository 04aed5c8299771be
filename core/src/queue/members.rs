//! Which workers are alive by the clock of Redis, and what happens to the tasks of those that are not.
//!
//! In apalis each worker writes heartbeats by its own clock, and the others judge them by theirs: a worker whose clock is a
//! minute off would be declared dead again and again while it works. So apalis gets a very long patience ([`APALIS_PATIENCE`]),
//! and a list of our own decides. A worker whose run ended in this process is reaped at once; one whose process died, after [`SILENCE`].

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use super::{QueueTransport, TransportError};
use crate::jobs::QueueName;

/// How often a consumer reports that its worker is alive.
pub(super) const BEAT: Duration = Duration::from_secs(5);
/// How long a worker may go without a beat before it counts as dead.
const SILENCE: Duration = Duration::from_secs(20);
/// The number of missed beats that apalis itself tolerates: 20 minutes, more than clocks ever differ.
pub(super) const APALIS_PATIENCE: usize = 240;

static ALIVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/alive.lua")));
static REAP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/reap.lua")));

impl QueueTransport {
    /// Reports that `worker` is alive, and reaps the workers that have been silent for too long.
    pub(super) async fn beat(&self, queue: QueueName, worker: &str) -> Result<(), TransportError> {
        let names = self.names(queue);
        let silent: Vec<String> = self
            .link()
            .call(|mut redis| async move {
                let mut alive = ALIVE.key(names.members());
                alive.arg(worker).arg(SILENCE.as_secs());
                Ok(alive.invoke_async(&mut redis).await?)
            })
            .await?;
        let mut outcome = Ok(());
        for dead in silent {
            match self.reap(queue, &dead, &[]).await {
                Ok(returned) => {
                    tracing::warn!(%queue, worker = dead, returned, "a worker is gone: its tasks go back to the queue");
                }
                // A failure does not keep the other workers from being reaped.
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// Removes what Redis holds of `worker` and puts its tasks back, except those in `begun`. Returns how many were put back.
    pub(super) async fn reap(
        &self,
        queue: QueueName,
        worker: &str,
        begun: &[String],
    ) -> Result<u64, TransportError> {
        let names = self.names(queue);
        self.link()
            .call(|mut redis| async move {
                let mut reap = REAP.key(names.workers());
                reap.key(names.members()).key(names.active()).key(names.data());
                reap.arg(names.inflight())
                    .arg(names.meta())
                    .arg(names.worker_meta())
                    .arg(worker)
                    .arg(begun);
                Ok(reap.invoke_async(&mut redis).await?)
            })
            .await
    }
}
