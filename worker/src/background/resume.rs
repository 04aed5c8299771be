//! Lets jobs that wait for Stripe go on as soon as it answers again, before the time of their back-off.
//!
//! While a lane is paused its jobs wait in the table, each until a time of its own. When the pause is over, one of them is tried, the one whose time comes first: it is
//! the breaker's probe. When Stripe has answered, all others go on at once.
//!
//! A call that fails alone pauses nothing: its job waits by itself. When no call of its lane has failed for a second, one of such
//! jobs is tried, then two, then four: [`SlowStart`]. The next failure ends that, for another second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wallet_core::db::DbError;
use wallet_core::error_chain::chain;
use wallet_core::jobs::{self, Forward, WaitsFor};
use wallet_core::stripe::Lane;

use crate::failed_alone::CALLING;
use crate::worker::Worker;

const EVERY: Duration = Duration::from_millis(250);

/// So long no call of a lane has failed before jobs that failed alone are tried.
const QUIET: Duration = Duration::from_secs(1);

/// The most that are tried at once of those that failed alone.
const MOST_AT_ONCE: i64 = 64;

/// Attempts after which a job that failed alone is left to its back-off: it is not Stripe that does not work.
const EARLY_ATTEMPTS: i32 = 8;

/// How the jobs of one queue that failed alone are tried: none before it is quiet, then more and more.
#[derive(Debug, Default, Clone, Copy)]
struct SlowStart {
    failures: u32,
    /// When how many may be tried; none while nothing waits.
    next: Option<(Instant, i64)>,
}

impl SlowStart {
    /// How many may be tried now.
    fn most(&mut self, failures: u32, now: Instant) -> Option<i64> {
        if self.failures != failures {
            *self = Self {
                failures,
                next: Some((now + QUIET, 1)),
            };
        }
        self.next.filter(|(due, _)| *due <= now).map(|(_, most)| most)
    }

    /// So many of them did wait.
    fn found(&mut self, found: usize) {
        self.next = self
            .next
            .filter(|_| found > 0)
            .map(|(due, most)| (due, most.saturating_mul(2).min(MOST_AT_ONCE)));
    }
}

/// Works until `shutdown`.
pub(crate) async fn run(worker: Arc<Worker>, shutdown: CancellationToken) {
    // Lanes that have resumed and whose jobs could not be told so yet.
    let mut owed: Vec<Lane> = Vec::new();
    let mut starts = [SlowStart::default(); CALLING.len()];
    while !shutdown.is_cancelled() {
        owed.extend(worker.calls.breakers().take_resumed());
        match look(&worker, &owed, &mut starts).await {
            Ok(()) => owed.clear(),
            Err(error) => {
                tracing::debug!(error = %chain(&error), "waiting jobs could not be brought forward");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(
    worker: &Worker,
    resumed: &[Lane],
    starts: &mut [SlowStart; CALLING.len()],
) -> Result<(), DbError> {
    let breakers = worker.calls.breakers();
    let now = worker.clock.now();
    let mut brought = 0;
    for ((queue, failures), start) in CALLING.into_iter().zip(worker.failed_alone.read()).zip(starts) {
        let lane = Lane::of(queue);
        let all = Forward::all(queue, &WaitsFor::STRIPE);
        let alone = start.most(failures, Instant::now());
        let forward = if resumed.contains(&lane) {
            all
        } else if breakers.awaits_probe(lane, now) {
            Forward { most: 1, ..all }
        } else if let Some(most) = alone.filter(|_| !breakers.is_paused(lane)) {
            let attempts = EARLY_ATTEMPTS;
            Forward {
                most,
                attempts,
                ..all
            }
        } else {
            continue;
        };
        let found = jobs::bring_forward(&mut *worker.db.conn().await?, forward, now).await?;
        start.found(found);
        brought += found;
    }
    if brought > 0 {
        worker.dispatcher.wake();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_failed_alone_are_tried_when_it_is_quiet_and_then_more_and_more() {
        let mut start = SlowStart::default();
        let at = Instant::now();
        assert_eq!(start.most(0, at), None, "nothing failed");
        assert_eq!(start.most(1, at), None, "one has just failed");
        assert_eq!(start.most(1, at + QUIET / 2), None);
        assert_eq!(start.most(1, at + QUIET), Some(1));
        start.found(1);
        assert_eq!(start.most(1, at + QUIET), Some(2));
        start.found(2);
        assert_eq!(start.most(2, at + QUIET), None, "another has failed");
        assert_eq!(start.most(2, at + QUIET * 2), Some(1));
        start.found(0);
        assert_eq!(start.most(2, at + QUIET * 9), None, "none waits");
    }

    #[test]
    fn never_more_than_a_batch_is_tried_at_once() {
        let mut start = SlowStart::default();
        let at = Instant::now();
        let _ = start.most(1, at);
        for _ in 0..80 {
            start.found(1);
        }
        assert_eq!(start.most(1, at + QUIET), Some(MOST_AT_ONCE));
    }
}
