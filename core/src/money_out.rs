//! The switch that keeps money from leaving: turned off by an operator, or by a check of the ledger that fails.
//!
//! While it is off, every call that sends money out at Stripe waits: its job stays queued, its attempts are not used up, and its
//! transaction stays as it is. Everything internal continues, and so does what brings money back. Each such call reads and locks the
//! switch in the database transaction that counts its attempt, so no call begins after the stop has committed.

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use serde_json::json;

use crate::alarms::{self, AlarmKind};
use crate::audit::{self, Actor, AuditRecord};
use crate::db::{Db, DbError, Only, PgConn, in_transaction, sql};
use crate::jobs::{self, QueueName, WaitsFor};

/// The kind and the subject of the alarm that is raised when a check has stopped money.
pub const ALARM: (AlarmKind, &str) = (AlarmKind::MoneyOutStopped, "money_out");

/// The text that the owner of a transaction reads while it waits, and that its job records.
pub const WAITS: &str = "sending money is paused for the moment; it goes on by itself";

/// The state of the switch.
#[derive(Debug, Clone, QueryableByName)]
pub struct MoneyOut {
    /// Whether money may leave.
    #[diesel(sql_type = Bool)]
    pub is_open: bool,
    /// The reason for the last change, if one was given.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    /// Who changed it.
    #[diesel(sql_type = Text)]
    pub changed_by: String,
    /// When it was changed.
    #[diesel(sql_type = Timestamptz)]
    pub changed_at: DateTime<Utc>,
}

/// Returns the state of the switch; code that must rely on it calls `may_leave`.
///
/// # Errors
/// When the database cannot be reached, or the switch is missing.
pub async fn state(db: &Db) -> Result<MoneyOut, DbError> {
    let rows: Vec<MoneyOut> =
        sql("SELECT is_open, reason, changed_by, changed_at FROM switches WHERE name = 'money_out'")
            .load(&mut db.conn().await?)
            .await?;
    rows.into_iter().next().ok_or_else(gone)
}

/// Returns how many jobs have found the switch off and wait for it.
///
/// # Errors
/// When the database cannot be reached.
pub async fn waiting(db: &Db) -> Result<i64, DbError> {
    jobs::count_waiting_for(db, WaitsFor::MoneyOut, WAITS).await
}

/// Returns whether money may leave, which stays so until the caller's transaction ends. A missing switch counts as off.
///
/// # Errors
/// When the database cannot be reached.
pub(crate) async fn may_leave(conn: &mut PgConn) -> Result<bool, DbError> {
    // A stop waits for this lock, so every call that goes ahead has begun before the stop.
    let rows: Vec<Only<Bool, bool>> = sql("SELECT is_open FROM switches WHERE name = 'money_out' FOR SHARE")
        .load(conn)
        .await?;
    Ok(rows.as_slice().first().is_some_and(|row| row.value))
}

/// Keeps money from leaving from now on; returns `false` if it was stopped already, which keeps the first reason. What a check has found raises an
/// alarm even if an operator had stopped it before, since the operator who starts it again has to know.
///
/// # Errors
/// When the database cannot be reached.
pub async fn stop(db: &Db, actor: &Actor, reason: &str, now: DateTime<Utc>) -> Result<bool, DbError> {
    in_transaction!(db, conn => {
        let stopped = change(conn, false, Some(reason), actor, now).await?;
        if stopped {
            record(conn, "stop_money_out", Some(reason), actor, now).await?;
        }
        let (kind, subject) = ALARM;
        // An operator who stops it needs no alarm.
        if !matches!(actor, Actor::Operator(_)) && (stopped || !alarms::is_open_about(conn, kind, subject).await?) {
            alarms::raise(conn, kind, subject, &format!("no money goes out any more: {reason}"), now).await?;
        }
        Ok::<_, DbError>(stopped)
    })
}

/// Lets money leave again and makes the jobs that waited for it due now; returns how many there were, or `None` if it was not stopped.
///
/// # Errors
/// When the database cannot be reached.
pub async fn start(
    db: &Db,
    actor: &Actor,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<usize>, DbError> {
    in_transaction!(db, conn => {
        if !change(conn, true, reason, actor, now).await? {
            return Ok(None);
        }
        record(conn, "start_money_out", reason, actor, now).await?;
        let (kind, subject) = ALARM;
        alarms::close(conn, kind, subject, now).await?;
        // In every queue, since an operator's refunds send money out too. A job whose row another session holds becomes due again by itself.
        let mut woken = 0;
        for &queue in QueueName::ALL {
            woken += jobs::expedite(conn, jobs::Expedite::all(queue, &[WaitsFor::MoneyOut]), now).await?;
        }
        Ok::<_, DbError>(Some(woken))
    })
}

async fn change(
    conn: &mut PgConn,
    is_open: bool,
    reason: Option<&str>,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let changed = sql("INSERT INTO switches AS s (name, is_open, reason, changed_by, changed_at) VALUES ('money_out', $1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET is_open = $1, reason = $2, changed_by = $3, changed_at = $4 WHERE s.is_open <> $1")
    .bind::<Bool, _>(is_open)
    .bind::<Nullable<Text>, _>(reason)
    .bind::<Text, _>(actor.to_string())
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

async fn record(
    conn: &mut PgConn,
    action: &'static str,
    reason: Option<&str>,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let entry = AuditRecord {
        detail: json!({ "reason": reason }),
        ..AuditRecord::new(now, actor, action)
    };
    audit::record(conn, &entry).await
}

fn gone() -> DbError {
    DbError::inconsistent("switches", "name", "money_out")
}
