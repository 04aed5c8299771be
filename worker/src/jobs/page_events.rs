//! Reads Stripe's list of events, of the platform or of a connected account, and stores those that no webhook brought.
//!
//! The list begins with the newest event. How far down a reading has come is kept in the job after each page, so that one that is
//! interrupted goes on from there, however long the list is and however often Stripe fails.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wallet_core::inbox::{self, Source};
use wallet_core::janitor;
use wallet_core::jobs::{self, ClaimedJob};
use wallet_core::stripe::{
    AccountId, CallError, Disposition, EventCursor, EventId, EventPage, EventQuery, Lane,
};

use crate::job_error::JobError;
use crate::worker::Worker;

/// So often a refused reading of the platform's events is tried before a person is called: some minutes.
const MOST_REFUSED: i32 = 8;
const REFUSED: &str = "Stripe refuses to list its events";

/// The job's payload.
#[derive(Debug, Serialize, Deserialize)]
struct Reading {
    v: u32,
    /// The connected account; `""` is the platform.
    account: String,
    /// From when on the list is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// The oldest event read so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read_down_to: Option<String>,
    /// When the newest event happened that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<DateTime<Utc>>,
    /// Whether a page of the list was refused since the job began: then every try counts, however far it comes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    was_refused: bool,
}

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let mut reading: Reading = serde_json::from_value(job.payload.clone())
        .map_err(|error| JobError::Park(format!("the job's payload cannot be read: {error}")))?;
    let mut query = first_query(worker, &mut reading).await?;
    loop {
        let question = worker.calls.client().list_events(&query);
        let page = match worker.calls.ask(Lane::Maintenance, question).await {
            Err(CallError::Stripe(error)) if query.account.is_some() && is_refused(error.disposition()) => {
                return worker.finish(job).await;
            }
            // Of the platform's own list a refusal passes, or is about the event from which the reading went on, which Stripe no longer has: it begins
            // anew, and whoever requeues the job does not ask from there either.
            Err(CallError::Stripe(error)) if is_refused(error.disposition()) => {
                reading.read_down_to = None;
                reading.was_refused = true;
                jobs::record_payload(&mut *worker.db.conn().await?, job.claim, json!(reading)).await?;
                return Err(if job.attempts >= MOST_REFUSED {
                    JobError::Park(format!("{REFUSED} ({})", error.for_operators()))
                } else {
                    JobError::NotYet(REFUSED)
                });
            }
            page => page?,
        };
        let Some(oldest) = page.events.last().and_then(|event| event.envelope.id.clone()) else {
            break;
        };
        store_unknown(worker, &query, &page).await?;
        let newest = page
            .events
            .iter()
            .filter_map(|event| event.envelope.created)
            .max();
        reading.newest = reading.newest.max(newest);
        if !page.has_more {
            break;
        }
        reading.read_down_to = Some(oldest.as_str().to_owned());
        query.cursor = Some(EventCursor::OlderThan(oldest));
        let conn = &mut worker.db.conn().await?;
        let is_kept = if reading.was_refused {
            jobs::record_payload(conn, job.claim, json!(reading)).await?
        } else {
            jobs::record_progress(conn, job.claim, json!(reading)).await?
        };
        if !is_kept {
            // Whoever has taken over goes on.
            return Ok(());
        }
    }
    // An empty list is read from the same moment on the next time, however much later that is.
    if let Some(read_until) = reading.newest.or(reading.since) {
        janitor::record_reading(&mut *worker.db.conn().await?, &reading.account, read_until).await?;
    }
    worker.finish(job).await
}

/// Where the reading begins, or goes on.
async fn first_query(worker: &Worker, reading: &mut Reading) -> Result<EventQuery, JobError> {
    let account: Option<AccountId> = match reading.account.as_str() {
        "" => None,
        id => Some(
            id.parse()
                .map_err(|_| JobError::Park(format!("{id} is no account")))?,
        ),
    };
    let since = match reading.since {
        Some(since) => since,
        None => {
            let conn = &mut worker.db.conn().await?;
            janitor::read_since(conn, &reading.account, worker.clock.now()).await?
        }
    };
    reading.since = Some(since);
    let cursor: Option<EventId> = reading.read_down_to.as_deref().and_then(|id| id.parse().ok());
    Ok(EventQuery {
        account,
        cursor: cursor.map(EventCursor::OlderThan),
        created_since: Some(since),
    })
}

/// The account is closed, no longer connected, or does not let us read its events: this time there are none.
const fn is_refused(disposition: Disposition) -> bool {
    matches!(
        disposition,
        Disposition::FailDefinite | Disposition::NeedsReview | Disposition::RetryThenReview
    )
}

async fn store_unknown(worker: &Worker, query: &EventQuery, page: &EventPage) -> Result<(), JobError> {
    let id_of = |event: &wallet_core::stripe::StripeEvent| {
        event.envelope.id.as_ref().map(|id| id.as_str().to_owned())
    };
    let ids: Vec<String> = page.events.iter().filter_map(id_of).collect();
    let unknown = inbox::unknown_of(&mut *worker.db.conn().await?, &ids).await?;
    if unknown.is_empty() {
        return Ok(());
    }
    for event in &page.events {
        if id_of(event).is_some_and(|id| unknown.contains(&id)) {
            let source = Source::List {
                account: query.account.as_ref(),
            };
            worker.inbox.receive(source, &event.body).await?;
        }
    }
    let account = query.account.as_ref().map(AccountId::as_str);
    tracing::info!(
        account,
        events = unknown.len(),
        "events that no webhook has brought"
    );
    worker.dispatcher.wake();
    Ok(())
}
