//! Queueing a job.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use uuid::Uuid;

use super::JobKind;
use crate::db::{DbError, Only, PgConn, sql};
use crate::ids::{JobId, TransactionId, WalletId};

/// A job to queue. Its payload carries ids and flags only.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What to do.
    pub kind: JobKind,
    /// The transaction that the job is about.
    pub transaction: Option<TransactionId>,
    /// The wallets to lock before the posting.
    pub wallets: Vec<WalletId>,
    /// Versioned payload: `{"v": 1, …}`.
    pub payload: Value,
    /// The unique key: at most one job with it is queued.
    pub unique_key: Option<String>,
    /// The job is not run before this instant; its age counts from here.
    pub run_at: DateTime<Utc>,
}

impl NewJob {
    /// Creates a job about a transaction, due at once.
    #[must_use]
    pub fn for_transaction(
        kind: JobKind,
        transaction: TransactionId,
        wallets: Vec<WalletId>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            kind,
            transaction: Some(transaction),
            wallets,
            payload: json!({ "v": 1 }),
            unique_key: None,
            run_at: now,
        }
    }
}

/// Queues a job for a dispatcher. Returns `None` if a job with the same unique key is already queued.
///
/// # Errors
/// When the database cannot be reached.
pub async fn insert(conn: &mut PgConn, job: &NewJob) -> Result<Option<JobId>, DbError> {
    insert_marked(conn, job, false).await
}

/// Like [`insert`]; `is_marked` marks the job as dispatched, because its id goes to Redis right after the commit.
pub(crate) async fn insert_marked(
    conn: &mut PgConn,
    job: &NewJob,
    is_marked: bool,
) -> Result<Option<JobId>, DbError> {
    let wallets: Vec<Uuid> = job.wallets.iter().map(|id| id.uuid()).collect();
    let rows: Vec<Only<BigInt, i64>> = sql(
        "INSERT INTO jobs (queue, kind, transaction_id, wallet_ids, payload, unique_key, run_at, created_at, handed_over_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, CASE WHEN $8 THEN clock_timestamp() END)
         ON CONFLICT (unique_key) DO NOTHING RETURNING id",
    )
    .bind::<Text, _>(job.kind.queue().as_str())
    .bind::<Text, _>(job.kind.as_str())
    .bind::<Nullable<SqlUuid>, _>(job.transaction.map(TransactionId::uuid))
    .bind::<Array<SqlUuid>, _>(wallets)
    .bind::<Jsonb, _>(job.payload.clone())
    .bind::<Nullable<Text>, _>(job.unique_key.clone())
    .bind::<Timestamptz, _>(job.run_at)
    .bind::<Bool, _>(is_marked)
    .load(conn)
    .await?;
    Ok(rows.into_iter().next().map(|row| JobId(row.value)))
}

/// Queues jobs by one statement. Returns how many were added; jobs whose unique key is already queued are left out.
///
/// # Errors
/// When the database cannot be reached.
pub async fn insert_all(conn: &mut PgConn, jobs: &[NewJob]) -> Result<usize, DbError> {
    if jobs.is_empty() {
        return Ok(0);
    }
    let rows: Vec<Value> = jobs
        .iter()
        .map(|job| {
            json!({
                "queue": job.kind.queue().as_str(), "kind": job.kind.as_str(), "transaction_id": job.transaction.map(TransactionId::uuid),
                "wallet_ids": job.wallets.iter().map(|id| id.uuid()).collect::<Vec<_>>(), "payload": job.payload, "unique_key": job.unique_key,
                "run_at": job.run_at,
            })
        })
        .collect();
    Ok(sql(
        "INSERT INTO jobs (queue, kind, transaction_id, wallet_ids, payload, unique_key, run_at, created_at)
         SELECT queue, kind, transaction_id, wallet_ids, payload, unique_key, run_at, run_at
           FROM ROWS FROM (jsonb_to_recordset($1) AS (queue text, kind text, transaction_id uuid, wallet_ids uuid[], payload jsonb,
                                                      unique_key text, run_at timestamptz))
                WITH ORDINALITY AS n (queue, kind, transaction_id, wallet_ids, payload, unique_key, run_at, place)
          ORDER BY place
         ON CONFLICT (unique_key) DO NOTHING",
    )
    .bind::<Jsonb, _>(Value::Array(rows))
    .execute(conn)
    .await?)
}
