//! How a job ends or is put off without its effect. [`crate::settle`] writes the effect and deletes the job with it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use super::claim::interval;
use super::{Claim, JobKind, WaitsFor};
use crate::alarms::{self, AlarmKind};
use crate::db::{Db, DbError, Only, PgConn, in_transaction, sql};
use crate::ids::{JobId, TransactionId};

/// A job that was started this often without an orderly end is assumed to kill its workers, and is parked.
pub const MAX_STARTS: i32 = 3;

/// When to try a job again that was not finished.
#[derive(Debug, Clone, Copy)]
pub struct Reschedule {
    /// The claim to give up.
    pub claim: Claim,
    /// The job is not tried before this instant.
    pub run_at: DateTime<Utc>,
}

/// Releases jobs (lock busy, Stripe unavailable, drain): no attempt is used up. Void claims are ignored.
///
/// # Errors
/// When the database cannot be reached.
pub async fn release(
    db: &Db,
    jobs: &[Reschedule],
    waits_for: WaitsFor,
    reason: &str,
) -> Result<usize, DbError> {
    reschedule(db, jobs, (waits_for, reason), true).await
}

/// Reschedules a job after a failure: the attempt counts. Returns whether the claim was still valid.
///
/// # Errors
/// When the database cannot be reached.
pub async fn retry_later(
    db: &Db,
    again: Reschedule,
    waits_for: WaitsFor,
    error: &str,
) -> Result<bool, DbError> {
    Ok(reschedule(db, &[again], (waits_for, error), false).await? == 1)
}

/// Records how far a job has come, for the next run of it, and sets its attempts to 1: progress uses up no attempt but the current one.
/// Returns whether the claim was still valid.
///
/// # Errors
/// When the database cannot be reached.
pub async fn record_progress(conn: &mut PgConn, claim: Claim, payload: Value) -> Result<bool, DbError> {
    keep(conn, claim, payload, Some(1)).await
}

/// Records what the next run of a job needs to know; the attempts stay as they are. Returns whether the claim was still valid.
///
/// # Errors
/// When the database cannot be reached.
pub async fn record_payload(conn: &mut PgConn, claim: Claim, payload: Value) -> Result<bool, DbError> {
    keep(conn, claim, payload, None).await
}

async fn keep(
    conn: &mut PgConn,
    claim: Claim,
    payload: Value,
    attempts: Option<i32>,
) -> Result<bool, DbError> {
    let kept =
        sql("UPDATE jobs SET payload = $3, attempts = COALESCE($4, attempts) WHERE id = $1 AND fence = $2")
            .bind::<BigInt, _>(claim.job.0)
            .bind::<BigInt, _>(claim.fence)
            .bind::<Jsonb, _>(payload)
            .bind::<Nullable<Integer>, _>(attempts)
            .execute(conn)
            .await?;
    Ok(kept == 1)
}

