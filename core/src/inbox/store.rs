//! The table `stripe_events`.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Interval, Timestamptz};
use diesel_async::RunQueryDsl;

use super::{Arrived, EventSource, EventState, Obstacle, job_of};
use crate::alarms::{self, AlarmKind};
use crate::db::schema::stripe_events;
use crate::db::{Db, DbError, PgConn, sql};
use crate::jobs;

/// How long the body of an event is kept: as long as Stripe lists the event itself (<https://docs.stripe.com/api/events>).
pub const BODIES_KEPT: TimeDelta = TimeDelta::days(30);

/// The maximum number of bodies dropped at once, so that no lock is held for long.
const MOST_DROPPED: i64 = 500;

/// A stored event, without its body.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// `evt_…`
    pub id: String,
    /// The type, such as `payment_intent.succeeded`.
    pub event_type: String,
    /// The connected account that it came from, or `None` for the platform's own.
    pub account: Option<String>,
    /// The id of the object that it is about.
    pub object_id: Option<String>,
    /// Whether it was made in live mode, or `None` if it does not say.
    pub livemode: Option<bool>,
    /// Whether it has been processed, ignored or parked.
    pub is_done: bool,
}

impl StoredEvent {
    /// Describes what it is about in one line for a person: its type, its object and the connected account.
    #[must_use]
    pub fn about(&self) -> String {
        super::about(
            &self.event_type,
            self.object_id.as_deref(),
            self.account.as_deref(),
        )
    }
}

/// Adds an event; returns `false` if its id is already stored.
pub(super) async fn insert(conn: &mut PgConn, arrived: &Arrived) -> Result<bool, DbError> {
    let envelope = &arrived.envelope;
    let obstacle = arrived.obstacle.as_ref();
    let is_ignored = matches!(obstacle, Some(Obstacle::NotOurs(_)));
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
            stripe_events::state.eq(obstacle.map_or(EventState::Received, Obstacle::state)),
            stripe_events::note.eq(obstacle.map(Obstacle::note)),
            stripe_events::processed_at.eq(is_ignored.then_some(arrived.at)),
            stripe_events::received_at.eq(arrived.at),
            stripe_events::source.eq(arrived.source),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(added == 1)
}

/// Returns whether another body of this event was delivered before.
pub(super) async fn body_differs(conn: &mut PgConn, arrived: &Arrived) -> Result<bool, DbError> {
    let (stored, source): (Vec<u8>, EventSource) = stripe_events::table
        .find(&arrived.id)
        .select((stripe_events::body_sha256, stripe_events::source))
        .first(conn)
        .await?;
    Ok(source == EventSource::Webhook && stored != arrived.body_sha256)
}

/// Returns those of `ids` that are not stored.
///
/// # Errors
/// When the database cannot be reached.
pub async fn unknown_of(conn: &mut PgConn, ids: &[String]) -> Result<Vec<String>, DbError> {
    let known: HashSet<String> = stripe_events::table
        .filter(stripe_events::id.eq_any(ids))
        .select(stripe_events::id)
        .load(conn)
        .await?
        .into_iter()
        .collect();
    Ok(ids.iter().filter(|id| !known.contains(*id)).cloned().collect())
}

/// Selects the stored events to process again; an event must meet all conditions.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// Only the event with this id.
    pub id: Option<String>,
    /// Only events of this type; a trailing `*` matches any ending.
    pub event_type: Option<String>,
    /// Only those in this state.
    pub state: Option<EventState>,
    /// Only those received at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only those received before this time.
    pub until: Option<DateTime<Utc>>,
}

