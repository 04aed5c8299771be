//! The life of one websocket: opened, greeted with a token, served until somebody leaves or the token ends.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_graphql::Data;
use async_graphql::http::{WebSocket as Protocol, WebSocketProtocols, WsMessage};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::{SinkExt, StreamExt, future};
use serde_json::Value;

use super::subscriber::Subscriber;
use crate::auth::{Principal, bearer_token};
use crate::errors::ApiError;
use crate::metrics::SOCKETS;
use crate::request_id::RequestId;
use crate::routes::Shared;
use crate::state::App;

/// How long a client may take to send its token.
const INIT_WITHIN: Duration = Duration::from_secs(10);
/// How often the end of the token and the client's presence are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a silent connection is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a message may take to be taken by the client.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// Close codes of the protocol, and two of the websocket's own.
mod close {
    pub(super) const GOING_AWAY: u16 = 1001;
    pub(super) const UNAUTHORIZED: u16 = 4401;
    pub(super) const FORBIDDEN: u16 = 4403;
    pub(super) const INIT_TIMEOUT: u16 = 4408;
}

/// Serves a websocket until it ends.
pub(super) async fn serve(socket: WebSocket, shared: Shared, id: RequestId) {
    metrics::gauge!(SOCKETS).increment(1);
    run(socket, &shared, id).await;
    metrics::gauge!(SOCKETS).decrement(1);
}

async fn run(socket: WebSocket, shared: &Shared, id: RequestId) {
    let app = Arc::clone(&shared.app);
    let greeted: Arc<OnceLock<Principal>> = Arc::default();
    let (mut sink, stream) = socket.split();
    let received = stream
        .take_while(|message| future::ready(message.is_ok()))
        .filter_map(|message| {
            let message = message
                .ok()
                .filter(|message| matches!(message, Message::Text(_) | Message::Binary(_)));
            future::ready(message.map(Message::into_data))
        })
        .boxed();
    let greeting = {
        let (app, greeted, id) = (Arc::clone(&app), Arc::clone(&greeted), id.clone());
        move |payload| async move { greet(&app, &greeted, &id, &payload).await }
    };
    let mut protocol = Protocol::new(
        Subscriber::new(shared.clone(), id),
        received,
        WebSocketProtocols::GraphQLWS,
    )
    .on_connection_init(greeting);
    let opened = Instant::now();
    let mut pinged = opened;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        let message = tokio::select! {
            () = app.closing.cancelled() => closing(close::GOING_AWAY, "the server is restarting"),
            _ = look.tick() => match overdue(&app, greeted.get(), opened) {
                Some(message) => message,
                None if pinged.elapsed() >= PING_EVERY => {
                    pinged = Instant::now();
                    Message::Ping(Default::default())
                }
                None => continue,
            },
            message = protocol.next() => match message {
                Some(WsMessage::Text(text)) => Message::Text(text.into()),
                Some(WsMessage::Close(code, reason)) => translated(code, &reason, greeted.get().is_some()),
                None => break,
            },
        };
        let ends = matches!(message, Message::Close(_));
        let sent = tokio::time::timeout(SEND_WITHIN, sink.send(message)).await;
        if ends || !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
    // Whoever does not answer the close is not waited for.
    let _ = tokio::time::timeout(LOOK_EVERY, sink.close()).await;
}

/// Checks the token of `connection_init`.
async fn greet(
    app: &App,
    greeted: &OnceLock<Principal>,
    id: &RequestId,
    payload: &Value,
) -> async_graphql::Result<Data> {
    // Only the text of the error travels from here, as the reason of the close.
    let refused = |error: &ApiError| async_graphql::Error::new(error.code());
    let principal = app
        .auth
        .by_token(token(payload), id)
        .await
        .map_err(|error| refused(&error))?;
    let mut data = Data::default();
    data.insert(principal.caller.clone());
    data.insert(id.clone());
    // The protocol allows one greeting.
    let _ = greeted.set(principal);
    Ok(data)
}

/// The token, under the names that clients use: `Authorization: "Bearer …"`, also inside `headers`, or the bare `token`.
fn token(payload: &Value) -> Option<&str> {
    let places = [payload, payload.get("headers").unwrap_or(&Value::Null)];
    let header = places.iter().find_map(|place| {
        ["Authorization", "authorization"]
            .iter()
            .find_map(|name| place.get(name).and_then(Value::as_str))
    });
    match header {
        Some(header) => bearer_token(header),
        None => payload.get("token").and_then(Value::as_str),
    }
}

/// Why the connection must end now, if it must.
fn overdue(app: &App, greeted: Option<&Principal>, opened: Instant) -> Option<Message> {
    match greeted {
        None if opened.elapsed() >= INIT_WITHIN => {
            Some(closing(close::INIT_TIMEOUT, "Connection initialisation timeout"))
        }
        Some(principal) if principal.expires_at <= app.clock.now() => Some(closing(
            close::FORBIDDEN,
            "the token has expired; connect again with a new one",
        )),
        _ => None,
    }
}

/// The engine's close codes as the protocol names them: before the greeting they mean that there was no, or no good, token.
fn translated(code: u16, reason: &str, is_greeted: bool) -> Message {
    match code {
        1011 if !is_greeted => closing(close::UNAUTHORIZED, "Unauthorized"),
        1002 if reason == ApiError::Unauthenticated.code() => closing(close::FORBIDDEN, "Forbidden"),
        1002 => closing(4400, "Invalid message"),
        other => closing(other, reason),
    }
}

fn closing(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_found_where_clients_put_it() {
        for payload in [
            json!({ "Authorization": "Bearer abc" }),
            json!({ "authorization": "bearer abc" }),
            json!({ "headers": { "Authorization": "Bearer abc" } }),
            json!({ "token": "abc" }),
        ] {
            assert_eq!(token(&payload), Some("abc"), "{payload}");
        }
        for payload in [
            json!(null),
            json!([]),
            json!({ "Authorization": "abc" }),
            json!({ "token": 1 }),
        ] {
            assert_eq!(token(&payload), None, "{payload}");
        }
    }
}
