//! The ends of an event that no settlement writes.

use chrono::{DateTime, Utc};

use super::store;
use crate::alarms;
use crate::db::{Db, DbError, in_transaction};
use crate::jobs::{self, Claim};

/// What becomes of an event that settles nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventEnd {
    /// Understood, and without consequence.
    Processed,
    /// About nothing of ours.
    Ignored,
    /// A person has to look at it.
    Parked,
}

impl EventEnd {
    /// Its name in SQL and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Ignored => "ignored",
            Self::Parked => "parked",
        }
    }
}

/// Ends an event, for the reason in `note`, and the job that has looked at it; says whether the job's claim was still valid.
///
/// # Errors
/// When the database cannot be reached.
pub async fn close(
    db: &Db,
    claim: Claim,
    event: &str,
    end: EventEnd,
    note: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    in_transaction!(db, conn => {
        let is_ours = jobs::finish(conn, &[claim], now).await? == 1;
        if is_ours {
            store::end(conn, event, end, note, now).await?;
            if end == EventEnd::Parked {
                alarms::raise(conn, alarms::EVENT_PARKED, event, note, now).await?;
            }
        }
        Ok::<_, DbError>(is_ours)
    })
}
