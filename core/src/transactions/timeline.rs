//! The timeline of a transaction: every step, attempt and answer, in words its owner understands.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use crate::db::schema::transaction_events;
use crate::db::{DbError, PgConn};
use crate::ids::TransactionId;

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimelineKind {
    /// The request was accepted.
    Accepted,
    /// A worker began an attempt that talks to Stripe.
    Attempt,
    /// Stripe answered.
    StripeAnswer,
    /// Stripe told something by an event.
    StripeEvent,
    /// Something is waited for.
    Waiting,
    /// Money was held, moved or given back.
    Posted,
    /// The transaction ended well.
    Completed,
    /// The transaction ended without effect.
    Failed,
    /// The transaction was taken back.
    Cancelled,
    /// A person has to look at it.
    NeedsReview,
}

impl TimelineKind {
    /// Its name in SQL and GraphQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Attempt => "attempt",
            Self::StripeAnswer => "stripe_answer",
            Self::StripeEvent => "stripe_event",
            Self::Waiting => "waiting",
            Self::Posted => "posted",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::NeedsReview => "needs_review",
        }
    }
}

/// One entry.
#[derive(Debug, Clone)]
pub struct TimelineEntry {
    /// When it happened, by the application's clock.
    pub at: DateTime<Utc>,
    /// What it is about, as [`TimelineKind::as_str`] names it.
    pub kind: String,
    /// What happened, for the owner.
    pub message: String,
    /// Ids and codes, for support.
    pub detail: Option<Value>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = transaction_events)]
#[diesel(check_for_backend(diesel::pg::Pg))]
struct EventRow {
    kind: String,
    message: String,
    detail: Option<Value>,
    created_at: DateTime<Utc>,
}

/// Every entry of a transaction, oldest first.
///
/// # Errors
/// When the database cannot be reached.
pub async fn timeline(conn: &mut PgConn, id: TransactionId) -> Result<Vec<TimelineEntry>, DbError> {
    let rows: Vec<EventRow> = transaction_events::table
        .filter(transaction_events::transaction_id.eq(id.uuid()))
        .order(transaction_events::id.asc())
        .select(EventRow::as_select())
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| TimelineEntry {
            at: row.created_at,
            kind: row.kind,
            message: row.message,
            detail: row.detail,
        })
        .collect())
}

/// The id of the newest entry of a transaction.
///
/// # Errors
/// When the database cannot be reached.
pub async fn newest_line(conn: &mut PgConn, id: TransactionId) -> Result<Option<Uuid>, DbError> {
    Ok(transaction_events::table
        .filter(transaction_events::transaction_id.eq(id.uuid()))
        .order(transaction_events::id.desc())
        .select(transaction_events::id)
        .first(conn)
        .await
        .optional()?)
}

/// Adds one entry outside a settlement: an attempt, an answer, a wait.
///
/// # Errors
/// When the database cannot be reached.
pub async fn record(
    conn: &mut PgConn,
    transaction: TransactionId,
    id: Uuid,
    at: DateTime<Utc>,
    kind: TimelineKind,
    message: &str,
    detail: Option<Value>,
) -> Result<(), DbError> {
    diesel::insert_into(transaction_events::table)
        .values((
            transaction_events::transaction_id.eq(transaction.uuid()),
            transaction_events::id.eq(id),
            transaction_events::kind.eq(kind.as_str()),
            transaction_events::message.eq(message),
            transaction_events::detail.eq(detail),
            transaction_events::created_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
