//! The ends of an event that no settlement writes.

use chrono::{DateTime, Utc};

use super::{EventState, store};
use crate::alarms::{self, AlarmKind};
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

impl From<EventEnd> for EventState {
    fn from(end: EventEnd) -> Self {
        match end {
            EventEnd::Processed => Self::Processed,
            EventEnd::Ignored => Self::Ignored,
            EventEnd::Parked => Self::Parked,
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
            store::end(conn, event, end.into(), note, now).await?;
            if end == EventEnd::Parked {
                alarms::raise(conn, AlarmKind::EventParked, event, note, now).await?;
            }
        }
        Ok::<_, DbError>(is_ours)
    })
}
