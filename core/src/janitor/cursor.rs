//! The table `stripe_event_cursors`: how far each list of events has been read.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Interval, Text, Timestamptz};
use diesel_async::RunQueryDsl;

use crate::db::schema::stripe_event_cursors;
use crate::db::{DbError, Only, PgConn, sql};

/// How often the platform's list of events is read.
const READ_EVERY: TimeDelta = TimeDelta::seconds(60);
/// How often the list of a connected account with money on its way is read. Each payout is also polled by itself.
const ACCOUNT_READ_EVERY: TimeDelta = TimeDelta::minutes(10);
/// How often the list of an account whose payouts have all arrived is read: a bank may still return one.
const QUIET_ACCOUNT_READ_EVERY: TimeDelta = TimeDelta::days(1);
/// For how long after money was last sent to a connected account its events are read.
const ACCOUNT_READ_FOR: TimeDelta = TimeDelta::days(35);
/// Stripe's list can show an event after one that is a little newer, so each reading begins a little earlier than the last one ended.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);
/// How far back a first reading goes: webhooks are retried for three days; Stripe lists events for thirty (<https://docs.stripe.com/api/events/list>).
const FIRST_READING: TimeDelta = TimeDelta::days(3);

/// Returns the accounts whose lists of events are due, and marks these as requested; `""` is the platform, which comes first.
///
/// # Errors
/// When the database cannot be reached.
pub(super) async fn take_due(
    conn: &mut PgConn,
    most: i64,
    now: DateTime<Utc>,
) -> Result<Vec<String>, DbError> {
    let due: Vec<Only<Text, String>> = sql(
        "WITH used AS (
            SELECT account, min(every) AS every FROM (
                   SELECT ''::varchar AS account, $2 AS every
                    UNION ALL
                   SELECT stripe_account_id, $4 FROM wallet_transactions
                    WHERE status IN ('pending', 'processing') AND stage IN ('transferred', 'paying_out', 'returning')
                      AND stripe_account_id IS NOT NULL
                    UNION ALL
                   SELECT stripe_account_id, $5 FROM stripe_accounts WHERE paid_at > $1 - $3) each
             GROUP BY account),
         wanted AS (
            SELECT account, every FROM used LEFT JOIN stripe_event_cursors c USING (account)
             WHERE c.asked_at IS NULL OR c.asked_at <= $1 - every OR c.asked_at > $1 + interval '1 hour'
             ORDER BY account <> '', every, c.asked_at NULLS FIRST LIMIT $6)
         INSERT INTO stripe_event_cursors (account, asked_at) SELECT account, $1 FROM wanted
         ON CONFLICT (account) DO UPDATE SET asked_at = $1
            WHERE stripe_event_cursors.asked_at <= $1 - $2 OR stripe_event_cursors.asked_at > $1 + interval '1 hour'
         RETURNING account",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Interval, _>(READ_EVERY)
    .bind::<Interval, _>(ACCOUNT_READ_FOR)
    .bind::<Interval, _>(ACCOUNT_READ_EVERY)
    .bind::<Interval, _>(QUIET_ACCOUNT_READ_EVERY)
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    Ok(due.into_iter().map(|row| row.value).collect())
}

/// Returns the time from which to read the list of events of an account; `""` is the platform.
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

/// Records that the list was read up to this time; an earlier time changes nothing.
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
