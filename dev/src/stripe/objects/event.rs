//! Events: what happened, with a snapshot of the object. Snapshots are kept as JSON text, since there are many.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Id, Owner, Resource, fixture, shape};
use crate::stripe::clock::Moment;
use crate::stripe::list::Table;
use crate::stripe::state::State;

fixture!(EXAMPLE, "event");

/// Something that happened to an object.
#[derive(Debug, Clone)]
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
    /// Deliveries that have neither succeeded nor been given up.
    pub(crate) pending_webhooks: u32,
    /// Whether a webhook was to be sent and no 2xx has come.
    pub(crate) undelivered: bool,
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

    fn render(&self, _state: &State) -> Value {
        let mut fields = json!({
            "id": self.id,
            "created": self.created.seconds(),
            "api_version": self.api_version,
            "data": serde_json::from_str::<Value>(self.data.get()).unwrap_or_default(),
            "pending_webhooks": self.pending_webhooks,
            "request": { "id": self.request_id, "idempotency_key": self.idempotency_key },
            "type": self.kind,
        });
        if let (Some(account), Value::Object(fields)) = (self.owner.account(), &mut fields) {
            fields.insert("account".to_owned(), json!(account));
        }
        shape(&EXAMPLE, fields)
    }

    fn table(state: &State) -> &Table<Self> {
        &state.events
    }

    fn table_mut(state: &mut State) -> &mut Table<Self> {
        &mut state.events
    }
}
