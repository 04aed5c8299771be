//! The messages of graphql-transport-ws
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).

use std::fmt;
use std::sync::Arc;

use async_graphql::{Request, Response, ServerError, Variables};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What may be said beside a greeting, a ping or a pong.
pub(super) type Payload = Map<String, Value>;

/// The longest name of an operation, in bytes.
const LONGEST_ID: usize = 255;

/// The name that a client gives to an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct OperationId(Arc<str>);

/// A text that names no operation.
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

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Payload>,
    },
    Ping {
        #[serde(default)]
        payload: Option<Payload>,
    },
    Pong {
        #[serde(default, rename = "payload")]
        _payload: Option<Payload>,
    },
    Subscribe {
        id: OperationId,
        payload: Operation,
    },
    Complete {
        id: OperationId,
    },
}

/// What a client wants to be told.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    query: String,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<Payload>,
    #[serde(default, rename = "extensions")]
    _extensions: Option<Payload>,
}

impl From<Operation> for Request {
    fn from(operation: Operation) -> Self {
        let variables = operation.variables.unwrap_or_default();
        let mut request =
            Self::new(operation.query).variables(Variables::from_json(Value::Object(variables)));
        request.operation_name = operation.operation_name;
        request
    }
}

/// What the server says.
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
    /// The end of an operation that could not be executed, or not any further.
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
        serde_json::from_str(&message.to_string())
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
}
