//! Reads Stripe's list of events, of the platform or of a connected account, and stores those that no webhook delivered.
//!
//! The list begins with the newest event. After each page the job records how far down the reading has come, so
//! that an interrupted reading continues from there, however long the list is and however often Stripe fails.

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

/// The number of attempts after which a refused reading of the platform's events is parked: some minutes.
const MOST_REFUSED: i32 = 8;
const REFUSED: &str = "Stripe refuses to list its events";

/// The job's payload.
#[derive(Debug, Serialize, Deserialize)]
struct Reading {
    v: u32,
    /// The connected account; `""` is the platform.
    account: String,
    /// The moment from which on the list is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// The oldest event read so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read_down_to: Option<String>,
    /// When the newest event read so far happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<DateTime<Utc>>,
    /// Whether a page of the list was refused since the job began: from then on every attempt counts, even if it makes progress.
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
            // A refusal of the platform's own list is temporary, or concerns the event from which the reading continued, which
            // Stripe no longer has. So the reading starts over, and a requeued job does not continue from that event either.
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
            // Another worker has claimed the job and continues.
            return Ok(());
        }
    }
    // After an empty list, the next reading starts from the same moment, however much later it is.
    if let Some(read_until) = reading.newest.or(reading.since) {
        janitor::record_reading(&mut *worker.db.conn().await?, &reading.account, read_until).await?;
    }
    worker.finish(job).await
}

/// Returns the query with which the reading begins or continues.
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

/// Whether the account is closed, no longer connected, or does not let us read its events: then this reading finds none.
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
