//! Housekeeping: queues requests to Stripe about quiet transactions, makes partitions ahead of time, parks
//! jobs that end their workers, drops old data, and raises alarms, also about missing keys.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wallet_core::accept::{self, AcceptError};
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::crypto::Covered;
use wallet_core::db::{self, DbError};
use wallet_core::debts;
use wallet_core::error_chain::chain;
use wallet_core::inbox;
use wallet_core::janitor;
use wallet_core::jobs;
use wallet_core::readiness::ReadinessError;

use super::key_alarms::KeyAlarms;
use crate::worker::Worker;

const EVERY: Duration = Duration::from_secs(5);
/// Partitions are monthly, so an hourly check is enough. After a failure it is repeated sooner.
const BETWEEN_PARTITIONS: Duration = Duration::from_secs(3_600);
const AFTER_FAILURE: Duration = Duration::from_secs(60);
/// Fewer whole months ahead than this raise an alarm.
const LEAST_MONTHS: i64 = 2;

/// Works until `shutdown`; `asks`: whether this worker serves the queue of requests to Stripe.
pub(crate) async fn run(worker: Arc<Worker>, asks: bool, shutdown: CancellationToken) {
    let mut partitions_due = Instant::now();
    let mut key_alarms = KeyAlarms::default();
    while !shutdown.is_cancelled() {
        if let Err(error) = tidy(&worker).await {
            tracing::warn!(error = %chain(&error), "housekeeping failed, trying again");
        }
        if asks && let Err(error) = ask_of_stripe(&worker).await {
            tracing::warn!(error = %chain(&error), "questions to Stripe could not be queued, trying again");
        }
        if let Err(error) = look_at_keys(&worker, &mut key_alarms).await {
            tracing::warn!(error = %chain(&error), "the keys could not be compared with the database, trying again");
        }
        if let Err(error) = keep_less(&worker).await {
            tracing::warn!(error = %chain(&error), "what is kept too long could not be dropped, trying again");
        }
        if partitions_due <= Instant::now() {
            let pause = match keep_partitions(&worker).await {
                Ok(()) => BETWEEN_PARTITIONS,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "partitions could not be made, trying again");
                    AFTER_FAILURE
                }
            };
            partitions_due = Instant::now() + pause;
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn tidy(worker: &Worker) -> Result<(), DbError> {
    let now = worker.clock.now();
    for job in jobs::park_crashed(&worker.db, now, Duration::ZERO).await? {
        tracing::error!(%job, "parked a job that was started several times without an end");
    }
    debts::raise_alarms(&worker.db, &worker.debt_alarms, now).await
}

/// Queues the requests to Stripe that are due. Workers that do not serve them do not queue them.
async fn ask_of_stripe(worker: &Worker) -> Result<(), DbError> {
    let now = worker.clock.now();
    let events = janitor::read_events(&worker.db, worker.call_budget, now).await?;
    let queued = events + janitor::poll_quiet(&worker.db, worker.call_budget, now).await?;
    if queued > 0 {
        tracing::debug!(queued, "questions to Stripe queued");
        worker.dispatcher.wake();
    }
    Ok(())
}

/// Raises alarms about keys that are needed and not configured here, and closes those about keys that are configured or no longer needed.
async fn look_at_keys(worker: &Worker, key_alarms: &mut KeyAlarms) -> Result<(), ReadinessError> {
    let missing = match worker.vault.covered().await? {
        Covered::Wholly => Vec::new(),
        Covered::Partly(missing) => missing,
        Covered::Not(needed) => vec![needed],
    };
    Ok(key_alarms.keep(worker, &missing).await?)
}

/// Drops data that is no longer needed, a bounded number of rows each time.
async fn keep_less(worker: &Worker) -> Result<(), AcceptError> {
    let bodies = inbox::drop_bodies(&worker.db, worker.clock.now()).await?;
    let digests = accept::key_bare_digests(&worker.db, &worker.vault).await?;
    if bodies + digests > 0 {
        tracing::info!(
            bodies,
            digests,
            "dropped bodies of old events, keyed digests of requests"
        );
    }
    Ok(())
}

async fn keep_partitions(worker: &Worker) -> Result<(), DbError> {
    let now = worker.clock.now();
    // The result is checked below: what counts is how many partitions exist, whether or not this succeeded.
    let made = db::ensure_partitions(&worker.db, now).await;
    let months = db::months_ahead(&worker.db, now).await?;
    let conn = &mut worker.db.conn().await?;
    if months < LEAST_MONTHS {
        let message = format!("partitions exist for only {months} months ahead; run wallet-worker migrate");
        alarms::raise(
            conn,
            AlarmKind::PartitionsMissing,
            "wallet_transactions",
            &message,
            now,
        )
        .await?;
    } else {
        alarms::close(conn, AlarmKind::PartitionsMissing, "wallet_transactions", now).await?;
    }
    let made = made?;
    if made > 0 {
        tracing::info!(made, "made partitions for the months ahead");
    }
    Ok(())
}
