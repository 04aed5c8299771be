//! A client of the API's websocket: graphql-transport-ws
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>), one frame at a time.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::User;
use crate::poll::PATIENCE;

/// A frame from the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A message of the protocol.
    Message(Value),
    /// The end of the connection, with its close code.
    Closed(u16),
}

/// One open websocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Opens a websocket at an API, `http://HOST:PORT`, and sends nothing yet.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn open(base: &str) -> Self {
        let url = format!("{}/graphql/ws", base.replacen("http://", "ws://", 1));
        let mut request = url.into_client_request().unwrap();
        let protocol = "graphql-transport-ws".parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let (stream, _) = connect_async(request).await.unwrap();
        Self { stream }
    }

    /// Opens a websocket and greets as `user`.
    ///
    /// # Panics
    /// If the greeting is refused.
    pub async fn of(base: &str, user: &User) -> Self {
        let mut socket = Self::open(base).await;
        socket.greet(&user.token).await;
        assert_eq!(
            socket.frame().await,
            Frame::Message(json!({ "type": "connection_ack" }))
        );
        socket
    }

    /// Sends the greeting with a token.
    pub async fn greet(&mut self, token: &str) {
        let payload = json!({ "Authorization": format!("Bearer {token}") });
        self.send(json!({ "type": "connection_init", "payload": payload }))
            .await;
    }

    /// Begins an operation with an id of the client's choice.
    pub async fn begin(&mut self, name: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.send(json!({ "id": name, "type": "subscribe", "payload": payload }))
            .await;
    }

    /// Sends a message.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub async fn send(&mut self, message: Value) {
        self.say(&message.to_string()).await;
    }

    /// Sends any text.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub async fn say(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    /// The next frame.
    ///
    /// # Panics
    /// If none comes.
    pub async fn frame(&mut self) -> Frame {
        self.frame_within(PATIENCE)
            .await
            .expect("nothing came over the websocket")
    }

    /// The next frame, or `None` if none comes within this time.
    ///
    /// # Panics
    /// If the connection breaks.
    pub async fn frame_within(&mut self, patience: Duration) -> Option<Frame> {
        let next = async {
            loop {
                match self.stream.next().await.expect("an end without a close").unwrap() {
                    Message::Text(text) => return Frame::Message(serde_json::from_str(&text).unwrap()),
                    Message::Close(frame) => {
                        return Frame::Closed(frame.map_or(1005, |frame| frame.code.into()));
                    }
                    _ => {}
                }
            }
        };
        tokio::time::timeout(patience, next).await.ok()
    }

    /// The payload of the next result, which must be one of this operation.
    ///
    /// # Panics
    /// If another frame comes.
    pub async fn result_of(&mut self, name: &str) -> Value {
        match self.frame().await {
            Frame::Message(message) if message["type"] == "next" && message["id"] == name => {
                message["payload"].clone()
            }
            other => panic!("a result of {name} was expected: {other:?}"),
        }
    }

    /// Waits for the end of this operation.
    ///
    /// # Panics
    /// If another frame comes.
    pub async fn end_of(&mut self, name: &str) {
        assert_eq!(
            self.frame().await,
            Frame::Message(json!({ "id": name, "type": "complete" }))
        );
    }
}
