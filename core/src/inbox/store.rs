//! The table `stripe_events`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Arrived;
use crate::db::schema::stripe_events;
use crate::db::{DbError, PgConn};

/// A stored event, without its body.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// `evt_…`
    pub id: String,
    /// Such as `payment_intent.succeeded`.
    pub event_type: String,
    /// The connected account it came from; the platform's own without.
    pub account: Option<String>,
    /// What it is about.
    pub object_id: Option<String>,
    /// Whether it has been processed, ignored or parked.
    pub is_done: bool,
}

/// Adds an event; false when one of its id is there.
pub(super) async fn insert(conn: &mut PgConn, arrived: &Arrived) -> Result<bool, DbError> {
    let envelope = &arrived.envelope;
    let added = diesel::insert_into(stripe_events::table)
        .values((
            stripe_events::id.eq(&arrived.id),
            stripe_events::account.eq(envelope.account.as_ref().map(|account| account.as_str())),
            stripe_events::type_.eq(envelope.event_type.as_deref()),
            stripe_events::api_version.eq(envelope.api_version.as_deref()),
            stripe_events::livemode.eq(envelope.livemode),
            stripe_events::object_id.eq(envelope.object.id.as_deref()),
            stripe_events::encrypted_body.eq(&arrived.sealed_body),
            stripe_events::body_sha256.eq(&arrived.body_sha256),
            stripe_events::state.eq(if arrived.obstacle.is_some() {
                "parked"
            } else {
                "received"
            }),
            stripe_events::note.eq(arrived.obstacle.as_deref()),
            stripe_events::received_at.eq(arrived.at),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(added == 1)
}

/// Whether the stored body is another one.
pub(super) async fn body_differs(conn: &mut PgConn, arrived: &Arrived) -> Result<bool, DbError> {
    let stored: Vec<u8> = stripe_events::table
        .find(&arrived.id)
        .select(stripe_events::body_sha256)
        .first(conn)
        .await?;
    Ok(stored != arrived.body_sha256)
}

/// The stored event of an id.
///
/// # Errors
/// When the database cannot be reached.
pub async fn find(conn: &mut PgConn, id: &str) -> Result<Option<StoredEvent>, DbError> {
    type Row = (String, Option<String>, Option<String>, Option<String>, String);
    let row: Option<Row> = stripe_events::table
        .find(id)
        .select((
            stripe_events::id,
            stripe_events::type_,
            stripe_events::account,
            stripe_events::object_id,
            stripe_events::state,
        ))
        .first(conn)
        .await
        .optional()?;
    Ok(
        row.map(|(id, event_type, account, object_id, state)| StoredEvent {
            id,
            event_type: event_type.unwrap_or_default(),
            account,
            object_id,
            is_done: state != "received",
        }),
    )
}

/// Marks an event as understood and without consequence.
///
/// # Errors
/// When the database cannot be reached.
pub async fn pass(conn: &mut PgConn, id: &str, note: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    close(conn, id, "processed", note, now).await
}

/// Marks an event as none of ours, with the reason.
///
/// # Errors
/// When the database cannot be reached.
pub async fn ignore(conn: &mut PgConn, id: &str, note: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    close(conn, id, "ignored", note, now).await
}

/// Marks an event as one that a person has to look at, with the reason; the caller raises the alarm.
///
/// # Errors
/// When the database cannot be reached.
pub async fn park(conn: &mut PgConn, id: &str, note: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    close(conn, id, "parked", note, now).await
}

async fn close(
    conn: &mut PgConn,
    id: &str,
    state: &str,
    note: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(
        stripe_events::table
            .find(id)
            .filter(stripe_events::state.eq("received")),
    )
    .set((
        stripe_events::state.eq(state),
        stripe_events::note.eq(note),
        stripe_events::processed_at.eq(now),
    ))
    .execute(conn)
    .await?;
    Ok(())
}
