//! Alarms: contradictions and parked work, open until somebody closes them.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Text, Timestamptz};
use diesel_async::RunQueryDsl;

use crate::db::{DbError, PgConn, sql};

/// Raises an alarm, or counts it again if one of the same kind and subject is open. `message` carries no secret and no personal data.
///
/// # Errors
/// When the database cannot be reached.
pub async fn raise(conn: &mut PgConn, kind: &str, subject: &str, message: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    tracing::warn!(alarm = kind, subject, "{message}");
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
