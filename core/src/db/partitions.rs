//! Monthly partitions, created ahead of time by `wallet-worker migrate` and by every worker.

use crate::db::in_transaction;
use chrono::{DateTime, Datelike, Months, TimeZone, Utc};
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};
use diesel_async::RunQueryDsl;

use super::{Db, DbError, Only, PgConn, sql};

/// How many whole months after the current one must have their partitions. There is no default partition: transactions of a
/// month without one are refused, so an alarm is raised long before.
pub const MONTHS_AHEAD: u32 = 3;

const PARTITIONED: [&str; 3] = ["wallet_transactions", "transaction_events", "ledger_entries"];

/// Creates the partitions of the month before `now` (for ids from clocks that are behind), of the current month and
/// of the [`MONTHS_AHEAD`] after it; returns how many were missing.
///
/// # Errors
/// When the database cannot be reached, or a table stays locked longer than the short lock timeout allows; run it again.
pub async fn ensure_partitions(db: &Db, now: DateTime<Utc>) -> Result<usize, DbError> {
    let mut made = 0;
    for offset in 0..=MONTHS_AHEAD + 1 {
        let Some(month) = month_start(now).and_then(|this| {
            this.checked_sub_months(Months::new(1))?
                .checked_add_months(Months::new(offset))
        }) else {
            continue;
        };
        for table in PARTITIONED {
            made += usize::from(in_transaction!(db, conn => make_one(conn, table, month).await)?);
        }
    }
    Ok(made)
}

async fn make_one(conn: &mut PgConn, table: &'static str, month: DateTime<Utc>) -> Result<bool, DbError> {
    // Attaching waits for the table's writers; later writers must not queue behind it for long.
    sql("SET LOCAL lock_timeout = '2s'").execute(conn).await?;
    sql("SELECT pg_advisory_xact_lock(7237002)").execute(conn).await?;
    // Existing partitions are looked up in the catalogue itself: the function's own look-up may date from before the lock was granted. And among
    // the table's own partitions: another schema of the database may have a table of the same name.
    let row: Only<Bool, bool> = sql(
        "SELECT NOT EXISTS (SELECT 1 FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                             WHERE inhparent = $1::regclass AND relname = $1 || '_' || to_char($2 AT TIME ZONE 'UTC', 'YYYYMM'))
                AND create_month_partition($1, $2) AS made",
    )
        .bind::<Text, _>(table)
        .bind::<Timestamptz, _>(month)
        .get_result(conn)
        .await?;
    Ok(row.value)
}

/// Returns how many whole months after that of `now` have a partition of every table: an alarm is due below two.
///
/// # Errors
/// When the database cannot be reached.
pub async fn months_ahead(db: &Db, now: DateTime<Utc>) -> Result<i64, DbError> {
    let row: Only<BigInt, i64> = sql("SELECT count(*) AS months FROM generate_series(1, 12) AS n
           WHERE (SELECT count(*) FROM unnest(ARRAY['wallet_transactions', 'transaction_events', 'ledger_entries']) AS parent
                    JOIN pg_inherits ON inhparent = parent::regclass JOIN pg_class ON pg_class.oid = inhrelid
                   WHERE relname = parent || '_' || to_char($1 AT TIME ZONE 'UTC' + n * interval '1 month', 'YYYYMM')) = 3")
    .bind::<Timestamptz, _>(month_start(now).unwrap_or(now))
    .get_result(&mut db.conn().await?)
    .await?;
    Ok(row.value)
}

fn month_start(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    Utc.with_ymd_and_hms(at.year(), at.month(), 1, 0, 0, 0).single()
}
