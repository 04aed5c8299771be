//! `/v1/events`, and how all other resources emit events.

use serde::Serialize;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use super::{Call, Route, TextAnswer, allow_list};
use crate::errors::ApiError;
use crate::faults::{EventSubject, WebhookFault, glob};
use crate::form::Params;
use crate::list::Page;
use crate::objects::{Event, EventView, GroupBy, Id, Owner, Resource, group};
use crate::state::{Delivery, Origin, State, Timer};
use rand::Rng;

pub(super) const ROUTES: &[Route] = &[
    Route::text("/v1/events", "events.list", list),
    Route::text("/v1/events/{}", "events.retrieve", retrieve),
];

/// The maximum number of types that Stripe accepts in `types`.
const MOST_TYPES: usize = 20;

fn list(state: &mut State, call: &Call) -> TextAnswer {
    allow_list(call, &["type", "types", "delivery_success"])?;
    let wanted = Wanted::from_params(&call.params)?;
    let delivered = call.params.boolean("delivery_success")?;
    let page = Page::from_params(&call.params)?;
    let own = group(GroupBy::Owner, call.owner.key());
    let page = page.not_before(oldest(state));
    let (events, has_more) = page.pick(&state.events, &own, |event| {
        wanted.fits(&event.kind) && delivered.is_none_or(|delivered| delivered != event.undelivered)
    })?;
    let data = events.into_iter().map(Event::view).collect();
    Ok(text(&EventList {
        object: "list",
        url: &call.path,
        has_more,
        data,
    }))
}

fn retrieve(state: &mut State, call: &Call) -> TextAnswer {
    call.params.allow_only(&[])?;
    let event = state.find::<Event>(&call.owner, call.id())?;
    if event.created.seconds() < oldest(state) {
        return Err(ApiError::not_found(Event::NOUN, call.id()));
    }
    Ok(text(&event.view()))
}

/// Returns the second from which on events are still kept.
fn oldest(state: &State) -> i64 {
    state
        .now()
        .seconds()
        .saturating_sub_unsigned(state.settings.event_retention_s)
}

/// The event types that a list request selects.
enum Wanted<'a> {
    All,
    /// One type, or a group of them with `*` as wildcard.
    Pattern(&'a str),
    /// Any of these.
    Listed(Vec<&'a str>),
}

impl<'a> Wanted<'a> {
    /// Reads `type` or `types[]`.
    ///
    /// # Errors
    /// When both are given, or more than 20 types.
    fn from_params(params: &'a Params) -> Result<Self, ApiError> {
        let listed = params.list("types");
        if listed.len() > MOST_TYPES {
            let message = format!("Array must have at most {MOST_TYPES} elements.");
            return Err(ApiError::invalid_param("types", message));
        }
        match (params.text("type"), listed.is_empty()) {
            (Some(_), false) => {
                let message = "You may only specify one of these parameters: type, types.".to_owned();
                Err(ApiError::invalid_param("types", message))
            }
            (Some(pattern), true) => Ok(Self::Pattern(pattern)),
            (None, false) => Ok(Self::Listed(listed)),
            (None, true) => Ok(Self::All),
        }
    }

    fn fits(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Pattern(pattern) => glob(pattern, kind),
            Self::Listed(listed) => listed.contains(&kind),
        }
    }
}

fn text(view: &impl Serialize) -> String {
    serde_json::to_string(view).unwrap_or_default()
}

/// The `data` of an event.
#[derive(Serialize)]
struct Data<'a> {
    object: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_attributes: Option<&'a Value>,
}

/// Stripe's list object of events, written as text, since the snapshots are text already.
#[derive(Serialize)]
struct EventList<'a> {
    object: &'static str,
    url: &'a str,
    has_more: bool,
    data: Vec<EventView<'a>>,
}

impl State {
    /// Creates an event with a snapshot of `object` and plans its webhook.
    pub(crate) fn emit(
        &mut self,
        origin: &Origin,
        owner: &Owner,
        kind: &str,
        object: &Value,
        previous: Option<Value>,
    ) -> Id<Event> {
        let id = Id::generate();
        let created = self.now();
        let plan = self.webhook_plan(kind, owner);
        self.events.insert(Event {
            id: Id::clone(&id),
            owner: owner.clone(),
            created,
            kind: kind.to_owned(),
            data: to_raw_value(&Data {
                object,
                previous_attributes: previous.as_ref(),
            })
            .unwrap_or_default(),
            api_version: self.settings.api_version.clone(),
            request_id: origin.request_id.clone(),
            idempotency_key: origin.idempotency_key.clone(),
            pending_webhooks: u32::from(plan.is_some()),
            undelivered: plan.is_some(),
        });
        if let Some(fault) = plan.filter(|fault| !fault.drop) {
            self.plan_webhooks(&id, &fault);
        }
        id
    }

    /// Creates an update event whose `previous_attributes` are the differences between the two snapshots.
    pub(crate) fn emit_update(
        &mut self,
        origin: &Origin,
        owner: &Owner,
        kind: &str,
        before: &Value,
        after: &Value,
    ) {
        self.emit(origin, owner, kind, after, Some(changed(before, after)));
    }

    /// Sends an event's webhook again, now.
    pub(crate) fn resend(&mut self, id: &Id<Event>) {
        self.ready.push(Delivery {
            event: id.clone(),
            attempt: 0,
            retried: false,
            bad_signature: false,
        });
    }

    /// Returns the fault that applies to the event's webhook, or `None` if the endpoint does not subscribe to such events.
    fn webhook_plan(&mut self, kind: &str, owner: &Owner) -> Option<WebhookFault> {
        let wanted = self.webhook.as_ref().map(|target| &target.enabled_events)?;
        if !wanted.is_empty() && !wanted.iter().any(|pattern| glob(pattern, kind)) {
            return None;
        }
        let subject = EventSubject {
            kind,
            account: owner.account(),
        };
        Some(
            self.webhook_faults
                .select(&subject, &mut self.rng)
                .unwrap_or_default(),
        )
    }

    fn plan_webhooks(&mut self, event: &Id<Event>, fault: &WebhookFault) {
        for copy in 0..=fault.duplicate {
            let delivery = Delivery {
                event: event.clone(),
                attempt: 0,
                retried: copy == 0,
                bad_signature: fault.bad_signature,
            };
            let shuffled = if fault.reorder_ms == 0 {
                0
            } else {
                self.rng.random_range(0..=fault.reorder_ms)
            };
            match fault.delay_ms.saturating_add(shuffled) {
                0 => self.ready.push(delivery),
                delay => self.plan(delay, Timer::Deliver(delivery)),
            }
        }
    }
}

/// Returns the fields of `before` that differ in `after`; nested objects are compared field by field.
fn changed(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return before.clone();
    };
    let mut previous = Map::new();
    for (key, old) in before {
        match after.get(key) {
            Some(new) if new == old => {}
            Some(new @ Value::Object(_)) if old.is_object() => {
                previous.insert(key.clone(), changed(old, new));
            }
            _ => {
                previous.insert(key.clone(), old.clone());
            }
        }
    }
    for key in after.keys().filter(|key| !before.contains_key(*key)) {
        previous.insert(key.clone(), Value::Null);
    }
    Value::Object(previous)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn previous_attributes_name_only_what_changed() {
        let before = json!({ "a": 1, "b": { "x": 1, "y": 2 }, "c": 3 });
        let after = json!({ "a": 1, "b": { "x": 1, "y": 5 }, "c": 4, "d": 5 });
        assert_eq!(
            changed(&before, &after),
            json!({ "b": { "y": 2 }, "c": 3, "d": null })
        );
    }
}
