//! F46: clients that send their request a byte at a time, huge bodies and GraphQL bombs, while others pay.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::client::pick;
use super::person::{Person, http};
use crate::seed;
use crate::world::World;

pub(super) const FAULT: &str = "F46 rude client";

/// Sends rude requests until `stop`.
pub(super) async fn run(world: Arc<World>, people: Arc<Vec<Person>>, stop: CancellationToken) {
    let mut random = seed::stream(world.seed, "rude");
    let Ok(http) = http() else { return };
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(random.random_range(200..1_200))) => {}
        }
        let (Some(api), Some(person)) = (pick(&mut random, &world.apis), people.first()) else {
            return;
        };
        world.tally.ordered(FAULT);
        let reached = match random.random_range(0..3) {
            0 => {
                let body = "x".repeat(3_000_000);
                let sent = http
                    .post(format!("{api}/graphql"))
                    .bearer_auth(&person.token)
                    .body(body);
                refused(sent.timeout(Duration::from_secs(5)).send().await).await
            }
            1 => {
                let nested = "wallets { transactions { nodes ".repeat(60) + &"} } ".repeat(60);
                let bomb = json!({ "query": format!("{{ {nested} }}") });
                let sent = http
                    .post(format!("{api}/graphql"))
                    .bearer_auth(&person.token)
                    .json(&bomb);
                refused(sent.timeout(Duration::from_secs(5)).send().await).await
            }
            _ => {
                let address = api.trim_start_matches("http://").to_owned();
                tokio::spawn(loris(Arc::clone(&world), address));
                false
            }
        };
        if reached {
            world.tally.reached(FAULT, 1);
        }
    }
}

/// Whether the request was refused for what it is: 4xx, or a GraphQL error without any data. An API that is
/// down or has no database proves nothing.
async fn refused(answer: reqwest::Result<reqwest::Response>) -> bool {
    let Ok(answer) = answer else { return false };
    if answer.status().is_client_error() {
        return true;
    }
    let is_success = answer.status().is_success();
    let said: Value = answer.json().await.unwrap_or_default();
    let code = said.pointer("/errors/0/extensions/code").and_then(Value::as_str);
    let is_away = matches!(code, Some("SERVICE_UNAVAILABLE" | "INTERNAL"));
    is_success
        && said.pointer("/errors/0").is_some()
        && said.get("data").is_none_or(Value::is_null)
        && !is_away
}

/// Sends a request a byte at a time. Reached once it has kept an API waiting for a second.
async fn loris(world: Arc<World>, address: String) {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return;
    };
    let request = b"POST /graphql HTTP/1.1\r\nHost: wallet\r\nContent-Length: 1000\r\n\r\n{";
    for (sent, byte) in request.iter().enumerate() {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        if sent == 10 {
            world.tally.reached(FAULT, 1);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut answer = [0_u8; 64];
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut answer)).await;
}
