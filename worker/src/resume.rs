//! Lets the jobs of a paused lane go on as soon as Stripe answers again.
//!
//! While a lane is paused its jobs wait in the table, each until a time of its own. When the pause is over, the oldest of them is tried: it is
//! the breaker's probe. When Stripe has answered, all others go on at once.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wallet_core::db::DbError;
use wallet_core::jobs::{self, QueueName};
use wallet_core::stripe::{ErrorClass, Lane};
use wallet_core::telemetry::chain;

use crate::outcome::LANE_CLOSED;
use crate::worker::Worker;

const EVERY: Duration = Duration::from_millis(250);

/// What jobs say that wait for Stripe, and for nothing else.
const REASONS: [&str; 4] = [
    LANE_CLOSED,
    ErrorClass::Unknown.sentence(),
    ErrorClass::RateLimited.sentence(),
    ErrorClass::Unreachable.sentence(),
];

/// The lane of a queue's calls.
pub(crate) const fn lane_of(queue: QueueName) -> Lane {
    match queue {
        QueueName::Deposits => Lane::Deposits,
        QueueName::Withdrawals => Lane::Withdrawals,
        QueueName::Webhooks => Lane::Webhooks,
        // Transfers call nobody.
        QueueName::Maintenance | QueueName::Transfers => Lane::Maintenance,
    }
}

/// Works until `shutdown`.
pub(crate) async fn run(worker: Arc<Worker>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = look(&worker).await {
            tracing::debug!(error = %chain(&error), "waiting jobs could not be brought forward");
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(worker: &Worker) -> Result<(), DbError> {
    let breakers = worker.calls.breakers();
    let now = worker.clock.now();
    let resumed = breakers.take_resumed();
    let queues = QueueName::ALL
        .into_iter()
        .filter(|queue| *queue != QueueName::Transfers);
    let mut brought = 0;
    for queue in queues {
        let lane = lane_of(queue);
        if resumed.contains(&lane) {
            brought += jobs::bring_forward(&worker.db, queue, &REASONS, i64::MAX, now).await?;
        } else if breakers.awaits_probe(lane, now) {
            brought += jobs::bring_forward(&worker.db, queue, &REASONS, 1, now).await?;
        }
    }
    if brought > 0 {
        worker.dispatcher.wake();
    }
    Ok(())
}
