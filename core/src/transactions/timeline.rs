//! The timeline of a transaction: every step, attempt and answer, in words its owner understands.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use crate::db::schema::transaction_events;
use crate::db::types::column_of;
use crate::db::{DbError, PgConn, sql};
use crate::ids::TransactionId;
use crate::text_limits::{MOST_MESSAGE, bounded, shortened};

/// The subject of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[derive(IntoStaticStr, AsExpression, FromSqlRow, EnumString, VariantArray)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum TimelineKind {
    /// The request was accepted.
    Accepted,
    /// A worker began an attempt that calls Stripe.
    Attempt,
    /// Stripe answered.
    StripeAnswer,
    /// Stripe reported something by an event.
    StripeEvent,
    /// The transaction waits for something.
    Waiting,
    /// Money was held, moved or released.
    Posted,
    /// The transaction was completed.
    Completed,
    /// The transaction ended without effect.
    Failed,
    /// The transaction was cancelled.
    Cancelled,
    /// An operator must decide.
    NeedsReview,
    /// The timeline is nearly full: repeated lines are left out from here on.
    Shortened,
}

column_of!(TimelineKind, Text);

/// The maximum number of lines of a timeline. Repeated lines (attempts, answers, waits) are written up to a lower number and then left out,
/// which one line says. Lines about moved money or an operator's decision are written up to this number, and the end in any case.
pub const MOST_LINES: usize = 200;
/// The number of lines above which repeated lines are left out.
const USUAL_LINES: i64 = 150;
/// The maximum number of lines that are read: longer timelines were written before there was a limit.
const MOST_READ: i64 = 256;
const SHORTENED: &str = "the timeline is long; further attempts and waits are left out";

/// One entry of a timeline.
#[derive(Debug, Clone)]
pub struct TimelineEntry {
    /// When it happened, by the application's clock.
    pub at: DateTime<Utc>,
    /// Its subject, as [`TimelineKind::as_str`] names it.
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

/// Returns every entry of a transaction, oldest first; of a very long timeline only the newest entries.
///
/// # Errors
/// If the database cannot be reached.
pub async fn timeline(conn: &mut PgConn, id: TransactionId) -> Result<Vec<TimelineEntry>, DbError> {
    let rows: Vec<EventRow> = transaction_events::table
        .filter(transaction_events::transaction_id.eq(id.uuid()))
        .order(transaction_events::id.desc())
        .limit(MOST_READ)
        .select(EventRow::as_select())
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .rev()
        .map(|row| TimelineEntry {
            at: row.created_at,
            kind: row.kind,
            message: row.message,
            detail: row.detail,
        })
        .collect())
}

