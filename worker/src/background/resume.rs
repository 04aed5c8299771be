//! Expedites jobs that wait for Stripe as soon as Stripe answers again, before their back-off ends.
//!
//! While a lane is paused, its jobs wait in the table, each until its own time. When the pause is over, one of them is
//! tried, the one that is due first: it is the breaker's probe. Once Stripe has answered, all others are expedited at once.
//!
//! A call that fails alone pauses nothing: its job waits by itself. When no call of its lane has failed for a second,
//! one of these jobs is tried, then two, then four: see [`SlowStart`]. The next failure ends that for another second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wallet_core::db::DbError;
use wallet_core::error_chain::chain;
use wallet_core::jobs::{self, Expedite, WaitsFor};
use wallet_core::stripe::Lane;

use crate::failed_alone::CALLING;
use crate::worker::Worker;

const EVERY: Duration = Duration::from_millis(250);

/// How long no call of a lane may have failed before jobs that failed alone are tried.
const QUIET: Duration = Duration::from_secs(1);

/// The maximum number of jobs that failed alone and are tried at once.
const MOST_AT_ONCE: i64 = 64;

/// The number of attempts after which a job that failed alone is left to its back-off: then Stripe is not the cause.
const EARLY_ATTEMPTS: i32 = 8;

/// How a queue's jobs that failed alone are tried: none until calls stop failing, then increasingly many.
#[derive(Debug, Default, Clone, Copy)]
struct SlowStart {
    failures: u32,
    /// When jobs may be tried and how many; `None` while nothing waits.
    next: Option<(Instant, i64)>,
}

impl SlowStart {
    /// Returns how many jobs may be tried now, if any.
    fn most(&mut self, failures: u32, now: Instant) -> Option<i64> {
        if self.failures != failures {
            *self = Self {
                failures,
                next: Some((now + QUIET, 1)),
            };
        }
        self.next.filter(|(due, _)| *due <= now).map(|(_, most)| most)
    }

    /// Records how many jobs were in fact waiting.
    fn record(&mut self, waiting: usize) {
        self.next = self
            .next
            .filter(|_| waiting > 0)
            .map(|(due, most)| (due, most.saturating_mul(2).min(MOST_AT_ONCE)));
    }
}

/// Works until `shutdown`.
pub(crate) async fn run(worker: Arc<Worker>, shutdown: CancellationToken) {
    // The lanes that have resumed and whose jobs could not be expedited yet.
    let mut owed: Vec<Lane> = Vec::new();
    let mut starts = [SlowStart::default(); CALLING.len()];
    while !shutdown.is_cancelled() {
        owed.extend(worker.calls.breakers().take_resumed());
        match round(&worker, &owed, &mut starts).await {
            Ok(()) => owed.clear(),
            Err(error) => {
                tracing::debug!(error = %chain(&error), "waiting jobs could not be expedited");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn round(
    worker: &Worker,
    resumed: &[Lane],
    starts: &mut [SlowStart; CALLING.len()],
) -> Result<(), DbError> {
    let breakers = worker.calls.breakers();
    let now = worker.clock.now();
    let mut expedited = 0;
    for ((queue, failures), start) in CALLING.into_iter().zip(worker.failed_alone.read()).zip(starts) {
        let lane = Lane::of(queue);
        let all = Expedite::all(queue, &WaitsFor::STRIPE);
        let alone = start.most(failures, Instant::now());
        let which = if resumed.contains(&lane) {
            all
        } else if breakers.awaits_probe(lane, now) {
            Expedite { most: 1, ..all }
        } else if let Some(most) = alone.filter(|_| !breakers.is_paused(lane)) {
            let attempts = EARLY_ATTEMPTS;
            Expedite {
                most,
                attempts,
                ..all
            }
        } else {
            continue;
        };
        let found = jobs::expedite(&mut *worker.db.conn().await?, which, now).await?;
        start.record(found);
        expedited += found;
    }
    if expedited > 0 {
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
        start.record(1);
        assert_eq!(start.most(1, at + QUIET), Some(2));
        start.record(2);
        assert_eq!(start.most(2, at + QUIET), None, "another has failed");
        assert_eq!(start.most(2, at + QUIET * 2), Some(1));
        start.record(0);
        assert_eq!(start.most(2, at + QUIET * 9), None, "none waits");
    }

    #[test]
    fn never_more_than_a_batch_is_tried_at_once() {
        let mut start = SlowStart::default();
        let at = Instant::now();
        let _ = start.most(1, at);
        for _ in 0..80 {
            start.record(1);
        }
        assert_eq!(start.most(1, at + QUIET), Some(MOST_AT_ONCE));
    }
}
