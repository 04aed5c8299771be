//! The dispatcher's queries on the table: which jobs to dispatch now, and which Redis has lost.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Integer, Interval, Text, Timestamptz};
use diesel_async::RunQueryDsl;

use super::claim::interval;
use super::{QueueName, WaitsFor};
use crate::db::{Db, DbError, Only, PgConn, sql};
use crate::ids::JobId;

/// Returns the queues that have jobs to dispatch now, in one query for all of them.
///
/// # Errors
/// When the database cannot be reached.
pub async fn queues_due(db: &Db, now: DateTime<Utc>) -> Result<Vec<QueueName>, DbError> {
    let rows: Vec<Only<Text, String>> = sql("SELECT DISTINCT queue FROM jobs
         WHERE handed_over_at IS NULL AND parked_at IS NULL AND run_at <= $1")
    .bind::<Timestamptz, _>(now)
    .load(&mut db.conn().await?)
    .await?;
    Ok(rows.iter().filter_map(|row| row.value.parse().ok()).collect())
}

/// Takes up to `limit` jobs that are due and not dispatched, marks them as dispatched and returns them in the order of their
/// acceptance. They are selected by their state, not by a cursor, because ids are not committed in order.
///
/// # Errors
/// When the database cannot be reached.
pub async fn take_due(
    db: &Db,
    queue: QueueName,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<JobId>, DbError> {
    let mut rows: Vec<Only<BigInt, i64>> = sql("WITH due AS (SELECT id FROM jobs
                      WHERE queue = $1 AND handed_over_at IS NULL AND parked_at IS NULL AND run_at <= $2
                      ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
         UPDATE jobs SET handed_over_at = clock_timestamp() FROM due WHERE jobs.id = due.id RETURNING jobs.id")
    .bind::<Text, _>(queue.as_str())
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(limit)
    .load(&mut db.conn().await?)
    .await?;
    rows.sort_unstable_by_key(|row| row.value);
    Ok(rows.into_iter().map(|row| JobId(row.value)).collect())
}

/// A selection of waiting jobs to try before their time.
#[derive(Debug, Clone, Copy)]
pub struct Expedite<'a> {
    /// The queue of the jobs.
    pub queue: QueueName,
    /// What the jobs wait for: any of these.
    pub waits_for: &'a [WaitsFor],
    /// The maximum number of jobs; those that are due first are taken. A job that fails again gets a later time, so that others follow.
    pub most: i64,
    /// The maximum number of counted attempts of a job, so that jobs that fail again and again keep their back-off.
    pub attempts: i32,
}

impl<'a> Expedite<'a> {
    /// Selects every job of `queue` that waits for one of these.
    #[must_use]
    pub const fn all(queue: QueueName, waits_for: &'a [WaitsFor]) -> Self {
        Self {
            queue,
            waits_for,
            most: i64::MAX,
            attempts: i32::MAX,
        }
    }
}

/// Makes waiting jobs due now. Returns how many.
///
/// # Errors
/// When the database cannot be reached.
pub async fn expedite(conn: &mut PgConn, which: Expedite<'_>, now: DateTime<Utc>) -> Result<usize, DbError> {
    Ok(sql("WITH waiting AS (SELECT id FROM jobs
                      WHERE queue = $1 AND parked_at IS NULL AND lease_until IS NULL AND run_at > $2
                        AND (waits_for = ANY($3) OR waits_for IS NULL AND last_error IS NOT NULL)
                        AND attempts <= $5
                      ORDER BY run_at, id LIMIT $4 FOR UPDATE SKIP LOCKED)
         UPDATE jobs SET run_at = $2, handed_over_at = NULL FROM waiting WHERE jobs.id = waiting.id")
    .bind::<Text, _>(which.queue.as_str())
    .bind::<Timestamptz, _>(now)
    .bind::<Array<Text>, _>(which.waits_for)
    .bind::<BigInt, _>(which.most)
    .bind::<Integer, _>(which.attempts)
    .execute(conn)
    .await?)
}

/// Marks these jobs as not dispatched, because Redis did not take them.
///
/// # Errors
/// When the database cannot be reached; the jobs are then found again by [`dispatch_again`].
pub async fn forget_dispatch(db: &Db, ids: &[JobId]) -> Result<usize, DbError> {
    Ok(
        sql("UPDATE jobs SET handed_over_at = NULL WHERE id = ANY($1) AND lease_until IS NULL")
            .bind::<Array<BigInt>, _>(ids.iter().map(|id| id.0).collect::<Vec<_>>())
            .execute(&mut db.conn().await?)
            .await?,
    )
}

/// Makes jobs of a queue that no worker holds due for dispatch again, up to 10,000 of them, and returns how many: those that were
/// dispatched longer than `older_than` ago, because Redis has lost them, and at once those whose lease ran out after that, because
/// their worker died and they no longer wait in Redis.
///
/// # Errors
/// When the database cannot be reached.
pub async fn dispatch_again(db: &Db, queue: QueueName, older_than: Duration) -> Result<usize, DbError> {
    Ok(sql("WITH lost AS (SELECT id FROM jobs
                       WHERE queue = $1 AND parked_at IS NULL AND (lease_until IS NULL OR lease_until < clock_timestamp())
                         AND (handed_over_at < lease_until OR handed_over_at < clock_timestamp() - $2)
                       ORDER BY id LIMIT 10000 FOR UPDATE SKIP LOCKED)
         UPDATE jobs SET handed_over_at = NULL FROM lost WHERE jobs.id = lost.id")
    .bind::<Text, _>(queue.as_str())
    .bind::<Interval, _>(interval(older_than))
    .execute(&mut db.conn().await?)
    .await?)
}

/// Returns how many jobs wait for `what`; those of the version before, which records no more than its `sentence`, count too.
///
/// # Errors
/// When the database cannot be reached.
pub async fn count_waiting_for(db: &Db, what: WaitsFor, sentence: &str) -> Result<i64, DbError> {
    let row: Only<BigInt, i64> = sql("SELECT count(*) AS count FROM jobs WHERE parked_at IS NULL
                AND (waits_for = $1 OR waits_for IS NULL AND last_error = $2)")
    .bind::<Text, _>(what)
    .bind::<Text, _>(sentence)
    .get_result(&mut db.conn().await?)
    .await?;
    Ok(row.value)
}
