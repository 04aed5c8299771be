//! The envelope of an event: the few fields we read of a body whose signature was right.
//!
//! Everything is optional, because a signed event must never be lost to a shape we did not expect: what is missing, of the wrong
//! type or too long for its column reads as none, and the event is parked instead of refused. The object inside is a hint only;
//! the worker fetches what it is about.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::types::Metadata;
use crate::ids::stripe::{AccountId, EventId};

/// What we read of an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Its id; events without one are known by the hash of their body.
    pub id: Option<EventId>,
    /// Such as `payment_intent.succeeded`.
    pub event_type: Option<String>,
    /// The connected account it happened on; none on the platform's own.
    pub account: Option<AccountId>,
    /// The API version it is written in.
    pub api_version: Option<String>,
    /// Whether real money is meant.
    pub livemode: Option<bool>,
    /// When it happened.
    pub created: Option<DateTime<Utc>>,
    /// What it is about.
    pub object: EventObject,
}

/// The object inside an event, `data.object`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventObject {
    /// Its id, of whatever kind.
    pub id: Option<String>,
    /// Its kind, such as `payment_intent`.
    pub kind: Option<String>,
    /// Whose it says it is.
    pub metadata: Metadata,
}

/// A body that is no event at all.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or nested beyond reason.
    #[error("the body is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but not an object.
    #[error("the body is not a JSON object")]
    NotAnObject,
}

impl Envelope {
    /// Reads the envelope of a body.
    ///
    /// # Errors
    /// When the body is not a JSON object; nothing inside it can make this fail.
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

/// A text that its column can hold: PostgreSQL takes no NUL, and no log should take other control characters.
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
