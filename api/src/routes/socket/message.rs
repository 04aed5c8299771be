//! The messages of graphql-transport-ws
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).

use std::fmt;
use std::sync::Arc;

use async_graphql::{Request, Response, ServerError};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::errors::ApiError;
use crate::exact;

/// The payload of a greeting, a ping or a pong.
pub(super) type Payload = Map<String, Value>;

/// The maximum length of an operation's id, in bytes.
const LONGEST_ID: usize = 255;

/// The id that a client gives to an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct OperationId(Arc<str>);

/// A text that cannot be an operation's id.
#[derive(Debug, thiserror::Error)]
#[error("an operation's id must have 1 to {LONGEST_ID} bytes")]
pub(super) struct InvalidId;

impl TryFrom<String> for OperationId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        if (1..=LONGEST_ID).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId)
        }
    }
}

impl Serialize for OperationId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message from a client.
#[derive(Debug)]
pub(super) enum ClientMessage {
    ConnectionInit { payload: Option<Payload> },
    Ping { payload: Option<Payload> },
    Pong,
    Subscribe { id: OperationId, payload: Operation },
    Complete { id: OperationId },
}

/// A message whose type is not known yet. Its payload stays as it was written, so that it can be read strictly later.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    id: Option<OperationId>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ConnectionInit,
    Ping,
    Pong,
    Subscribe,
    Complete,
}

impl ClientMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// If it is not a message of the protocol. Errors in an operation's variables are reported later, to that operation.
    pub(super) fn read(text: &str) -> Result<Self, serde_json::Error> {
        let Envelope { kind, id, payload } = serde_json::from_str(text)?;
        let said = || payload.map_or(Ok(None), |raw| serde_json::from_str(raw.get()));
        let id = id.ok_or_else(|| serde_json::Error::missing_field("id"));
        Ok(match kind {
            Kind::ConnectionInit => Self::ConnectionInit { payload: said()? },
            Kind::Ping => Self::Ping { payload: said()? },
            Kind::Pong => {
                said()?;
                Self::Pong
            }
            Kind::Subscribe => {
                let payload = payload.ok_or_else(|| serde_json::Error::missing_field("payload"))?;
                Self::Subscribe {
                    id: id?,
                    payload: serde_json::from_str(payload.get())?,
                }
            }
            Kind::Complete => Self::Complete { id: id? },
        })
    }
}

/// The operation of a subscription.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    query: String,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default, deserialize_with = "object")]
    variables: Option<Box<RawValue>>,
    #[serde(default, rename = "extensions")]
    _extensions: Option<Payload>,
}

/// Reads an object as it was written, or null.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    let found: Option<Box<RawValue>> = Option::deserialize(deserializer)?;
    match found {
        Some(raw) if !raw.get().starts_with('{') => Err(D::Error::custom("the variables must be an object")),
        found => Ok(found),
    }
}

impl TryFrom<Operation> for Request {
    type Error = ApiError;

    /// Reads the variables as strictly as those of a request over HTTP.
    fn try_from(operation: Operation) -> Result<Self, ApiError> {
        let variables = operation.variables.as_deref().map(exact::variables).transpose()?;
        let mut request = Self::new(operation.query).variables(variables.unwrap_or_default());
        request.operation_name = operation.operation_name;
        Ok(request)
    }
}

/// A message from the server.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Payload>,
    },
    Next {
        id: &'a OperationId,
        payload: &'a Response,
    },
    /// The end of an operation that could not be executed, or that failed on the way.
    Error {
        id: &'a OperationId,
        payload: &'a [ServerError],
    },
    Complete {
        id: &'a OperationId,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(message: &Value) -> Result<ClientMessage, serde_json::Error> {
        ClientMessage::read(&message.to_string())
    }

    #[test]
    fn every_message_of_a_client_is_understood() {
        for message in [
            json!({ "type": "connection_init" }),
            json!({ "type": "connection_init", "payload": null }),
            json!({ "type": "connection_init", "payload": { "token": "x" } }),
            json!({ "type": "ping" }),
            json!({ "type": "pong", "payload": { "a": 1 } }),
            json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ a }" } }),
            json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ a }", "operationName": null, "variables": null, "extensions": {} } }),
            json!({ "type": "complete", "id": "1" }),
        ] {
            assert!(read(&message).is_ok(), "{message}");
        }
    }

    #[test]
    fn what_the_protocol_does_not_know_is_not_understood() {
        for message in [
            json!(null),
            json!([]),
            json!({}),
            json!({ "type": "start", "id": "1", "payload": { "query": "{ a }" } }),
            json!({ "type": "connection_ack" }),
            json!({ "type": "connection_init", "payload": "token" }),
            json!({ "type": "ping", "payload": [] }),
            json!({ "type": "subscribe", "payload": { "query": "{ a }" } }),
            json!({ "type": "subscribe", "id": "", "payload": { "query": "{ a }" } }),
            json!({ "type": "subscribe", "id": 1, "payload": { "query": "{ a }" } }),
            json!({ "type": "subscribe", "id": "x".repeat(256), "payload": { "query": "{ a }" } }),
            json!({ "type": "subscribe", "id": "1", "payload": {} }),
            json!({ "type": "subscribe", "id": "1", "payload": { "query": 7 } }),
            json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ a }", "variables": "x" } }),
            json!({ "type": "complete" }),
        ] {
            assert!(read(&message).is_err(), "{message}");
        }
    }

    #[test]
    fn the_variables_of_an_operation_are_taken_as_they_were_written_or_refused() {
        let asked = |variables: &str| {
            let text = format!(
                "{{\"id\":\"1\",\"payload\":{{\"query\":\"{{ a }}\",\"variables\":{variables}}},\"type\":\"subscribe\"}}"
            );
            let Ok(ClientMessage::Subscribe { payload, .. }) = ClientMessage::read(&text) else {
                panic!("{variables} is no message");
            };
            Request::try_from(payload)
        };
        for (variables, named) in [
            (r#"{"id":"a","id":"b"}"#, "id"),
            (r#"{"id":"a","\u0069d":"b"}"#, "id"),
            (r#"{"n":0.10000000000000000001}"#, "n"),
            (r#"{"n":[18446744073709551616]}"#, "n"),
            (r#"{"i":{"amount":1,"amount":2}}"#, "amount"),
        ] {
            let refused = asked(variables);
            assert!(
                matches!(&refused, Err(ApiError::Validation { field, .. }) if field == named),
                "{variables}: {refused:?}"
            );
        }
        for variables in ["null", "{}", r#"{"id":"a","n":12.50}"#] {
            assert!(asked(variables).is_ok(), "{variables}");
        }
    }

    #[test]
    fn a_message_that_says_two_things_is_not_understood() {
        for text in [
            r#"{"type":"complete","id":"1","id":"2"}"#,
            r#"{"type":"ping","type":"pong"}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }"},"payload":{"query":"{ b }"}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","query":"{ b }"}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","variables":{},"variables":{"a":1}}}"#,
        ] {
            assert!(ClientMessage::read(text).is_err(), "{text}");
        }
    }
}
