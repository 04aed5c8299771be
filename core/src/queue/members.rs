//! Which workers are alive, by the clock of Redis, and what becomes of those that are not.
//!
//! apalis compares the heartbeats that workers write with their own clocks: a worker whose clock is a minute off would be
//! declared dead while it works, again and again. Its patience is set to [`APALIS_PATIENCE`] for that reason, and a list of our
//! own decides. A worker that died in this process is buried at once; one whose process died, after [`SILENCE`].

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use super::{Carrier, CarrierError};
use crate::jobs::QueueName;

/// How often a consumer says that its worker is alive.
pub(super) const BEAT: Duration = Duration::from_secs(5);
/// Beats of silence after which a worker is dead.
const SILENCE: Duration = Duration::from_secs(20);
/// Beats that apalis itself waits for: 20 minutes, more than clocks are ever apart.
pub(super) const APALIS_PATIENCE: usize = 240;

static ALIVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/alive.lua")));
static BURY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/bury.lua")));

impl Carrier {
    /// Says that `worker` is alive, and buries those that have been silent too long.
    pub(super) async fn beat(&self, queue: QueueName, worker: &str) -> Result<(), CarrierError> {
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
            match self.bury(queue, &dead, &[]).await {
                Ok(returned) => {
                    tracing::warn!(%queue, worker = dead, returned, "a worker is gone: its tasks go back to the queue");
                }
                // The others are buried all the same.
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// Removes what Redis knows of `worker`, and puts its tasks back except those it has `begun`. Says how many went back.
    pub(super) async fn bury(
        &self,
        queue: QueueName,
        worker: &str,
        begun: &[String],
    ) -> Result<u64, CarrierError> {
        let names = self.names(queue);
        self.link()
            .call(|mut redis| async move {
                let mut bury = BURY.key(names.workers());
                bury.key(names.members()).key(names.active()).key(names.data());
                bury.arg(names.inflight())
                    .arg(names.meta())
                    .arg(names.worker_meta())
                    .arg(worker)
                    .arg(begun);
                Ok(bury.invoke_async(&mut redis).await?)
            })
            .await
    }
}
