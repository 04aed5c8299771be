//! The table `verifications`: which worker makes a check that is due, and where the next quick run begins.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryableByName;
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::{BigInt, Interval, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::{Seen, Window};
use crate::db::types::column_of;
use crate::db::{Db, DbError, sql};

/// A check that was begun and has not ended is begun again after this time: its worker is gone.
const INTERRUPTED: TimeDelta = TimeDelta::minutes(30);

/// The checks that workers make by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[derive(IntoStaticStr, AsExpression, FromSqlRow, EnumString, VariantArray)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum Scheduled {
    /// The quick set.
    Quick,
    /// The complete set.
    Complete,
    /// The ledger against Stripe.
    Reconcile,
    /// What Stripe holds against what the wallets hold.
    Backing,
}

column_of!(Scheduled, Text);

#[derive(QueryableByName)]
struct DueCheck {
    #[diesel(sql_type = Nullable<BigInt>)]
    audit_before: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    xid_before: Option<i64>,
}

/// Takes a check that is due, so that no other worker makes it, or returns `None` if it is not due. A check is due when it has never been made, and
/// when the last one was begun at least `every` ago. A time far in the future was written by a wrong clock, and counts as due.
///
/// # Errors
/// When the database cannot be reached.
pub async fn begin(
    db: &Db,
    what: Scheduled,
    every: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Option<Window>, DbError> {
    let rows: Vec<DueCheck> = sql("INSERT INTO verifications AS v (name, asked_at) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET asked_at = $2, done_at = NULL
          WHERE v.asked_at <= $2 - $3 OR v.asked_at > $2 + interval '1 hour' OR (v.done_at IS NULL AND v.asked_at <= $2 - LEAST($3, $4))
         RETURNING audit_before, xid_before")
    .bind::<Text, _>(what.as_str())
    .bind::<Timestamptz, _>(now)
    .bind::<Interval, _>(every)
    .bind::<Interval, _>(INTERRUPTED)
    .load(&mut db.conn().await?)
    .await?;
    Ok(rows.as_slice().first().map(|begun| Window {
        record: begun.audit_before,
        xid: begun.xid_before,
    }))
}

/// Records that a check which takes long is still under way, so that no other worker begins it again.
///
/// # Errors
/// When the database cannot be reached.
pub async fn keep(db: &Db, what: Scheduled, now: DateTime<Utc>) -> Result<(), DbError> {
    sql("UPDATE verifications SET asked_at = $2 WHERE name = $1 AND done_at IS NULL")
        .bind::<Text, _>(what.as_str())
        .bind::<Timestamptz, _>(now)
        .execute(&mut db.conn().await?)
        .await?;
    Ok(())
}

/// Records that a check has ended, and up to where it has seen changes.
///
/// # Errors
/// When the database cannot be reached.
pub async fn end(db: &Db, what: Scheduled, seen: Option<Seen>, now: DateTime<Utc>) -> Result<(), DbError> {
    sql(
        "UPDATE verifications SET done_at = $2,
                audit_before = CASE WHEN $3 IS NULL THEN audit_before ELSE audit_seen END, audit_seen = coalesce($3, audit_seen),
                xid_before = CASE WHEN $4 IS NULL THEN xid_before ELSE xid_seen END, xid_seen = coalesce($4, xid_seen)
          WHERE name = $1",
    )
    .bind::<Text, _>(what.as_str())
    .bind::<Timestamptz, _>(now)
    .bind::<Nullable<BigInt>, _>(seen.map(|seen| seen.record))
    .bind::<Nullable<BigInt>, _>(seen.map(|seen| seen.xid))
    .execute(&mut db.conn().await?)
    .await?;
    Ok(())
}
