//! Parked jobs, for operators.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::json;
use uuid::Uuid;

use super::WaitsFor;
use crate::alarms::{self, AlarmKind};
use crate::audit::{self, Actor, AuditRecord};
use crate::db::schema::jobs;
use crate::db::{Db, DbError, in_transaction};
use crate::ids::{JobId, TransactionId, WalletId};
use crate::jobs::JobKind;

/// A job that waits for an operator.
#[derive(Debug, Clone)]
pub struct ParkedJob {
    /// The job's number.
    pub id: JobId,
    /// The job's kind.
    pub kind: String,
    /// The transaction that the job is about.
    pub transaction: Option<TransactionId>,
    /// Why it was parked.
    pub reason: String,
    /// When it was parked.
    pub parked_at: DateTime<Utc>,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
}

/// Returns every parked job, the longest parked first.
///
/// # Errors
/// When the database cannot be reached.
pub async fn list_parked(db: &Db) -> Result<Vec<ParkedJob>, DbError> {
    type Row = (
        i64,
        String,
        Option<Uuid>,
        Option<String>,
        Option<DateTime<Utc>>,
        DateTime<Utc>,
    );
    let rows: Vec<Row> = jobs::table
        .filter(jobs::parked_at.is_not_null())
        .order(jobs::parked_at.asc())
        .select((
            jobs::id,
            jobs::kind,
            jobs::transaction_id,
            jobs::last_error,
            jobs::parked_at,
            jobs::created_at,
        ))
        .load(&mut db.conn().await?)
        .await?;
    Ok(rows
        .into_iter()
        .map(
            |(id, kind, transaction, reason, parked_at, created_at)| ParkedJob {
                id: JobId(id),
                kind,
                transaction: transaction.map(TransactionId::from_uuid),
                reason: reason.unwrap_or_default(),
                parked_at: parked_at.unwrap_or(created_at),
                created_at,
            },
        )
        .collect())
}

/// The maximum number of parked jobs of one wallet that [`parked_of`] returns.
pub const MOST_OF_WALLET: usize = 100;

/// Returns the parked jobs of a wallet's transactions, oldest first, at most a hundred; call it again after these have been requeued. What
/// they hold stays held until then. Parked decisions of operators are left out: each is about facts that a person has found out.
///
/// # Errors
/// When the database cannot be reached.
pub async fn parked_of(db: &Db, wallet: WalletId) -> Result<Vec<JobId>, DbError> {
    let ids: Vec<i64> = jobs::table
        .filter(jobs::parked_at.is_not_null())
        .filter(jobs::wallet_ids.contains(vec![wallet.uuid()]))
        .filter(jobs::kind.ne_all(JobKind::DECISIONS.map(JobKind::as_str)))
        .order(jobs::id.asc())
        .limit(i64::try_from(MOST_OF_WALLET).unwrap_or(i64::MAX))
        .select(jobs::id)
        .load(&mut db.conn().await?)
        .await?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// Returns whether this job is parked; a job that has ended is not.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_parked(db: &Db, id: JobId) -> Result<bool, DbError> {
    let parked = jobs::table.find(id.0).filter(jobs::parked_at.is_not_null());
    Ok(diesel::select(diesel::dsl::exists(parked))
        .get_result(&mut db.conn().await?)
        .await?)
}

/// The job with a given unique key.
#[derive(Debug, Clone, Queryable)]
pub struct UniqueJob {
    /// The job's number.
    pub id: i64,
    /// The job's kind.
    pub kind: String,
    /// Since when it has waited for an operator, if it does.
    pub parked_at: Option<DateTime<Utc>>,
    /// What it waits for, or why it failed, if it was tried.
    pub last_error: Option<String>,
}

/// Returns the job with a unique key, if there is one.
///
/// # Errors
/// When the database cannot be reached.
pub async fn find_unique(db: &Db, unique_key: &str) -> Result<Option<UniqueJob>, DbError> {
    Ok(jobs::table
        .filter(jobs::unique_key.eq(unique_key))
        .select((jobs::id, jobs::kind, jobs::parked_at, jobs::last_error))
        .first(&mut db.conn().await?)
        .await
        .optional()?)
}

/// Puts a parked job back into its queue with a fresh budget, closes its alarm and records who did so and why. Returns false if it is not parked.
///
/// # Errors
/// When the database cannot be reached.
pub async fn requeue(
    db: &Db,
    id: JobId,
    actor: &Actor,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    in_transaction!(db, conn => {
        let back: Option<(String, Option<Uuid>, Vec<Uuid>)> =
            diesel::update(jobs::table.find(id.0).filter(jobs::parked_at.is_not_null()))
                .set((
                    jobs::parked_at.eq(None::<DateTime<Utc>>),
                    jobs::handed_over_at.eq(None::<DateTime<Utc>>),
                    jobs::run_at.eq(now),
                    // Some jobs are parked because of their age, so a requeued one starts at age zero.
                    jobs::created_at.eq(now),
                    jobs::attempts.eq(0),
                    jobs::starts.eq(0),
                    jobs::waits_for.eq(None::<WaitsFor>),
                ))
                .returning((jobs::kind, jobs::transaction_id, jobs::wallet_ids))
                .get_result(conn)
                .await
                .optional()?;
        let Some((kind, transaction, wallets)) = back else {
            return Ok(false);
        };
        alarms::close(conn, AlarmKind::JobParked, &id.to_string(), now).await?;
        let transactions: Vec<TransactionId> = transaction.into_iter().map(TransactionId::from_uuid).collect();
        let wallets: Vec<WalletId> = wallets.into_iter().map(WalletId::from_uuid).collect();
        let entry = AuditRecord {
            transactions: &transactions,
            wallets: &wallets,
            detail: json!({ "job": id.0, "kind": kind, "reason": reason }),
            ..AuditRecord::new(now, actor, "requeue_job")
        };
        audit::record(conn, &entry).await?;
        Ok::<bool, DbError>(true)
    })
}