/// Deletes the jobs of transactions, all or those of one kind, because nothing is left to do or an operator has decided what they wait for. A
/// worker that has claimed one finds its claim void.
///
/// # Errors
/// When the database cannot be reached.
pub async fn drop_of(
    conn: &mut PgConn,
    transactions: &[TransactionId],
    kind: Option<JobKind>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if transactions.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = transactions.iter().map(|id| id.uuid()).collect();
    let ended: Vec<EndedRow> = sql(
        "DELETE FROM jobs WHERE transaction_id = ANY($1) AND ($2 IS NULL OR kind = $2)
         RETURNING id, parked_at IS NOT NULL AS was_parked",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Nullable<Text>, _>(kind.map(JobKind::as_str))
    .load(conn)
    .await?;
    close_alarms(conn, &ended, now).await
}

/// Deletes the job with a unique key if it is parked, and closes its alarm: another job takes its place.
///
/// # Errors
/// When the database cannot be reached.
pub async fn drop_parked(conn: &mut PgConn, unique_key: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    let ended: Vec<EndedRow> = sql(
        "DELETE FROM jobs WHERE unique_key = $1 AND parked_at IS NOT NULL RETURNING id, true AS was_parked",
    )
    .bind::<Text, _>(unique_key)
    .load(conn)
    .await?;
    close_alarms(conn, &ended, now).await
}

/// Closes the alarms of deleted jobs that were parked: they no longer need an operator.
async fn close_alarms(conn: &mut PgConn, ended: &[EndedRow], now: DateTime<Utc>) -> Result<(), DbError> {
    let parked = ended.iter().filter(|row| row.was_parked);
    let subjects: Vec<String> = parked.map(|row| row.id.to_string()).collect();
    alarms::close_all(conn, AlarmKind::JobParked, &subjects, now).await
}

/// Returns whether no worker holds, or may still hold, a job of this kind of the transaction. If so, no worker starts one before the end of
/// the database transaction.
///
/// # Errors
/// When the database cannot be reached.
pub async fn lock_at_rest(
    conn: &mut PgConn,
    transaction: TransactionId,
    kind: JobKind,
) -> Result<bool, DbError> {
    let leases: Vec<Only<Nullable<Timestamptz>, Option<DateTime<Utc>>>> =
        sql("SELECT lease_until FROM jobs WHERE transaction_id = $1 AND kind = $2 FOR UPDATE")
            .bind::<SqlUuid, _>(transaction.uuid())
            .bind::<Text, _>(kind.as_str())
            .load(conn)
            .await?;
    Ok(leases.iter().all(|lease| lease.value.is_none()))
}

async fn reschedule(
    db: &Db,
    jobs: &[Reschedule],
    (waits_for, reason): (WaitsFor, &str),
    return_attempt: bool,
) -> Result<usize, DbError> {
    // A released job keeps its fence but has no lease. So writing the same a second time, because the answer to the first was lost,
    // changes nothing.
    Ok(sql(
        "WITH held AS (SELECT jobs.id, given.run_at
                         FROM jobs JOIN unnest($1, $2, $3) AS given (id, fence, run_at) USING (id, fence)
                        WHERE jobs.lease_until IS NOT NULL ORDER BY jobs.id FOR UPDATE OF jobs)
         UPDATE jobs SET run_at = held.run_at, handed_over_at = NULL, lease_until = NULL, lease_owner = NULL, starts = 0,
                         attempts = attempts - CASE WHEN $5 THEN 1 ELSE 0 END, last_error = $4, waits_for = $6
           FROM held WHERE jobs.id = held.id",
    )
    .bind::<Array<BigInt>, _>(jobs.iter().map(|job| job.claim.job.0).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(jobs.iter().map(|job| job.claim.fence).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(jobs.iter().map(|job| job.run_at).collect::<Vec<_>>())
    .bind::<Text, _>(reason)
    .bind::<Bool, _>(return_attempt)
    .bind::<Text, _>(waits_for)
    .execute(&mut db.conn().await?)
    .await?)
}

/// Parks a job with an alarm: it waits for an operator, and its transaction stays as it is, with the funds held.
///
/// # Errors
/// When the database cannot be reached.
pub async fn park(db: &Db, claim: Claim, now: DateTime<Utc>, reason: &str) -> Result<bool, DbError> {
    in_transaction!(db, conn => {
        let parked = sql("UPDATE jobs SET parked_at = $3, lease_until = NULL, lease_owner = NULL, last_error = $4, waits_for = $5
                           WHERE id = $1 AND fence = $2 AND parked_at IS NULL")
        .bind::<BigInt, _>(claim.job.0)
        .bind::<BigInt, _>(claim.fence)
        .bind::<Timestamptz, _>(now)
        .bind::<Text, _>(reason)
        .bind::<Text, _>(WaitsFor::Person)
        .execute(conn)
        .await?;
        if parked == 1 {
            alarms::raise(conn, AlarmKind::JobParked, &claim.job.to_string(), reason, now).await?;
        }
        Ok::<bool, DbError>(parked == 1)
    })
}

#[derive(QueryableByName)]
struct EndedRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Bool)]
    was_parked: bool,
}

/// Parks jobs with [`MAX_STARTS`] or more starts without an orderly end whose lease ended more than `grace` ago.
///
/// # Errors
/// When the database cannot be reached.
pub async fn park_crashed(db: &Db, now: DateTime<Utc>, grace: Duration) -> Result<Vec<JobId>, DbError> {
    in_transaction!(db, conn => {
        let rows: Vec<Only<BigInt, i64>> = sql("UPDATE jobs SET parked_at = $1, lease_until = NULL, lease_owner = NULL, waits_for = $4,
                             last_error = 'started ' || starts || ' times without an end; it may be what ends its workers'
                       WHERE parked_at IS NULL AND starts >= $2 AND lease_until < clock_timestamp() - $3 RETURNING id")
        .bind::<Timestamptz, _>(now)
        .bind::<diesel::sql_types::Int4, _>(MAX_STARTS)
        .bind::<diesel::sql_types::Interval, _>(interval(grace))
        .bind::<Text, _>(WaitsFor::Person)
        .load(conn)
        .await?;
        for row in &rows {
            let message = "a job was started several times without an end";
            alarms::raise(conn, AlarmKind::JobParked, &row.value.to_string(), message, now).await?;
        }
        Ok::<_, DbError>(rows.into_iter().map(|row| JobId(row.value)).collect())
    })
}

/// Deletes jobs that have nothing (more) to do, in the caller's transaction. Returns how many claims were still valid. If a job was parked
/// in the meantime because it took so long, its alarm is closed.
///
/// # Errors
/// When the database cannot be reached.
pub async fn finish(conn: &mut PgConn, claims: &[Claim], now: DateTime<Utc>) -> Result<usize, DbError> {
    let ended: Vec<EndedRow> = sql("DELETE FROM jobs USING unnest($1, $2) AS held (id, fence)
          WHERE jobs.id = held.id AND jobs.fence = held.fence RETURNING jobs.id, jobs.parked_at IS NOT NULL AS was_parked")
    .bind::<Array<BigInt>, _>(claims.iter().map(|claim| claim.job.0).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(claims.iter().map(|claim| claim.fence).collect::<Vec<_>>())
    .load(conn)
    .await?;
    close_alarms(conn, &ended, now).await?;
    Ok(ended.len())
}
