//! How many jobs wait, and for how long: for monitoring.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;

use super::QueueName;
use crate::db::{Db, DbError, sql};

/// The jobs that wait in one queue, for all workers together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The queue.
    pub queue: QueueName,
    /// Jobs that are not parked, including those that are running and those that are not due yet.
    pub waiting: i64,
    /// Jobs that wait for an operator.
    pub parked: i64,
    /// How long ago the oldest job that is not parked was first due, no matter how often it has been tried since, what it waits for, and
    /// when its next try is; `None` if no job was due yet.
    pub oldest_due: Option<Duration>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    queue: String,
    #[diesel(sql_type = BigInt)]
    waiting: i64,
    #[diesel(sql_type = BigInt)]
    parked: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    oldest_due: Option<DateTime<Utc>>,
}

/// Returns the backlog of every queue, in the order of [`QueueName::ALL`].
///
/// # Errors
/// When the database cannot be reached.
pub async fn backlog(db: &Db, now: DateTime<Utc>) -> Result<Vec<Backlog>, DbError> {
    // `created_at` is when a job is first due (an operator's requeue sets it again); each try moves `run_at` on.
    let rows: Vec<Row> = sql("SELECT queue,
                count(*) FILTER (WHERE parked_at IS NULL) AS waiting,
                count(*) FILTER (WHERE parked_at IS NOT NULL) AS parked,
                min(created_at) FILTER (WHERE parked_at IS NULL AND created_at <= $1) AS oldest_due
           FROM jobs GROUP BY queue")
    .bind::<Timestamptz, _>(now)
    .load(&mut db.conn().await?)
    .await?;
    let of = |queue: QueueName| {
        let row = rows.iter().find(|row| row.queue == queue.as_str());
        Backlog {
            queue,
            waiting: row.map_or(0, |row| row.waiting),
            parked: row.map_or(0, |row| row.parked),
            oldest_due: row
                .and_then(|row| row.oldest_due)
                .map(|due| (now - due).to_std().unwrap_or_default()),
        }
    };
    Ok(QueueName::ALL.iter().copied().map(of).collect())
}
