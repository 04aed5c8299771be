//! Queueing a job.

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use uuid::Uuid;

use super::JobKind;
use crate::db::{DbError, PgConn, sql};
use crate::ids::{JobId, TransactionId, WalletId};

/// A job to queue. Its payload carries ids only.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What to do.
    pub kind: JobKind,
    /// With which transaction.
    pub transaction: Option<TransactionId>,
    /// The wallets to lock before the posting.
    pub wallets: Vec<WalletId>,
    /// Versioned payload: `{"v": 1, …}`.
    pub payload: Value,
    /// At most one job of this key.
    pub unique_key: Option<String>,
    /// Not before this instant; its age counts from here.
    pub run_at: DateTime<Utc>,
}

impl NewJob {
    /// A job about a transaction, due at once.
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

#[derive(QueryableByName)]
struct NewId {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Queues a job, which a dispatcher hands over; `None` when one of the same unique key is queued already.
///
/// # Errors
/// When the database cannot be reached.
pub async fn insert(conn: &mut PgConn, job: &NewJob) -> Result<Option<JobId>, DbError> {
    insert_marked(conn, job, false).await
}

/// The same for a job that is marked as handed over when its id will be handed to Redis right after the commit.
pub(crate) async fn insert_marked(
    conn: &mut PgConn,
    job: &NewJob,
    is_marked: bool,
) -> Result<Option<JobId>, DbError> {
    let wallets: Vec<Uuid> = job.wallets.iter().map(|id| id.uuid()).collect();
    let rows: Vec<NewId> = sql(
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
    Ok(rows.into_iter().next().map(|row| JobId(row.id)))
}

/// Queues jobs by one statement; gives how many there are more, without those whose unique key is queued already.
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
