//! Events: what happened, with a snapshot of the object. Snapshots are stored as JSON text, since there are many.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Around, Id, Owner, Resource};
use crate::clock::Moment;

/// Something that happened to an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: Id<Event>,
    pub(crate) owner: Owner,
    pub(crate) created: Moment,
    pub(crate) kind: String,
    /// The event's `data`: the object's snapshot and, for updates, the previous values.
    pub(crate) data: Box<RawValue>,
    pub(crate) api_version: String,
    pub(crate) request_id: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    /// The number of deliveries that have neither succeeded nor been given up.
    pub(crate) pending_webhooks: u32,
    /// Whether a webhook was to be sent and has not been answered with a 2xx.
    pub(crate) undelivered: bool,
}

/// Stripe's JSON of an event, without a copy of the snapshot in it.
#[derive(Serialize)]
pub(crate) struct EventView<'a> {
    id: &'a Id<Event>,
    object: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    api_version: &'a str,
    created: i64,
    data: &'a RawValue,
    livemode: bool,
    pending_webhooks: u32,
    request: RequestView<'a>,
    r#type: &'a str,
}

#[derive(Serialize)]
struct RequestView<'a> {
    id: Option<&'a str>,
    idempotency_key: Option<&'a str>,
}

impl Event {
    /// Returns Stripe's JSON of it, to be written as text.
    pub(crate) fn view(&self) -> EventView<'_> {
        EventView {
            id: &self.id,
            object: "event",
            account: self.owner.account(),
            api_version: &self.api_version,
            created: self.created.seconds(),
            data: &self.data,
            livemode: false,
            pending_webhooks: self.pending_webhooks,
            request: RequestView {
                id: self.request_id.as_deref(),
                idempotency_key: self.idempotency_key.as_deref(),
            },
            r#type: &self.kind,
        }
    }
}

impl Resource for Event {
    const PREFIX: &'static str = "evt_";
    const NOUN: &'static str = "event";

    fn id(&self) -> &Id<Self> {
        &self.id
    }

    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn created(&self) -> Moment {
        self.created
    }

    fn render(&self, _around: &dyn Around) -> Value {
        serde_json::to_value(self.view()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn an_event_has_the_fields_of_stripe_s_example() {
        let event = Event {
            id: Id::generate(),
            owner: Owner::Platform,
            created: Clock::default().now(),
            kind: "customer.created".to_owned(),
            data: RawValue::from_string(r#"{"object":{}}"#.to_owned()).unwrap(),
            api_version: "2026-09-30.endive".to_owned(),
            request_id: None,
            idempotency_key: None,
            pending_webhooks: 0,
            undelivered: false,
        };
        let example: Value = serde_json::from_str(include_str!("../../fixtures/event.json")).unwrap();
        let rendered: Value = serde_json::from_str(&serde_json::to_string(&event.view()).unwrap()).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&rendered), keys(&example));
    }
}
