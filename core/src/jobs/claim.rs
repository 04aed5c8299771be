//! Claiming a job: the fence and the lease.
//!
//! A claim is one statement, committed before any work. It raises the fence, so that the previous holder of the job can no longer
//! write; it counts the attempt before the work starts, so that a crash is counted too. Leases run by PostgreSQL's clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Int4, Interval, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use super::JobKind;
use crate::db::{Db, DbError, Only, PgConn, sql};
use crate::ids::{JobId, TransactionId, WalletId};

/// How long a claim lasts without a renewal.
pub const LEASE: Duration = Duration::from_secs(15);

/// How often a claim is renewed while its job runs.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);

/// The right to write the effect of a job; void as soon as another worker has claimed the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// The fence that this claim raised.
    pub fence: i64,
}

/// A job that this worker may do now.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// The right to write the job's effect.
    pub claim: Claim,
    /// What to do, or `None` if the kind belongs to a newer version.
    pub kind: Option<JobKind>,
    /// The transaction that the job is about.
    pub transaction: Option<TransactionId>,
    /// The wallets to lock before the posting.
    pub wallets: Vec<WalletId>,
    /// The job's payload: ids and flags, and the progress that was recorded.
    pub payload: Value,
    /// Starts that count against the budget, this one included.
    pub attempts: i32,
    /// Starts since the last orderly end, this one included: more than one after a crash.
    pub starts: i32,
    /// What went wrong the last time, if the job was tried before.
    pub last_error: Option<String>,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct ClaimRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    fence: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    transaction_id: Option<Uuid>,
    #[diesel(sql_type = Array<SqlUuid>)]
    wallet_ids: Vec<Uuid>,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
    #[diesel(sql_type = Int4)]
    attempts: i32,
    #[diesel(sql_type = Int4)]
    starts: i32,
    #[diesel(sql_type = Nullable<Text>)]
    last_error: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

/// Claims those of `ids` that are due and free, in the order of their acceptance; the others are held by a worker, done, parked or not due.
///
/// # Errors
/// When the database cannot be reached.
pub async fn claim(
    db: &Db,
    ids: &[JobId],
    owner: &str,
    now: DateTime<Utc>,
) -> Result<Vec<ClaimedJob>, DbError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let mut rows: Vec<ClaimRow> = sql(
        "WITH due AS (SELECT id FROM jobs WHERE id = ANY($1) AND parked_at IS NULL AND run_at <= $2
                         AND (lease_until IS NULL OR lease_until < clock_timestamp())
                       ORDER BY id FOR UPDATE SKIP LOCKED)
         UPDATE jobs SET fence = fence + 1, attempts = attempts + 1, starts = starts + 1,
                         lease_owner = $3, lease_until = clock_timestamp() + $4
           FROM due WHERE jobs.id = due.id
         RETURNING jobs.id, fence, kind, transaction_id, wallet_ids, payload, attempts, starts, last_error, created_at",
    )
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Timestamptz, _>(now)
    .bind::<Text, _>(owner)
    .bind::<Interval, _>(interval(LEASE))
    .load(&mut db.conn().await?)
    .await?;
    rows.sort_unstable_by_key(|row| row.id);
    Ok(rows
        .into_iter()
        .map(|row| ClaimedJob {
            claim: Claim {
                job: JobId(row.id),
                fence: row.fence,
            },
            kind: row.kind.parse().ok(),
            transaction: row.transaction_id.map(TransactionId::from_uuid),
            wallets: row.wallet_ids.into_iter().map(WalletId::from_uuid).collect(),
            payload: row.payload,
            attempts: row.attempts,
            starts: row.starts,
            last_error: row.last_error,
            created_at: row.created_at,
        })
        .collect())
}

/// Renews these claims and returns the jobs that were renewed; a missing one is being settled, was taken over or has ended.
///
/// # Errors
/// When the database cannot be reached.
pub async fn renew(db: &Db, claims: &[Claim]) -> Result<Vec<JobId>, DbError> {
    // A job that is being settled at this moment is locked and needs no renewal. One that was released keeps its fence but has no
    // lease: a renewal would keep other workers from it.
    let rows: Vec<Only<BigInt, i64>> = sql(
        "WITH held AS (SELECT jobs.id FROM jobs JOIN unnest($1, $2) AS given (id, fence) USING (id, fence)
                        WHERE jobs.lease_until IS NOT NULL ORDER BY jobs.id FOR UPDATE OF jobs SKIP LOCKED)
         UPDATE jobs SET lease_until = clock_timestamp() + $3 FROM held WHERE jobs.id = held.id RETURNING jobs.id",
    )
    .bind::<Array<BigInt>, _>(claims.iter().map(|claim| claim.job.0).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(claims.iter().map(|claim| claim.fence).collect::<Vec<_>>())
    .bind::<Interval, _>(interval(LEASE))
    .load(&mut db.conn().await?)
    .await?;
    Ok(rows.into_iter().map(|row| JobId(row.value)).collect())
}

/// Extends a claim to a whole [`LEASE`] from now, in the caller's transaction, and locks its job until that transaction ends. Returns
/// whether the claim was still valid.
///
/// # Errors
/// When the database cannot be reached.
pub async fn extend(conn: &mut PgConn, claim: Claim) -> Result<bool, DbError> {
    let extended = sql(
        "UPDATE jobs SET lease_until = GREATEST(lease_until, clock_timestamp() + $3)
          WHERE id = $1 AND fence = $2 AND parked_at IS NULL AND lease_until IS NOT NULL",
    )
    .bind::<BigInt, _>(claim.job.0)
    .bind::<BigInt, _>(claim.fence)
    .bind::<Interval, _>(interval(LEASE))
    .execute(conn)
    .await?;
    Ok(extended == 1)
}

pub(super) fn interval(duration: Duration) -> diesel::pg::data_types::PgInterval {
    diesel::pg::data_types::PgInterval::from_microseconds(
        i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    )
}
