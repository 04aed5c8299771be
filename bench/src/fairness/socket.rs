//! A websocket of the attacker.

use anyhow::Result;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::attacks::ADDRESS;

pub(super) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The code with which the API closed it.
    closed: Option<u16>,
}

impl Socket {
    pub(super) async fn open(base: &str) -> Result<Self> {
        let url = format!("{}/graphql/ws", base.replacen("http://", "ws://", 1));
        let mut request = url.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "graphql-transport-ws".parse()?);
        headers.insert("x-forwarded-for", ADDRESS.parse()?);
        Ok(Self {
            stream: connect_async(request).await?.0,
            closed: None,
        })
    }

    /// Sends the greeting, and returns whether it was accepted.
    pub(super) async fn greet(&mut self, token: &str) -> Result<bool> {
        self.say(&json!({ "type": "connection_init", "payload": { "token": token } }))
            .await?;
        let answer = self.stream.next().await;
        if let Some(Ok(Message::Close(Some(frame)))) = &answer {
            self.closed = Some(frame.code.into());
        }
        Ok(matches!(answer, Some(Ok(Message::Text(_)))))
    }

    pub(super) async fn subscribe(&mut self, number: usize, wallet: &str) -> Result<()> {
        let query = "subscription($id: String!) { walletUpdated(id: $id) { balance transactions(first: 100) { nodes { id } } } }";
        let payload = json!({ "query": query, "variables": { "id": wallet } });
        self.say(&json!({ "type": "subscribe", "id": number.to_string(), "payload": payload }))
            .await
    }

    async fn say(&mut self, message: &Value) -> Result<()> {
        Ok(self.stream.send(Message::text(message.to_string())).await?)
    }

    /// Reads until the API closes the socket, and returns the code.
    pub(super) async fn until_closed(&mut self) -> String {
        while let Some(Ok(message)) = self.stream.next().await {
            if let Message::Close(Some(frame)) = message {
                self.closed = Some(frame.code.into());
            }
        }
        self.closed
            .map_or_else(|| "without a word".to_owned(), |code| code.to_string())
    }
}