/// Makes stored events be processed again, by the current code; effects that happened before are not repeated. Returns their ids.
///
/// # Errors
/// When the database cannot be reached.
pub async fn replay(conn: &mut PgConn, which: &Replay, now: DateTime<Utc>) -> Result<Vec<String>, DbError> {
    let mut query = stripe_events::table
        .select(stripe_events::id)
        .filter(stripe_events::state.ne(EventState::Received))
        .order(stripe_events::received_at.asc())
        .into_boxed();
    query = match &which.id {
        Some(id) => query.filter(stripe_events::id.eq(id)),
        // An event without a type is processed again only if its id is named.
        None => query.filter(stripe_events::type_.is_not_null()),
    };
    if let Some(name) = &which.event_type {
        query = match name.strip_suffix('*') {
            Some(start) => query.filter(stripe_events::type_.like(format!("{}%", literal(start)))),
            None => query.filter(stripe_events::type_.eq(name)),
        };
    }
    if let Some(state) = which.state {
        query = query.filter(stripe_events::state.eq(state));
    }
    if let Some(since) = which.since {
        query = query.filter(stripe_events::received_at.ge(since));
    }
    if let Some(until) = which.until {
        query = query.filter(stripe_events::received_at.lt(until));
    }
    let ids: Vec<String> = query.load(conn).await?;
    // Parked events are tried again; if one is parked again, its alarm is raised again.
    alarms::close_all(conn, AlarmKind::EventParked, &ids, now).await?;
    diesel::update(stripe_events::table.filter(stripe_events::id.eq_any(&ids)))
        .set((
            stripe_events::state.eq(EventState::Received),
            stripe_events::processed_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await?;
    for id in &ids {
        jobs::insert(conn, &job_of(id, now)).await?;
    }
    Ok(ids)
}

/// Records that these events are processed; one that already is stays unchanged.
///
/// # Errors
/// When the database cannot be reached.
pub(crate) async fn mark_processed(
    conn: &mut PgConn,
    ids: &[String],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    let open = stripe_events::table
        .filter(stripe_events::id.eq_any(ids))
        .filter(stripe_events::state.ne(EventState::Processed));
    diesel::update(open)
        .set((
            stripe_events::state.eq(EventState::Processed),
            stripe_events::processed_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Drops the bodies of events that are old enough; returns how many. The description of an event stays, and so does the digest by which
/// another body under its id is noticed.
///
/// # Errors
/// When the database cannot be reached.
pub async fn drop_bodies(db: &Db, now: DateTime<Utc>) -> Result<usize, DbError> {
    let conn = &mut db.conn().await?;
    Ok(sql("UPDATE stripe_events SET encrypted_body = NULL WHERE id IN
             (SELECT id FROM stripe_events WHERE encrypted_body IS NOT NULL AND received_at < $1 - $2
               ORDER BY received_at LIMIT $3 FOR UPDATE SKIP LOCKED)")
    .bind::<Timestamptz, _>(now)
    .bind::<Interval, _>(BODIES_KEPT)
    .bind::<BigInt, _>(MOST_DROPPED)
    .execute(conn)
    .await?)
}

/// Escapes a text so that it has no wildcards for LIKE.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// Returns the stored event with this id.
///
/// # Errors
/// When the database cannot be reached.
pub async fn find(conn: &mut PgConn, id: &str) -> Result<Option<StoredEvent>, DbError> {
    type Row = (
        String,
        Option<String>,
        Option<String>,
        Option<String>,
        Option<bool>,
        EventState,
    );
    let row: Option<Row> = stripe_events::table
        .find(id)
        .select((
            stripe_events::id,
            stripe_events::type_,
            stripe_events::account,
            stripe_events::object_id,
            stripe_events::livemode,
            stripe_events::state,
        ))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(
        |(id, event_type, account, object_id, livemode, state)| StoredEvent {
            id,
            event_type: event_type.unwrap_or_default(),
            account,
            object_id,
            livemode,
            is_done: state != EventState::Received,
        },
    ))
}

/// Returns whether the event with this id is parked.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_parked(db: &Db, id: &str) -> Result<bool, DbError> {
    let parked = stripe_events::table
        .find(id)
        .filter(stripe_events::state.eq(EventState::Parked));
    Ok(diesel::select(diesel::dsl::exists(parked))
        .get_result(&mut db.conn().await?)
        .await?)
}

/// Records the final state of an event and the reason.
pub(super) async fn end(
    conn: &mut PgConn,
    id: &str,
    state: EventState,
    note: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(
        stripe_events::table
            .find(id)
            .filter(stripe_events::state.eq(EventState::Received)),
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
