//! The switch that keeps money from leaving: thrown by an operator, or by a check of the books that fails.
//!
//! While it is off, every call that sends money out at Stripe waits: its job stays queued, its attempts are not used up, its
//! transaction stays as it is. Everything inside goes on, and so does what brings money back. Each such call reads and locks the
//! switch in the database transaction that counts its try, so no call begins after the stop has committed.

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use serde_json::json;

use crate::alarms::{self, AlarmKind};
use crate::audit::{self, Actor, AuditRecord};
use crate::db::{Db, DbError, PgConn, in_transaction, sql};
use crate::jobs::{self, QueueName, WaitsFor};

/// The kind and the subject of the alarm that says that a check has stopped it.
pub const ALARM: (AlarmKind, &str) = (AlarmKind::MoneyOutStopped, "money_out");

/// What the owner of a transaction reads while it waits, and what its job remembers.
pub const WAITS: &str = "sending money is paused for the moment; it goes on by itself";

/// How the switch stands.
#[derive(Debug, Clone, QueryableByName)]
pub struct MoneyOut {
    /// Whether money goes out.
    #[diesel(sql_type = Bool)]
    pub is_open: bool,
    /// Why it was changed, if somebody said so.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    /// Who changed it.
    #[diesel(sql_type = Text)]
    pub changed_by: String,
    /// When.
    #[diesel(sql_type = Timestamptz)]
    pub changed_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Open {
    #[diesel(sql_type = Bool)]
    is_open: bool,
}

/// How the switch stands; somebody who needs to rely on it asks `may_leave`.
///
/// # Errors
/// When the database cannot be reached, or the switch is gone.
pub async fn state(db: &Db) -> Result<MoneyOut, DbError> {
    let rows: Vec<MoneyOut> =
        sql("SELECT is_open, reason, changed_by, changed_at FROM switches WHERE name = 'money_out'")
            .load(&mut db.conn().await?)
            .await?;
    rows.into_iter().next().ok_or_else(gone)
}

/// How many jobs have found it stopped and wait for its start.
///
/// # Errors
/// When the database cannot be reached.
pub async fn waiting(db: &Db) -> Result<i64, DbError> {
    jobs::count_waiting_for(db, WaitsFor::MoneyOut).await
}

/// Whether money may leave: true until the caller's transaction ends. A switch that is gone is off.
///
/// # Errors
/// When the database cannot be reached.
pub(crate) async fn may_leave(conn: &mut PgConn) -> Result<bool, DbError> {
    // A stop waits for this lock, so what has begun has begun before it.
    let rows: Vec<Open> = sql("SELECT is_open FROM switches WHERE name = 'money_out' FOR SHARE")
        .load(conn)
        .await?;
    Ok(rows.as_slice().first().is_some_and(|row| row.is_open))
}

/// Keeps money from leaving from now on; false when it was stopped already, which keeps its first reason. What a check has found is told also when
/// an operator had stopped it before: whoever lets it leave again has to know.
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
        // An operator who stops it knows.
        if !matches!(actor, Actor::Operator(_)) && (stopped || !alarms::is_open_about(conn, kind, subject).await?) {
            alarms::raise(conn, kind, subject, &format!("no money goes out any more: {reason}"), now).await?;
        }
        Ok::<_, DbError>(stopped)
    })
}

/// Lets money leave again, and what has waited for it at once; gives how many jobs that were, none when it was not stopped.
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
        // Whatever its queue: also what an operator gives back is sent out. A job that somebody holds at this moment comes back by itself.
        let mut woken = 0;
        for &queue in QueueName::ALL {
            woken += jobs::bring_forward(conn, jobs::Forward::all(queue, &[WaitsFor::MoneyOut]), now).await?;
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
