//! `replay-events`.

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use wallet_core::config::WorkerConfig;
use wallet_core::db::in_transaction;
use wallet_core::inbox::{self, Replay};

use super::{clock, connect, say};

/// Which stored events; at least one condition, and all of them hold together.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ReplayEvents {
    /// Only this one, evt_….
    #[arg(long)]
    id: Option<String>,
    /// Only of this type; a trailing * stands for any ending, as in 'refund.*'.
    #[arg(long = "type")]
    event_type: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = ["parked", "ignored", "processed"])]
    state: Option<String>,
    /// Only those received at this time or later, as in 2026-11-24T00:00:00Z.
    #[arg(long)]
    since: Option<DateTime<Utc>>,
    /// Only those received before this time.
    #[arg(long)]
    until: Option<DateTime<Utc>>,
}

/// Has stored events processed again.
pub(crate) async fn replay_events(config: &WorkerConfig, which: ReplayEvents) -> anyhow::Result<()> {
    let db = connect(config).await?;
    let which = Replay {
        id: which.id,
        event_type: which.event_type,
        state: which.state,
        since: which.since,
        until: which.until,
    };
    let now = clock().now();
    let replayed = in_transaction!(db, conn => inbox::replay(conn, &which, now).await)?;
    if replayed.is_empty() {
        bail!("no stored event fits; those that are still to be processed need no replay");
    }
    for id in &replayed {
        say(id)?;
    }
    say(&format!(
        "{} events are queued again; what has happened already changes nothing",
        replayed.len()
    ))
}
