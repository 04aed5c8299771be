//! What one person with tokens of their own can do to everybody else.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::client::Client;

/// The preface of a client that speaks HTTP/2 and its empty settings (RFC 9113, section 3.4).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// The pause after something was refused, so that the attack does not starve itself.
const AFTER_REFUSAL: Duration = Duration::from_millis(5);

/// Whose limits are tried, and with what.
#[derive(Clone)]
pub(super) struct Target {
    base: String,
    attacker: Client,
    wallet: String,
    deposit: String,
}

impl Target {
    /// The attacker's wallet and a deposit that can be cancelled for ever.
    pub(super) async fn prepare(base: &str, attacker: Client) -> Result<Self> {
        let wallet = attacker.wallet().await?;
        let deposit = attacker.deposit(&wallet, "10.00").await?;
        Ok(Self {
            base: base.to_owned(),
            attacker,
            wallet,
            deposit,
        })
    }
}

/// One way to take all one can get.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attack {
    Requests,
    Wallets,
    Cancels,
    Sockets,
    Subscriptions,
    Connections,
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "200 connections that ask without a pause",
            Self::Wallets => "wallets made and listed without a pause",
            Self::Cancels => "one deposit cancelled without a pause",
            Self::Sockets => "1,000 websockets, greeted and not",
            Self::Subscriptions => "1,000 x 10 subscriptions",
            Self::Connections => "4,096 idle HTTP/2 connections",
        })
    }
}

impl Attack {
    pub(super) const ALL: [Self; 6] = [
        Self::Requests,
        Self::Wallets,
        Self::Cancels,
        Self::Sockets,
        Self::Subscriptions,
        Self::Connections,
    ];

    /// Begins it; it goes on until its tasks are aborted.
    pub(super) fn begin(self, target: &Target) -> Vec<JoinHandle<()>> {
        match self {
            Self::Requests => several(200, target, |target| async move {
                let list = "query($id: String!) { wallet(id: $id) { transactions(first: 100) { nodes { id timeline { message } } } } }";
                target.attacker.send(list, json!({ "id": target.wallet })).await
            }),
            Self::Wallets => several(64, target, |target| async move {
                let aliases: String = (0..20)
                    .map(|number| format!("a{number}: wallets {{ id balance }} "))
                    .collect();
                let create = "mutation { createWallet(input: {}) { id } }";
                target.attacker.send(create, Value::Null).await?;
                target
                    .attacker
                    .send(&format!("{{ {aliases} }}"), Value::Null)
                    .await
            }),
            Self::Cancels => several(64, target, |target| async move {
                let cancel = "mutation($id: String!) { cancelTransaction(transactionId: $id) { id } }";
                target
                    .attacker
                    .send(cancel, json!({ "id": target.deposit }))
                    .await
            }),
            Self::Sockets => several(1_000, target, |target| async move {
                let mut socket = Socket::open(&target.base).await?;
                if is_to_be_greeted(&socket) {
                    socket.greet(target.attacker.token()).await?;
                }
                socket.until_closed().await;
                Ok(429)
            }),
            Self::Subscriptions => several(1_000, target, |target| async move {
                let mut socket = Socket::open(&target.base).await?;
                socket.greet(target.attacker.token()).await?;
                for number in 0..10 {
                    socket.subscribe(number, &target.wallet).await?;
                }
                socket.until_closed().await;
                Ok(429)
            }),
            Self::Connections => several(4_096, target, |target| async move {
                let address = target.base.strip_prefix("http://").context("no address")?;
                let mut stream = TcpStream::connect(address).await?;
                stream.write_all(HTTP2).await?;
                // Until it is closed by the other side.
                let mut read = [0; 512];
                while tokio::io::AsyncReadExt::read(&mut stream, &mut read).await? > 0 {}
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(429)
            }),
        }
    }
}

/// So many tasks that do something again and again, whatever becomes of it.
fn several<O, F>(tasks: usize, target: &Target, once: O) -> Vec<JoinHandle<()>>
where
    O: Fn(Target) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<u16>> + Send + 'static,
{
    (0..tasks)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move {
                loop {
                    if !matches!(once(target.clone()).await, Ok(200)) {
                        tokio::time::sleep(AFTER_REFUSAL).await;
                    }
                }
            })
        })
        .collect()
}

/// Every second websocket, by the port that the system gave it.
fn is_to_be_greeted(socket: &Socket) -> bool {
    match socket.0.get_ref() {
        MaybeTlsStream::Plain(stream) => stream.local_addr().is_ok_and(|address| address.port() % 4 < 2),
        _ => false,
    }
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(base: &str) -> Result<Self> {
        let url = format!("{}/graphql/ws", base.replacen("http://", "ws://", 1));
        let mut request = url.into_client_request()?;
        request
            .headers_mut()
            .insert("sec-websocket-protocol", "graphql-transport-ws".parse()?);
        Ok(Self(connect_async(request).await?.0))
    }

    async fn greet(&mut self, token: &str) -> Result<()> {
        self.say(&json!({ "type": "connection_init", "payload": { "token": token } }))
            .await
    }

    async fn subscribe(&mut self, number: usize, wallet: &str) -> Result<()> {
        let query = "subscription($id: String!) { walletUpdated(id: $id) { balance transactions(first: 100) { nodes { id } } } }";
        let payload = json!({ "query": query, "variables": { "id": wallet } });
        self.say(&json!({ "type": "subscribe", "id": number.to_string(), "payload": payload }))
            .await
    }

    async fn say(&mut self, message: &Value) -> Result<()> {
        Ok(self.0.send(Message::text(message.to_string())).await?)
    }

    async fn until_closed(&mut self) {
        while let Some(Ok(_)) = self.0.next().await {}
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
