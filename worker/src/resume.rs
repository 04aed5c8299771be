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
    // Lanes that have resumed and whose jobs could not be told so yet.
    let mut owed: Vec<Lane> = Vec::new();
    while !shutdown.is_cancelled() {
        owed.extend(worker.calls.breakers().take_resumed());
        match look(&worker, &owed).await {
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

async fn look(worker: &Worker, resumed: &[Lane]) -> Result<(), DbError> {
    let breakers = worker.calls.breakers();
    let now = worker.clock.now();
    let queues = QueueName::ALL
        .into_iter()
        .filter(|queue| *queue != QueueName::Transfers);
    let wanted: Vec<(QueueName, i64)> = queues
        .filter_map(|queue| {
            let lane = lane_of(queue);
            if resumed.contains(&lane) {
                Some((queue, i64::MAX))
            } else {
                breakers.awaits_probe(lane, now).then_some((queue, 1))
            }
        })
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let conn = &mut worker.db.conn().await?;
    let mut brought = 0;
    for (queue, most) in wanted {
        brought += jobs::bring_forward(conn, queue, &REASONS, most, now).await?;
    }
    if brought > 0 {
        worker.dispatcher.wake();
    }
    Ok(())
}
