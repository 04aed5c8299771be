//! Locking jobs for a settlement.

use std::collections::{HashMap, HashSet};

use diesel::QueryableByName;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::schema::jobs;
use crate::db::{DbError, Patience, PgConn, sql};
use crate::ids::JobId;

#[derive(QueryableByName)]
struct FenceRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    fence: i64,
}

/// Locks those of `jobs` that are not parked, in the order of their ids. Returns their fences, and the jobs whose rows are locked elsewhere.
///
/// # Errors
/// When the database cannot be reached.
pub(crate) async fn lock_fences(
    conn: &mut PgConn,
    jobs: &[JobId],
    patience: Patience,
) -> Result<(HashMap<JobId, i64>, HashSet<JobId>), DbError> {
    let ids: Vec<i64> = jobs.iter().map(|job| job.0).collect();
    if ids.is_empty() {
        return Ok((HashMap::new(), HashSet::new()));
    }
    let statement = match patience {
        Patience::Wait => {
            "SELECT id, fence FROM jobs WHERE id = ANY($1) AND parked_at IS NULL ORDER BY id FOR UPDATE"
        }
        Patience::PassBy => {
            "SELECT id, fence FROM jobs WHERE id = ANY($1) AND parked_at IS NULL ORDER BY id FOR UPDATE SKIP LOCKED"
        }
    };
    let rows: Vec<FenceRow> = sql(statement).bind::<Array<BigInt>, _>(&ids).load(conn).await?;
    let fences: HashMap<JobId, i64> = rows.into_iter().map(|row| (JobId(row.id), row.fence)).collect();
    let missing: Vec<i64> = ids
        .into_iter()
        .filter(|id| !fences.contains_key(&JobId(*id)))
        .collect();
    if patience == Patience::Wait || missing.is_empty() {
        return Ok((fences, HashSet::new()));
    }
    let there: Vec<i64> = jobs::table
        .filter(jobs::id.eq_any(missing))
        .filter(jobs::parked_at.is_null())
        .select(jobs::id)
        .load(conn)
        .await?;
    Ok((fences, there.into_iter().map(JobId).collect()))
}

/// Locks the jobs of these transactions, so that no worker begins a call for them before the end of the database transaction.
///
/// # Errors
/// When the database cannot be reached.
pub(crate) async fn lock_of(conn: &mut PgConn, transactions: &[Uuid]) -> Result<(), DbError> {
    let _ids: Vec<i64> = jobs::table
        .filter(jobs::transaction_id.eq_any(transactions))
        .order(jobs::id.asc())
        .select(jobs::id)
        .for_update()
        .load(conn)
        .await?;
    Ok(())
}
