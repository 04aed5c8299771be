//! Reads Stripe's list of events, of the platform or of a connected account, and stores those that no webhook brought.

use wallet_core::inbox::{self, Source};
use wallet_core::janitor;
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{AccountId, CallError, Disposition, EventCursor, EventQuery, Lane};

use crate::outcome::JobError;
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let name = job.payload.get("account").and_then(|account| account.as_str());
    let name = name.ok_or_else(|| JobError::Park("the job names no account".to_owned()))?;
    let account: Option<AccountId> = match name {
        "" => None,
        id => Some(
            id.parse()
                .map_err(|_| JobError::Park(format!("{id} is no account")))?,
        ),
    };
    let now = worker.clock.now();
    let since = {
        let conn = &mut worker.db.conn().await?;
        janitor::read_since(conn, name, now).await?
    };
    let mut query = EventQuery {
        account,
        cursor: None,
        created_since: Some(since),
    };
    let mut newest = None;
    loop {
        let question = worker.calls.gateway().list_events(&query);
        let page = match worker.calls.ask(Lane::Maintenance, question).await {
            // The account is closed or no longer connected: it has no events for us any more.
            Err(CallError::Gateway(error))
                if !name.is_empty()
                    && matches!(
                        error.disposition(),
                        Disposition::FailDefinite | Disposition::NeedsReview | Disposition::PauseLane
                    ) =>
            {
                return worker.finish(job).await;
            }
            page => page?,
        };
        let Some(oldest) = page.events.last().and_then(|event| event.envelope.id.clone()) else {
            break;
        };
        newest = newest.max(
            page.events
                .iter()
                .filter_map(|event| event.envelope.created)
                .max(),
        );
        let ids: Vec<String> = page
            .events
            .iter()
            .filter_map(|event| Some(event.envelope.id.as_ref()?.as_str().to_owned()))
            .collect();
        let unknown = inbox::unknown_of(&mut *worker.db.conn().await?, &ids).await?;
        for event in &page.events {
            let is_unknown = event
                .envelope
                .id
                .as_ref()
                .is_some_and(|id| unknown.iter().any(|unknown| unknown == id.as_str()));
            if is_unknown {
                let source = Source::List {
                    account: query.account.as_ref(),
                };
                worker.inbox.receive(source, &event.body, false).await?;
            }
        }
        if !unknown.is_empty() {
            tracing::info!(
                account = name,
                events = unknown.len(),
                "events that no webhook has brought"
            );
            worker.dispatcher.wake();
        }
        if !page.has_more {
            break;
        }
        query.cursor = Some(EventCursor::OlderThan(oldest));
    }
    if let Some(newest) = newest {
        janitor::record_reading(&mut *worker.db.conn().await?, name, newest).await?;
    }
    worker.finish(job).await
}
