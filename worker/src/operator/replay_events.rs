//! `replay-events`: processes stored Stripe events again.

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use serde_json::json;
use wallet_core::audit::{self, AuditRecord};
use wallet_core::db::{DbError, in_transaction};
use wallet_core::inbox::{self, EventState, Replay};
use wallet_core::reason::Reason;

use super::Session;
use super::moment;

/// Which stored events; at least one condition is needed, and an event must meet all that are given.
#[derive(Debug, Args)]
pub(crate) struct ReplayEvents {
    #[command(flatten)]
    which: Which,
    /// What was fixed, for the audit trail.
    #[arg(long)]
    reason: Option<Reason>,
}

/// The conditions, at least one.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Which {
    /// Only this event, evt_….
    #[arg(long)]
    id: Option<String>,
    /// Only events of this type; a trailing * stands for any ending, as in 'refund.*'.
    #[arg(long = "type")]
    event_type: Option<String>,
    /// Only events in this state.
    #[arg(long, value_parser = PossibleValuesParser::new(["parked", "ignored", "processed"]).try_map(|state| state.parse::<EventState>()))]
    state: Option<EventState>,
    /// Only events received at this moment or later: a day, as in 2026-11-24 (from its beginning, UTC), or a
    /// time, as in 2026-11-24T13:30:00Z.
    #[arg(long, value_name = "MOMENT", value_parser = moment::past)]
    since: Option<DateTime<Utc>>,
    /// Only events received before this moment, which must be in the past; without it, all until now.
    #[arg(long, value_name = "MOMENT", value_parser = moment::past)]
    until: Option<DateTime<Utc>>,
}

/// Queues stored events to be processed again.
pub(crate) async fn replay_events(session: &Session, how: ReplayEvents) -> anyhow::Result<()> {
    let ReplayEvents { which, reason } = how;
    let which = Replay {
        id: which.id,
        event_type: which.event_type,
        state: which.state,
        since: which.since,
        until: which.until,
    };
    let now = session.now();
    let replayed = in_transaction!(session.db, conn => {
        let replayed = inbox::replay(conn, &which, now).await?;
        // Many events make one record per thousand, since the size of a row is bounded.
        for events in replayed.chunks(1_000) {
            let entry = AuditRecord {
                detail: json!({ "events": events, "reason": reason.as_ref().map(Reason::as_str) }),
                ..AuditRecord::new(now, &session.actor, "replay_events")
            };
            audit::record(conn, &entry).await?;
        }
        Ok::<_, DbError>(replayed)
    })?;
    if replayed.is_empty() {
        bail!("no stored event fits; those that are still to be processed need no replay");
    }
    let summary = format!(
        "{} events are queued again; what has happened already changes nothing",
        replayed.len()
    );
    session.answer(
        &json!({ "replayed": replayed }),
        replayed.iter().cloned().chain([summary]),
    )
}
