//! Events, for those that no webhook delivered.

use stripe_core::event::ListEvent;
use stripe_types::RangeQueryTs;

use super::PAGE;
use super::StripeClient;
use super::failure::unreadable;
use super::wire::Outgoing;
use crate::stripe::errors::StripeError;
use crate::stripe::event::Envelope;
use crate::stripe::params::{EventCursor, EventQuery};
use crate::stripe::types::{EventPage, StripeEvent};

impl StripeClient {
    /// Returns one page of events, newest first; the whole list may cover weeks.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn list_events(&self, query: &EventQuery) -> Result<EventPage, StripeError> {
        self.once("list_events", async {
            let mut request = ListEvent::new().limit(PAGE);
            if let Some(since) = query.created_since {
                request = request.created(RangeQueryTs::gte(since.timestamp()));
            }
            match &query.cursor {
                Some(EventCursor::NewerThan(event)) => request = request.ending_before(event.as_str()),
                Some(EventCursor::OlderThan(event)) => request = request.starting_after(event.as_str()),
                None => {}
            }
            let page = Outgoing::of(&request)
                .on(query.account.as_ref())
                .send(self)
                .await?;
            let events = page.data.iter().map(convert).collect::<Result<_, _>>()?;
            Ok(EventPage {
                events,
                has_more: page.has_more,
            })
        })
        .await
    }
}

/// Converts an event. The library keeps its object as plain JSON, so one in the shape of another API version is no error.
fn convert(event: &stripe_shared::Event) -> Result<StripeEvent, StripeError> {
    let body = serde_json::to_vec(event).map_err(|why| unreadable(&why.to_string()))?;
    let envelope = Envelope::from_json(&body).map_err(|why| unreadable(&why.to_string()))?;
    Ok(StripeEvent { envelope, body })
}
