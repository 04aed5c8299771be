//! What keeps the house in order: questions about what is quiet, partitions ahead of time, jobs that end their workers, alarms about both.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wallet_core::alarms;
use wallet_core::db::{self, DbError};
use wallet_core::janitor;
use wallet_core::jobs;
use wallet_core::telemetry::chain;

use crate::worker::Worker;

const EVERY: Duration = Duration::from_secs(5);
/// Partitions change by the month; looking every hour is plenty.
const ROUNDS_BETWEEN_PARTITIONS: u32 = 720;
/// Fewer whole months ahead than this raise an alarm.
const LEAST_MONTHS: i64 = 2;

/// Works until `shutdown`; `asks`: whether this worker serves the questions to Stripe.
pub(crate) async fn run(worker: Arc<Worker>, asks: bool, shutdown: CancellationToken) {
    let mut round = 0_u32;
    while !shutdown.is_cancelled() {
        if let Err(error) = tidy(&worker, asks, round.is_multiple_of(ROUNDS_BETWEEN_PARTITIONS)).await {
            tracing::warn!(error = %chain(&error), "housekeeping failed, trying again");
        }
        round = round.wrapping_add(1);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn tidy(worker: &Worker, asks: bool, partitions: bool) -> Result<(), DbError> {
    let now = worker.clock.now();
    // Who does not serve these questions does not queue them.
    let queued = if asks {
        janitor::ask_about_quiet(&worker.db, now).await? + janitor::read_events(&worker.db, now).await?
    } else {
        0
    };
    if queued > 0 {
        tracing::debug!(queued, "questions to Stripe queued");
        worker.dispatcher.wake();
    }
    for job in jobs::park_crashed(&worker.db, now, Duration::ZERO).await? {
        tracing::error!(%job, "parked a job that was started several times without an end");
    }
    if !partitions {
        return Ok(());
    }
    let made = db::ensure_partitions(&worker.db, now).await?;
    if made > 0 {
        tracing::info!(made, "made partitions for the months ahead");
    }
    let months = db::months_ahead(&worker.db, now).await?;
    if months < LEAST_MONTHS {
        let message = format!("partitions exist for only {months} months ahead; run wallet-worker migrate");
        let conn = &mut worker.db.conn().await?;
        alarms::raise(conn, "partitions_missing", "wallet_transactions", &message, now).await?;
    }
    Ok(())
}
