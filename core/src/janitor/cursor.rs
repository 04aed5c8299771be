//! The table `stripe_event_cursors`: how far each list of events has been read.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamptz};
use diesel_async::RunQueryDsl;

use crate::db::schema::stripe_event_cursors;
use crate::db::{DbError, PgConn, sql};

/// Stripe's list can show an event after one that is a little newer, so each reading begins a little earlier than the last one ended.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);
/// Webhooks are retried for three days; Stripe lists events for thirty (<https://docs.stripe.com/api/events/list>).
const FIRST_READING: TimeDelta = TimeDelta::days(3);

/// From when on to read the list of events of an account; `""` is the platform.
///
/// # Errors
/// When the database cannot be reached.
pub async fn read_since(
    conn: &mut PgConn,
    account: &str,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, DbError> {
    let read_until: Option<Option<DateTime<Utc>>> = stripe_event_cursors::table
        .find(account)
        .select(stripe_event_cursors::read_until)
        .first(conn)
        .await
        .optional()?;
    Ok(read_until
        .flatten()
        .map_or(now - FIRST_READING, |read| read - OVERLAP))
}

/// Records that the list was read up to here; never goes back.
///
/// # Errors
/// When the database cannot be reached.
pub async fn record_reading(
    conn: &mut PgConn,
    account: &str,
    read_until: DateTime<Utc>,
) -> Result<(), DbError> {
    sql("UPDATE stripe_event_cursors SET read_until = GREATEST(read_until, $2) WHERE account = $1")
        .bind::<Text, _>(account)
        .bind::<Timestamptz, _>(read_until)
        .execute(conn)
        .await?;
    Ok(())
}
