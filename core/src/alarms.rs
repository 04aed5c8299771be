//! Alarms: contradictions and parked work, open until somebody closes them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamptz};
use diesel_async::RunQueryDsl;

use crate::db::schema::alarms;
use crate::db::{Db, DbError, PgConn, sql};

/// Another amount was received than was asked for; it lies in suspense.
pub const PAYMENT_MISMATCH: &str = "payment_mismatch";
/// Money was received for what had ended; it lies in suspense.
pub const LATE_PAYMENT: &str = "late_payment";
/// What is said of a dispute that has ended, and what it did to the balance, do not agree; the books follow the balance.
pub const DISPUTE_DIFFERS: &str = "dispute_differs";

/// The queue's Redis held what is no task of ours; it was put aside.
pub const QUEUE_GARBAGE: &str = "queue_garbage";
/// A wallet's lock that no worker of ours can hold lawfully keeps its money waiting.
pub const LOCK_OVERDUE: &str = "lock_overdue";
/// Fewer than a majority of the lock nodes can be written to, so no wallet can be locked.
pub const LOCK_QUORUM_LOST: &str = "lock_quorum_lost";
/// Data keys of some persons are under a wrapping key that is not configured.
pub const ENCRYPTION_KEY_MISSING: &str = "encryption_key_missing";
/// Stripe refuses the platform's key, so nothing that needs Stripe goes on.
pub const STRIPE_KEY_REFUSED: &str = "stripe_key_refused";
/// Stripe pays the platform's balance, and with it users' money, out by a schedule of its own.
pub const PLATFORM_PAYOUT_SCHEDULE: &str = "platform_payout_schedule";
/// A configured settlement currency is none in which Stripe says that it pays the platform.
pub const PLATFORM_SETTLEMENT: &str = "platform_settlement";
/// An object at Stripe claims to be one that we made for a transaction, and is not.
pub const FOREIGN_OBJECT: &str = "foreign_object";

/// An alarm that nobody has closed.
#[derive(Debug, Clone)]
pub struct OpenAlarm {
    /// What kind of trouble.
    pub kind: String,
    /// With what.
    pub subject: String,
    /// In words.
    pub message: String,
    /// How often it was raised.
    pub seen: i32,
    /// When first.
    pub raised_at: DateTime<Utc>,
}

/// Raises an alarm, or counts it again if one of the same kind and subject is open. `message` carries no secret and no personal data.
///
/// # Errors
/// When the database cannot be reached.
pub async fn raise(
    conn: &mut PgConn,
    kind: &str,
    subject: &str,
    message: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
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

/// Closes the open alarm of this kind and subject, if there is one.
///
/// # Errors
/// When the database cannot be reached.
pub async fn close(
    conn: &mut PgConn,
    kind: &str,
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

/// Closes an alarm that was listed before, unless it was raised again since.
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

/// Whether an alarm of this kind is open, with whatever subject.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_open(db: &Db, kind: &str) -> Result<bool, DbError> {
    let open = alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::closed_at.is_null());
    Ok(diesel::select(diesel::dsl::exists(open))
        .get_result(&mut db.conn().await?)
        .await?)
}

/// The subjects of the open alarms of this kind.
///
/// # Errors
/// When the database cannot be reached.
pub async fn open_subjects(conn: &mut PgConn, kind: &str) -> Result<Vec<String>, DbError> {
    Ok(alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::closed_at.is_null())
        .select(alarms::subject)
        .load(conn)
        .await?)
}

/// How many alarms are open.
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

/// Every open alarm, oldest first.
///
/// # Errors
/// When the database cannot be reached.
pub async fn list_open(db: &Db) -> Result<Vec<OpenAlarm>, DbError> {
    let rows: Vec<(String, String, String, i32, DateTime<Utc>)> = alarms::table
        .filter(alarms::closed_at.is_null())
        .order(alarms::raised_at.asc())
        .select((
            alarms::kind,
            alarms::subject,
            alarms::message,
            alarms::seen,
            alarms::raised_at,
        ))
        .load(&mut db.conn().await?)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(kind, subject, message, seen, raised_at)| OpenAlarm {
            kind,
            subject,
            message,
            seen,
            raised_at,
        })
        .collect())
}
