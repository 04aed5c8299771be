//! Parked jobs, for operators.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::alarms;
use crate::db::schema::jobs;
use crate::db::{Db, DbError, in_transaction};
use crate::ids::{JobId, TransactionId};

/// A job that waits for an operator.
#[derive(Debug, Clone)]
pub struct ParkedJob {
    /// Its number.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// The transaction it is about.
    pub transaction: Option<TransactionId>,
    /// Why it was parked.
    pub reason: String,
}

/// Every parked job, the longest parked first.
///
/// # Errors
/// When the database cannot be reached.
pub async fn list_parked(db: &Db) -> Result<Vec<ParkedJob>, DbError> {
    let rows: Vec<(i64, String, Option<Uuid>, Option<String>)> = jobs::table
        .filter(jobs::parked_at.is_not_null())
        .order(jobs::parked_at.asc())
        .select((jobs::id, jobs::kind, jobs::transaction_id, jobs::last_error))
        .load(&mut db.conn().await?)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(id, kind, transaction, reason)| ParkedJob {
            id: JobId(id),
            kind,
            transaction: transaction.map(TransactionId::from_uuid),
            reason: reason.unwrap_or_default(),
        })
        .collect())
}

/// Puts a parked job back into its queue with a fresh budget and closes its alarm; false when it is not parked.
///
/// # Errors
/// When the database cannot be reached.
pub async fn requeue(db: &Db, id: JobId, now: DateTime<Utc>) -> Result<bool, DbError> {
    in_transaction!(db, conn => {
        let back = diesel::update(jobs::table.find(id.0).filter(jobs::parked_at.is_not_null()))
            .set((
                jobs::parked_at.eq(None::<DateTime<Utc>>),
                jobs::handed_over_at.eq(None::<DateTime<Utc>>),
                jobs::run_at.eq(now),
                // Some are parked by their age: what was mended begins anew.
                jobs::created_at.eq(now),
                jobs::attempts.eq(0),
                jobs::starts.eq(0),
            ))
            .execute(conn)
            .await?;
        if back == 1 {
            alarms::close(conn, "job_parked", &id.to_string(), now).await?;
        }
        Ok::<bool, DbError>(back == 1)
    })
}
