//! What one person can do to everybody else with their own tokens.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::socket::Socket;
use crate::client::Client;

/// The preface of an HTTP/2 client, with empty settings (RFC 9113, section 3.4).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// The attacker's address, as the proxy in front of the API reports it.
pub(super) const ADDRESS: &str = "203.0.113.66";
/// How long an attacker whose connection was closed waits before the next one.
const BACK_AFTER: Duration = Duration::from_secs(1);

const LIST: &str = "query($id: String!) { wallet(id: $id) { transactions(first: 100) { nodes { id timeline { message } } } } }";
const CREATE: &str = "mutation { createWallet(input: {}) { id } }";
const WALLETS: &str = "{ a: wallets { id balance } b: wallets { id balance } c: wallets { id balance } d: wallets { id balance } }";
const CANCEL: &str = "mutation($id: String!) { cancelTransaction(transactionId: $id) { id } }";

/// The person whose limits are tried, and the objects that the attacks use.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) base: String,
    pub(super) token: String,
    wallet: String,
    deposit: String,
}

impl Target {
    /// Creates the attacker's wallet and a deposit whose cancellation can be requested again and again.
    pub(super) async fn prepare(base: &str, attacker: &Client) -> Result<Self> {
        let wallet = attacker.wallet().await?;
        let deposit = attacker.deposit(&wallet, "10.00").await?;
        Ok(Self {
            base: base.to_owned(),
            token: attacker.token().to_owned(),
            wallet,
            deposit,
        })
    }
}

/// A way to use all one can get.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Attack {
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

    /// Returns its name on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Wallets => "wallets",
            Self::Cancels => "cancels",
            Self::Sockets => "sockets",
            Self::Subscriptions => "subscriptions",
            Self::Connections => "connections",
        }
    }

    /// Returns the number of concurrent attackers.
    pub(super) const fn at_once(self) -> usize {
        match self {
            Self::Requests => 200,
            Self::Wallets | Self::Cancels => 64,
            Self::Sockets | Self::Subscriptions => 1_000,
            Self::Connections => 4_096,
        }
    }

    /// Attacks once, and returns the kind of answer. `number` distinguishes the concurrent attackers.
    pub(super) async fn once(self, number: usize, attacker: &Client, target: &Target) -> Result<String> {
        let of_wallet = || json!({ "id": target.wallet });
        match self {
            Self::Requests => answered(attacker, LIST, of_wallet()).await,
            Self::Wallets if number.is_multiple_of(2) => answered(attacker, CREATE, Value::Null).await,
            Self::Wallets => answered(attacker, WALLETS, Value::Null).await,
            Self::Cancels => answered(attacker, CANCEL, json!({ "id": target.deposit })).await,
            Self::Sockets => {
                let mut socket = Socket::open(&target.base).await?;
                if number.is_multiple_of(2) {
                    socket.greet(&target.token).await?;
                }
                closed(socket).await
            }
            Self::Subscriptions => {
                let mut socket = Socket::open(&target.base).await?;
                if socket.greet(&target.token).await? {
                    for number in 0..10 {
                        socket.subscribe(number, &target.wallet).await?;
                    }
                }
                closed(socket).await
            }
            Self::Connections => {
                let address = target.base.strip_prefix("http://").context("no address")?;
                let mut stream = TcpStream::connect(address).await?;
                stream.write_all(HTTP2).await?;
                let mut read = [0; 512];
                while stream.read(&mut read).await? > 0 {}
                tokio::time::sleep(BACK_AFTER).await;
                Ok("connections closed".to_owned())
            }
        }
    }
}

async fn answered(attacker: &Client, document: &str, variables: Value) -> Result<String> {
    Ok(format!("answers {}", attacker.send(document, variables).await?))
}

async fn closed(mut socket: Socket) -> Result<String> {
    let closed = socket.until_closed().await;
    tokio::time::sleep(BACK_AFTER).await;
    Ok(format!("websockets closed {closed}"))
}