#[derive(QueryableByName)]
struct LineRow {
    #[diesel(sql_type = SqlUuid)]
    transaction_id: Uuid,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    message: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    detail: Option<Value>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

/// Returns the timelines of several transactions, each like [`timeline`], by one statement; those without entries are left out.
///
/// # Errors
/// If the database cannot be reached.
pub async fn timelines(
    conn: &mut PgConn,
    ids: &[TransactionId],
) -> Result<HashMap<TransactionId, Vec<TimelineEntry>>, DbError> {
    let mut found: HashMap<TransactionId, Vec<TimelineEntry>> = HashMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows: Vec<LineRow> = sql(
        "SELECT t.id AS transaction_id, e.kind, e.message, e.detail, e.created_at FROM unnest($1) AS t (id)
          CROSS JOIN LATERAL (SELECT id, kind, message, detail, created_at FROM transaction_events
                               WHERE transaction_id = t.id ORDER BY id DESC LIMIT $2) AS e
          ORDER BY t.id, e.id",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<BigInt, _>(MOST_READ)
    .load(conn)
    .await?;
    for row in rows {
        let lines = found
            .entry(TransactionId::from_uuid(row.transaction_id))
            .or_default();
        lines.push(TimelineEntry {
            at: row.created_at,
            kind: row.kind,
            message: row.message,
            detail: row.detail,
        });
    }
    Ok(found)
}

/// Returns the ids of the newest entries of several transactions, in no order; those without entries are left out.
///
/// # Errors
/// If the database cannot be reached.
pub async fn newest_lines(
    conn: &mut PgConn,
    ids: &[TransactionId],
) -> Result<Vec<(TransactionId, Uuid)>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let found: Vec<NewestLine> = sql(
        "SELECT t.id AS transaction_id, e.id AS line FROM unnest($1) AS t (id)
          CROSS JOIN LATERAL (SELECT id FROM transaction_events WHERE transaction_id = t.id ORDER BY id DESC LIMIT 1) AS e",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .load(conn)
    .await?;
    let typed = |row: NewestLine| (TransactionId::from_uuid(row.transaction_id), row.line);
    Ok(found.into_iter().map(typed).collect())
}

#[derive(QueryableByName)]
struct NewestLine {
    #[diesel(sql_type = SqlUuid)]
    transaction_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    line: Uuid,
}

/// Adds one entry outside a settlement: an attempt, an answer, a wait.
///
/// # Errors
/// If the database cannot be reached.
pub async fn record(
    conn: &mut PgConn,
    transaction: TransactionId,
    id: Uuid,
    at: DateTime<Utc>,
    kind: TimelineKind,
    message: &str,
    detail: Option<Value>,
) -> Result<(), DbError> {
    let line = NewLine {
        transaction,
        id,
        kind,
        message,
        detail: detail.as_ref(),
    };
    record_lines(conn, at, &[line]).await
}

/// A line to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewLine<'a> {
    /// The transaction to which it belongs.
    pub(crate) transaction: TransactionId,
    /// Its id, which determines its place among the other lines.
    pub(crate) id: Uuid,
    /// Its subject.
    pub(crate) kind: TimelineKind,
    /// What happened, for the owner.
    pub(crate) message: &'a str,
    /// Ids and codes, for support.
    pub(crate) detail: Option<&'a Value>,
}

/// Writes lines of any transactions, shortened to the limits in [`crate::text_limits`], and only those for which their timelines have room. This is
/// the only place that adds to a timeline.
///
/// # Errors
/// If the database cannot be reached.
pub(crate) async fn record_lines(
    conn: &mut PgConn,
    at: DateTime<Utc>,
    lines: &[NewLine<'_>],
) -> Result<(), DbError> {
    sql(
        "WITH new AS (
             SELECT n.*, t.lines + row_number() OVER (PARTITION BY n.transaction_id ORDER BY n.id) AS number, t.is_shortened,
                    n.kind IN ('completed', 'failed', 'cancelled') AS is_end,
                    n.kind IN ('accepted', 'posted', 'needs_review') AS is_kept
               FROM unnest($1, $2, $3, $4, $5) AS n (transaction_id, id, kind, message, detail)
              CROSS JOIN LATERAL (
                  SELECT count(*) AS lines, coalesce(bool_or(e.kind = 'shortened'), false) AS is_shortened
                    FROM (SELECT kind FROM transaction_events WHERE transaction_id = n.transaction_id LIMIT $8) AS e) AS t),
         placed AS (
             SELECT new.*, is_end OR number <= $7 OR (is_kept AND number <= $8) AS has_room FROM new),
         told AS (
             SELECT placed.*, NOT has_room AND NOT is_shortened
                    AND row_number() OVER (PARTITION BY transaction_id, has_room ORDER BY id) = 1 AS tells_of_others
               FROM placed)
         INSERT INTO transaction_events (transaction_id, id, kind, message, detail, created_at)
         SELECT transaction_id, id, CASE WHEN has_room THEN kind ELSE 'shortened' END,
                CASE WHEN has_room THEN message ELSE $9 END, CASE WHEN has_room THEN detail END, $6
           FROM told WHERE has_room OR tells_of_others",
    )
    .bind::<Array<SqlUuid>, _>(lines.iter().map(|line| line.transaction.uuid()).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(lines.iter().map(|line| line.id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(lines.iter().map(|line| line.kind.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(lines.iter().map(|line| shortened(line.message, MOST_MESSAGE)).collect::<Vec<_>>())
    .bind::<Array<Nullable<Jsonb>>, _>(lines.iter().map(|line| line.detail.map(|detail| bounded(detail).into_owned())).collect::<Vec<_>>())
    .bind::<Timestamptz, _>(at)
    .bind::<BigInt, _>(USUAL_LINES)
    .bind::<BigInt, _>(i64::try_from(MOST_LINES).unwrap_or(i64::MAX))
    .bind::<Text, _>(SHORTENED)
    .execute(conn)
    .await?;
    Ok(())
}

/// The field in the `detail` of a [`TimelineKind::Waiting`] line that names what is waited for, as a keyword.
const WAITS_FOR: &str = "waitsFor";

/// Records what a transaction waits for, unless that was recorded since `since`; returns whether it was recorded now.
///
/// # Errors
/// If the database cannot be reached.
pub async fn record_waiting(
    conn: &mut PgConn,
    transaction: TransactionId,
    (id, at): (Uuid, DateTime<Utc>),
    (waits_for, message): (&str, &str),
    since: DateTime<Utc>,
) -> Result<bool, DbError> {
    let lines: Vec<Option<Value>> = transaction_events::table
        .filter(transaction_events::transaction_id.eq(transaction.uuid()))
        .filter(transaction_events::kind.eq(TimelineKind::Waiting.as_str()))
        .filter(transaction_events::created_at.ge(since))
        .order(transaction_events::id.desc())
        .limit(100)
        .select(transaction_events::detail)
        .load(conn)
        .await?;
    let says = |detail: &Value| detail.get(WAITS_FOR).and_then(Value::as_str) == Some(waits_for);
    if lines.iter().flatten().any(says) {
        return Ok(false);
    }
    let detail = Some(json!({ WAITS_FOR: waits_for }));
    record(conn, transaction, id, at, TimelineKind::Waiting, message, detail).await?;
    Ok(true)
}
