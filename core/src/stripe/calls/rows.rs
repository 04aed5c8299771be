//! What the rows of `stripe_calls` record about a subject.

use std::collections::HashSet;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::attempt::{Attempt, AttemptState, CallOutcome, Row, TABLE};
use super::operations::{Operation, StripeCall};
use crate::db::schema::stripe_calls;
use crate::db::{DbError, PgConn};
use crate::ids::stripe::CallKey;
use crate::stripe::types::StripeObject;

/// Returns whether a call of this operation has made its object, or may have been sent with an unknown outcome.
///
/// # Errors
/// If the database cannot be reached.
pub async fn is_undecided(conn: &mut PgConn, operation: Operation, subject: Uuid) -> Result<bool, DbError> {
    let latest = latest(conn, operation, subject).await?;
    Ok(latest.is_some_and(|attempt| match attempt.state {
        AttemptState::Unknown | AttemptState::Succeeded { .. } => true,
        AttemptState::Prepared | AttemptState::Refused => false,
    }))
}

/// Returns what the latest such call for `subject` has made, or `None` if it is still open or was refused.
///
/// # Errors
/// If the database cannot be reached.
pub async fn made<C: StripeCall>(
    conn: &mut PgConn,
    subject: Uuid,
) -> Result<Option<<C::Object as StripeObject>::Id>, DbError> {
    let Some(attempt) = latest(conn, C::OPERATION, subject).await? else {
        return Ok(None);
    };
    match attempt.state {
        AttemptState::Succeeded { object_id } => id_of(&attempt.key, &object_id).map(Some),
        _ => Ok(None),
    }
}

/// Returns those of these subjects for which some call may have been sent, or has made its object.
///
/// # Errors
/// If the database cannot be reached.
pub(crate) async fn may_have_sent(conn: &mut PgConn, subjects: &[Uuid]) -> Result<HashSet<Uuid>, DbError> {
    let sent: Vec<Uuid> = stripe_calls::table
        // Filters by every operation because the index begins with that column.
        .filter(stripe_calls::operation.eq_any(Operation::ALL))
        .filter(stripe_calls::subject_id.eq_any(subjects))
        .filter(stripe_calls::outcome.eq_any(CallOutcome::MAY_EXIST))
        .select(stripe_calls::subject_id)
        .load(conn)
        .await?;
    Ok(sent.into_iter().collect())
}

/// Returns the id of the object that an attempt has made.
pub(super) fn id_of<Id: FromStr>(key: &CallKey, object_id: &str) -> Result<Id, DbError> {
    object_id
        .parse()
        .map_err(|_| DbError::inconsistent(TABLE, "stripe_object_id", key))
}

pub(super) async fn latest(
    conn: &mut PgConn,
    operation: Operation,
    subject: Uuid,
) -> Result<Option<Attempt>, DbError> {
    let row: Option<Row> = stripe_calls::table
        .filter(stripe_calls::operation.eq(operation))
        .filter(stripe_calls::subject_id.eq(subject))
        .order(stripe_calls::attempt.desc())
        .select(Row::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Attempt::try_from).transpose()
}

/// Returns when a subject was created, which its UUIDv7 contains (RFC 9562, section 5.7).
pub(super) fn begun_at(subject: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = subject.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}
