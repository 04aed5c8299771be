//! Alarms: conditions that need an operator, open until they are closed.

mod kind;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamptz};
use diesel_async::RunQueryDsl;

pub use kind::AlarmKind;

use crate::db::schema::alarms;
use crate::db::{Db, DbError, PgConn, sql};

/// An alarm that has not been closed.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = alarms)]
pub struct OpenAlarm {
    /// Its kind: an [`AlarmKind`], or one of a newer version.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// Its description, in words.
    pub message: String,
    /// How often it was raised.
    pub seen: i32,
    /// When it was first raised.
    pub raised_at: DateTime<Utc>,
}

impl OpenAlarm {
    /// Returns its kind, or `None` for a kind of a newer version.
    #[must_use]
    pub fn known_kind(&self) -> Option<AlarmKind> {
        self.kind.parse().ok()
    }
}

/// Raises an alarm, or counts it again if one of the same kind and subject is open. `message` carries no secret and no personal data.
///
/// # Errors
/// When the database cannot be reached.
pub async fn raise(
    conn: &mut PgConn,
    kind: AlarmKind,
    subject: &str,
    message: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    tracing::warn!(alarm = %kind, subject, "{message}");
    sql("INSERT INTO alarms (kind, subject, message, raised_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO UPDATE SET seen = alarms.seen + 1, message = excluded.message")
    .bind::<Text, _>(kind)
    .bind::<Text, _>(subject)
    .bind::<Text, _>(message)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Reopens the newest alarm of this kind and subject if it was closed after `closed_after` and none is open, so that trouble that comes and goes is
/// one alarm and not a row each time.
///
/// # Errors
/// When the database cannot be reached.
pub async fn reopen(
    conn: &mut PgConn,
    kind: AlarmKind,
    subject: &str,
    closed_after: DateTime<Utc>,
) -> Result<(), DbError> {
    sql("UPDATE alarms SET closed_at = NULL
          WHERE id = (SELECT id FROM alarms WHERE kind = $1 AND subject = $2 ORDER BY id DESC LIMIT 1) AND closed_at > $3")
    .bind::<Text, _>(kind)
    .bind::<Text, _>(subject)
    .bind::<Timestamptz, _>(closed_after)
    .execute(conn)
    .await?;
    Ok(())
}

/// Closes the open alarm of this kind and subject; returns whether there was one.
///
/// # Errors
/// When the database cannot be reached.
pub async fn close(
    conn: &mut PgConn,
    kind: AlarmKind,
    subject: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let open = alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::subject.eq(subject))
        .filter(alarms::closed_at.is_null());
    Ok(diesel::update(open)
        .set(alarms::closed_at.eq(now))
        .execute(conn)
        .await?
        == 1)
}

/// Closes the open alarms of this kind about any of these subjects.
///
/// # Errors
/// When the database cannot be reached.
pub async fn close_all(
    conn: &mut PgConn,
    kind: AlarmKind,
    subjects: &[String],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if subjects.is_empty() {
        return Ok(());
    }
    let open = alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::subject.eq_any(subjects))
        .filter(alarms::closed_at.is_null());
    diesel::update(open)
        .set(alarms::closed_at.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// Closes an alarm that was listed before, unless it was raised again since; returns whether it was closed.
///
/// # Errors
/// When the database cannot be reached.
pub async fn close_unless_seen_again(
    conn: &mut PgConn,
    listed: &OpenAlarm,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let unchanged = alarms::table
        .filter(alarms::kind.eq(&listed.kind))
        .filter(alarms::subject.eq(&listed.subject))
        .filter(alarms::seen.eq(listed.seen))
        .filter(alarms::raised_at.eq(listed.raised_at))
        .filter(alarms::closed_at.is_null());
    Ok(diesel::update(unchanged)
        .set(alarms::closed_at.eq(now))
        .execute(conn)
        .await?
        == 1)
}

/// Returns whether an alarm of this kind is open, whatever its subject.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_open(db: &Db, kind: AlarmKind) -> Result<bool, DbError> {
    let open = alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::closed_at.is_null());
    Ok(diesel::select(diesel::dsl::exists(open))
        .get_result(&mut db.conn().await?)
        .await?)
}

/// Returns the open alarms of this kind, oldest first.
///
/// # Errors
/// When the database cannot be reached.
pub async fn open_of(conn: &mut PgConn, kind: AlarmKind) -> Result<Vec<OpenAlarm>, DbError> {
    Ok(alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::closed_at.is_null())
        .order(alarms::raised_at.asc())
        .select(OpenAlarm::as_select())
        .load(conn)
        .await?)
}

/// Returns whether the alarm of this kind and subject is open.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_open_about(conn: &mut PgConn, kind: AlarmKind, subject: &str) -> Result<bool, DbError> {
    let open = alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::subject.eq(subject))
        .filter(alarms::closed_at.is_null());
    Ok(diesel::select(diesel::dsl::exists(open)).get_result(conn).await?)
}

/// Returns how many alarms are open.
///
/// # Errors
/// When the database cannot be reached.
pub async fn count_open(db: &Db) -> Result<i64, DbError> {
    Ok(alarms::table
        .filter(alarms::closed_at.is_null())
        .count()
        .get_result(&mut db.conn().await?)
        .await?)
}

/// Returns the open alarm of this kind, as an operator writes it, and subject.
///
/// # Errors
/// When the database cannot be reached.
pub async fn find_open(conn: &mut PgConn, kind: &str, subject: &str) -> Result<Option<OpenAlarm>, DbError> {
    Ok(alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::subject.eq(subject))
        .filter(alarms::closed_at.is_null())
        .select(OpenAlarm::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Returns every open alarm, oldest first.
///
/// # Errors
/// When the database cannot be reached.
pub async fn list_open(db: &Db) -> Result<Vec<OpenAlarm>, DbError> {
    Ok(alarms::table
        .filter(alarms::closed_at.is_null())
        .order(alarms::raised_at.asc())
        .select(OpenAlarm::as_select())
        .load(&mut db.conn().await?)
        .await?)
}
