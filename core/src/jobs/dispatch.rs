//! What the dispatcher asks of the table: which jobs to hand to Redis now, and which Redis has lost.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Integer, Interval, Text, Timestamptz};
use diesel_async::RunQueryDsl;

use super::claim::interval;
use super::{QueueName, WaitsFor};
use crate::db::{Db, DbError, PgConn, sql};
use crate::ids::JobId;

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct QueueRow {
    #[diesel(sql_type = Text)]
    queue: String,
}

/// The queues that have jobs to hand over now: one look for all of them.
///
/// # Errors
/// When the database cannot be reached.
pub async fn queues_due(db: &Db, now: DateTime<Utc>) -> Result<Vec<QueueName>, DbError> {
    let rows: Vec<QueueRow> = sql("SELECT DISTINCT queue FROM jobs
         WHERE handed_over_at IS NULL AND parked_at IS NULL AND run_at <= $1")
    .bind::<Timestamptz, _>(now)
    .load(&mut db.conn().await?)
    .await?;
    Ok(rows.iter().filter_map(|row| row.queue.parse().ok()).collect())
}

/// Takes up to `limit` jobs that are due and not handed over, marks them as handed over and returns them in the order of their
/// acceptance. Selected by their state, never by a cursor: ids are not committed in their order.
///
/// # Errors
/// When the database cannot be reached.
pub async fn take_due(
    db: &Db,
    queue: QueueName,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<JobId>, DbError> {
    let mut rows: Vec<IdRow> = sql("WITH due AS (SELECT id FROM jobs
                      WHERE queue = $1 AND handed_over_at IS NULL AND parked_at IS NULL AND run_at <= $2
                      ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
         UPDATE jobs SET handed_over_at = clock_timestamp() FROM due WHERE jobs.id = due.id RETURNING jobs.id")
    .bind::<Text, _>(queue.as_str())
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(limit)
    .load(&mut db.conn().await?)
    .await?;
    rows.sort_unstable_by_key(|row| row.id);
    Ok(rows.into_iter().map(|row| JobId(row.id)).collect())
}

/// Jobs that are tried before their time.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'a> {
    /// Whose they are.
    pub queue: QueueName,
    /// What they wait for: any of these.
    pub waits_for: &'a [WaitsFor],
    /// How many: those whose time comes first. A job that was tried and failed has a later time, so the next is another one.
    pub most: i64,
    /// The most counted attempts a job may have made: those that fail again and again keep their back-off.
    pub attempts: i32,
}

impl<'a> Forward<'a> {
    /// Every job of `queue` that waits for one of these.
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

/// Has waiting jobs tried now; gives how many.
///
/// # Errors
/// When the database cannot be reached.
pub async fn bring_forward(
    conn: &mut PgConn,
    forward: Forward<'_>,
    now: DateTime<Utc>,
) -> Result<usize, DbError> {
    Ok(sql("WITH waiting AS (SELECT id FROM jobs
                      WHERE queue = $1 AND parked_at IS NULL AND lease_until IS NULL AND run_at > $2 AND waits_for = ANY($3)
                        AND attempts <= $5
                      ORDER BY run_at, id LIMIT $4 FOR UPDATE SKIP LOCKED)
         UPDATE jobs SET run_at = $2, handed_over_at = NULL FROM waiting WHERE jobs.id = waiting.id")
    .bind::<Text, _>(forward.queue.as_str())
    .bind::<Timestamptz, _>(now)
    .bind::<Array<Text>, _>(forward.waits_for)
    .bind::<BigInt, _>(forward.most)
    .bind::<Integer, _>(forward.attempts)
    .execute(conn)
    .await?)
}

/// Marks these jobs as not handed over, because Redis did not take them.
///
/// # Errors
/// When the database cannot be reached; the jobs are then found again by [`hand_over_anew`].
pub async fn forget_hand_over(db: &Db, ids: &[JobId]) -> Result<usize, DbError> {
    Ok(
        sql("UPDATE jobs SET handed_over_at = NULL WHERE id = ANY($1) AND lease_until IS NULL")
            .bind::<Array<BigInt>, _>(ids.iter().map(|id| id.0).collect::<Vec<_>>())
            .execute(&mut db.conn().await?)
            .await?,
    )
}

/// Has the jobs of a queue handed over again that nobody holds: those that were handed over longer than `older_than` ago, because Redis
/// has forgotten them, and at once those whose lease ran out since, because their worker died with them: they do not wait in Redis any
/// more. Returns how many.
///
/// # Errors
/// When the database cannot be reached.
pub async fn hand_over_anew(db: &Db, queue: QueueName, older_than: Duration) -> Result<usize, DbError> {
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

/// How many jobs wait for this.
///
/// # Errors
/// When the database cannot be reached.
pub async fn count_waiting_for(db: &Db, what: WaitsFor) -> Result<i64, DbError> {
    let row: CountRow = sql("SELECT count(*) AS count FROM jobs WHERE waits_for = $1 AND parked_at IS NULL")
        .bind::<Text, _>(what)
        .get_result(&mut db.conn().await?)
        .await?;
    Ok(row.count)
}
