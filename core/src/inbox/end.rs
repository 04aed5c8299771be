//! Ends events that no settlement ends.

use chrono::{DateTime, Utc};

use super::{EventState, store};
use crate::alarms::{self, AlarmKind};
use crate::db::{Db, DbError, in_transaction};
use crate::jobs::{self, Claim};

/// The final state of an event that settles nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventEnd {
    /// Understood, and without consequence.
    Processed,
    /// About an object that we did not create.
    Ignored,
    /// An operator must decide about it.
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

/// Ends an event, with the reason in `note`, and the job that processed it; returns whether the job's claim was still valid.
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
        let is_valid = jobs::finish(conn, &[claim], now).await? == 1;
        if is_valid {
            store::end(conn, event, end.into(), note, now).await?;
            if end == EventEnd::Parked {
                alarms::raise(conn, AlarmKind::EventParked, event, note, now).await?;
            }
        }
        Ok::<_, DbError>(is_valid)
    })
}
