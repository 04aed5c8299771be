//! What a worker counts, and what it reads when its metrics are requested: how much work waits in the whole system.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::timeout;
use wallet_core::alarms;
use wallet_core::db::{Db, DbError};
use wallet_core::error_chain::chain;
use wallet_core::inbox::{EventEnd, EventState};
use wallet_core::jobs::{self, JobKind};
use wallet_core::money_out;
use wallet_core::settle::Outcome;
use wallet_core::stripe;

pub(crate) const JOBS: &str = "wallet_jobs_total";
pub(crate) const SETTLEMENTS: &str = "wallet_settlements_total";
const EVENTS: &str = "wallet_stripe_events_without_effect_total";
pub(crate) const KEY_REFUSED: &str = "wallet_stripe_key_refused";
/// The lock nodes that can be written to.
pub(crate) const LOCK_NODES_UP: &str = "wallet_lock_nodes_up";
const WAITING: &str = "wallet_queue_jobs";
const OLDEST: &str = "wallet_queue_oldest_due_seconds";
const PARKED: &str = "wallet_parked_jobs";
const ALARMS: &str = "wallet_open_alarms";
const STOPPED: &str = "wallet_money_out_stopped";

/// The longest that reading the backlog may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Describes each metric.
pub(crate) fn describe() {
    metrics::describe_counter!(JOBS, "Runs of jobs by kind and outcome");
    metrics::describe_counter!(SETTLEMENTS, "Steps that went through the settlement, by outcome");
    stripe::describe_metrics();
    metrics::describe_counter!(
        EVENTS,
        "Events that settled nothing, by what became of them: processed, ignored because they are none of ours, or parked"
    );
    metrics::describe_gauge!(KEY_REFUSED, "1 while Stripe refuses this program's key");
    metrics::describe_gauge!(
        LOCK_NODES_UP,
        "Lock nodes that this program can write to, as far as it knows"
    );
    metrics::describe_gauge!(WAITING, "Jobs that are not parked, by queue, of the whole system");
    metrics::describe_gauge!(
        OLDEST,
        metrics::Unit::Seconds,
        "How long ago the oldest job that is not parked was due for the first time, by queue, of the whole system"
    );
    metrics::describe_gauge!(
        PARKED,
        "Jobs that wait for an operator, by queue, of the whole system"
    );
    metrics::describe_gauge!(STOPPED, "1 while no money goes out, for the whole system");
    metrics::describe_gauge!(ALARMS, "Alarms that nobody has closed, of the whole system");
}

/// Counts the end of a job's run.
pub(crate) fn count_job(kind: Option<JobKind>, outcome: &'static str) {
    let kind = kind.map_or("unknown", JobKind::as_str);
    metrics::counter!(JOBS, "kind" => kind, "outcome" => outcome).increment(1);
}

/// Counts an event that settled nothing.
pub(crate) fn count_event(end: EventEnd) {
    metrics::counter!(EVENTS, "outcome" => EventState::from(end).as_str()).increment(1);
}

/// Counts what a settlement did.
pub(crate) fn count_settled(outcomes: &[Outcome]) {
    for outcome in outcomes {
        let outcome = match outcome {
            Outcome::Applied(_) => "applied",
            Outcome::AlreadyApplied => "already_applied",
            Outcome::StaleFence => "stale_fence",
            Outcome::Contradiction(_) => "contradiction",
            Outcome::Overtaken => "overtaken",
            Outcome::Refused(_) => "refused",
            Outcome::ForeignObject(_) => "foreign_object",
            Outcome::UnknownTransaction => "unknown_transaction",
            Outcome::Held => "held",
        };
        metrics::counter!(SETTLEMENTS, "outcome" => outcome).increment(1);
    }
}

/// Reads how much work waits, right before the metrics are rendered; what cannot be read keeps its last value.
pub(crate) async fn look_up_backlog(db: &Db, now: DateTime<Utc>) {
    match timeout(PATIENCE, look_up(db, now)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error = %chain(&error), "the backlog could not be looked up"),
        Err(_) => tracing::debug!("the backlog could not be looked up in time"),
    }
}

async fn look_up(db: &Db, now: DateTime<Utc>) -> Result<(), DbError> {
    for backlog in jobs::backlog(db, now).await? {
        let queue = backlog.queue.as_str();
        metrics::gauge!(WAITING, "queue" => queue).set(whole(backlog.waiting));
        metrics::gauge!(PARKED, "queue" => queue).set(whole(backlog.parked));
        metrics::gauge!(OLDEST, "queue" => queue).set(backlog.oldest_due.unwrap_or_default());
    }
    metrics::gauge!(STOPPED).set(u8::from(!money_out::state(db).await?.is_open));
    metrics::gauge!(ALARMS).set(whole(alarms::count_open(db).await?));
    Ok(())
}

fn whole(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
