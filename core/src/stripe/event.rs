//! The envelope of an event: the few fields that we read from a body whose signature was valid.
//!
//! Every field is optional, because a signed event must never be lost to an unexpected shape: a field that is missing, of the wrong type or
//! too long for its column is read as `None`, and the event is parked instead of refused. The object inside is only a hint; the worker
//! fetches the current object from Stripe.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::types::Metadata;
use crate::ids::stripe::{AccountId, EventId};

/// The fields that we read from an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// The event's id; an event without one is identified by the hash of its body.
    pub id: Option<EventId>,
    /// The event's type, such as `payment_intent.succeeded`.
    pub event_type: Option<String>,
    /// The connected account on which it happened; `None` for the platform's own account.
    pub account: Option<AccountId>,
    /// The API version in which the event is written.
    pub api_version: Option<String>,
    /// Whether it is about real money.
    pub livemode: Option<bool>,
    /// When it happened.
    pub created: Option<DateTime<Utc>>,
    /// The object that the event is about.
    pub object: EventObject,
}

/// The object inside an event, `data.object`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventObject {
    /// The object's id, of whatever kind.
    pub id: Option<String>,
    /// The object's kind, such as `payment_intent`.
    pub kind: Option<String>,
    /// The ids to which the object claims to belong.
    pub metadata: Metadata,
}

/// The error for a body that is not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The body is not JSON, or is nested too deeply.
    #[error("the body is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// The body is JSON, but not an object.
    #[error("the body is not a JSON object")]
    NotAnObject,
}

impl Envelope {
    /// Reads the envelope from a body.
    ///
    /// # Errors
    /// If the body is not a JSON object; nothing inside the object can cause an error.
    pub fn from_json(body: &[u8]) -> Result<Self, EventError> {
        let event: Value = serde_json::from_slice(body).map_err(EventError::NotJson)?;
        if !event.is_object() {
            return Err(EventError::NotAnObject);
        }
        let object = event.pointer("/data/object").unwrap_or(&Value::Null);
        let metadata = object.get("metadata").unwrap_or(&Value::Null);
        Ok(Self {
            id: text(&event, "id", 255).and_then(|id| id.parse().ok()),
            event_type: text(&event, "type", 100),
            account: text(&event, "account", 255).and_then(|id| id.parse().ok()),
            api_version: text(&event, "api_version", 40),
            livemode: event.get("livemode").and_then(Value::as_bool),
            created: event
                .get("created")
                .and_then(Value::as_i64)
                .and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
            object: EventObject {
                id: text(object, "id", 255),
                kind: text(object, "object", 100),
                metadata: Metadata::from_lookup(|key| metadata.get(key).and_then(Value::as_str)),
            },
        })
    }
}

/// Returns a text that fits its column: PostgreSQL accepts no NUL, and logs should get no control characters.
fn text(value: &Value, key: &str, longest: usize) -> Option<String> {
    let text = value.get(key)?.as_str()?;
    (text.chars().count() <= longest && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SUCCEEDED: &str = r#"{
        "id": "evt_1", "object": "event", "api_version": "2026-09-30.endive", "created": 1700000000, "livemode": false,
        "type": "payment_intent.succeeded", "account": "acct_1", "a_field_of_tomorrow": {"x": [1]},
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 1250,
            "metadata": {"transaction_id": "018f2f5e-7b3c-7000-8000-000000000001", "wallet_id": 7}}}
    }"#;

    #[test]
    fn the_fields_in_use_are_read_and_all_others_ignored() {
        let envelope = Envelope::from_json(SUCCEEDED.as_bytes()).unwrap();
        assert_eq!(envelope.id.unwrap().as_str(), "evt_1");
        assert_eq!(envelope.event_type.as_deref(), Some("payment_intent.succeeded"));
        assert_eq!(envelope.account.unwrap().as_str(), "acct_1");
        assert_eq!(envelope.api_version.as_deref(), Some("2026-09-30.endive"));
        assert_eq!(envelope.livemode, Some(false));
        assert_eq!(envelope.created.unwrap().timestamp(), 1_700_000_000);
        assert_eq!(envelope.object.id.as_deref(), Some("pi_1"));
        assert_eq!(envelope.object.kind.as_deref(), Some("payment_intent"));
        let id = envelope.object.metadata.transaction_id.unwrap();
        assert_eq!(id.to_string(), "018f2f5e-7b3c-7000-8000-000000000001");
        assert_eq!(envelope.object.metadata.wallet_id, None);
    }

    #[test]
    fn whatever_is_missing_or_of_another_type_is_none() {
        for body in [
            "{}",
            r#"{"id": 1, "type": [], "account": {}, "api_version": 2, "livemode": "no", "created": "now", "data": 7}"#,
            r#"{"data": {"object": null}}"#,
            r#"{"id": "evt_\u0000", "type": "a\nb", "created": 9223372036854775807, "data": {"object": {"metadata": "x"}}}"#,
        ] {
            assert_eq!(
                Envelope::from_json(body.as_bytes()).unwrap(),
                Envelope::default(),
                "{body}"
            );
        }
        let long = format!(r#"{{"type": "{}"}}"#, "x".repeat(101));
        assert_eq!(Envelope::from_json(long.as_bytes()).unwrap(), Envelope::default());
    }

    #[test]
    fn a_transaction_id_that_is_sql_text_is_none() {
        let body = r#"{"data": {"object": {"metadata": {"transaction_id": "'; DELETE FROM jobs; --"}}}}"#;
        assert_eq!(
            Envelope::from_json(body.as_bytes()).unwrap().object.metadata,
            Metadata::default()
        );
    }

    #[test]
    fn a_body_that_is_no_object_is_a_typed_error() {
        for body in ["", "{", "\u{feff}{}", "nul", "{\"a\":1}x"] {
            assert!(
                matches!(Envelope::from_json(body.as_bytes()), Err(EventError::NotJson(_))),
                "{body:?}"
            );
        }
        for body in ["null", "[]", "1", "\"evt_1\""] {
            assert!(
                matches!(Envelope::from_json(body.as_bytes()), Err(EventError::NotAnObject)),
                "{body:?}"
            );
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(
            Envelope::from_json(deep.as_bytes()),
            Err(EventError::NotJson(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..SUCCEEDED.len()) {
            let _ = Envelope::from_json(&body);
            let _ = Envelope::from_json(&SUCCEEDED.as_bytes()[..cut]);
        }
    }
}
