//! One entry of a transaction's timeline.

use async_graphql::SimpleObject;
use wallet_core::transactions::TimelineEntry;

use crate::graphql::scalars::DateTime;

/// One step, attempt or answer in the course of a transaction.
#[derive(Debug, SimpleObject)]
pub(crate) struct TransactionEvent {
    /// When it happened.
    at: DateTime,
    /// Its kind: accepted, attempt, stripe_answer, stripe_event, waiting, posted, completed, failed, cancelled or
    /// needs_review.
    kind: String,
    /// What happened, in words.
    message: String,
    /// Ids and codes, for support.
    detail: Option<serde_json::Value>,
}

impl From<TimelineEntry> for TransactionEvent {
    fn from(entry: TimelineEntry) -> Self {
        Self {
            at: entry.at.into(),
            kind: entry.kind,
            message: entry.message,
            detail: entry.detail,
        }
    }
}
