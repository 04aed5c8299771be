//! One request to one of the APIs, and its possible results.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// The result of a request.
#[derive(Debug)]
pub(crate) enum Told {
    /// The data.
    Data(Value),
    /// A definite refusal, by its code.
    Refused(String),
    /// The outcome is unknown: repeat the request with the same key.
    Unknown,
}

/// Sends a GraphQL document; the client hangs up after `patience`.
pub(crate) async fn ask(
    client: &reqwest::Client,
    api: &str,
    token: &str,
    document: &str,
    variables: &Value,
    patience: Duration,
) -> Told {
    let sent = client
        .post(format!("{api}/graphql"))
        .bearer_auth(token)
        .timeout(patience)
        .json(&json!({ "query": document, "variables": variables }))
        .send()
        .await;
    let Ok(response) = sent else { return Told::Unknown };
    let Ok(answer) = response.json::<Value>().await else {
        return Told::Unknown;
    };
    let code = answer
        .pointer("/errors/0/extensions/code")
        .and_then(Value::as_str);
    match code {
        None => match answer.get("data") {
            Some(data) if !data.is_null() => Told::Data(data.clone()),
            _ => Told::Unknown,
        },
        Some("SERVICE_UNAVAILABLE" | "RATE_LIMITED") => Told::Unknown,
        // INTERNAL is a fault of the product, counted by the caller, and no answer to the request.
        Some(code) => Told::Refused(code.to_owned()),
    }
}

/// Sends the whole of a GraphQL request and hangs up after `patience`; returns whether that was before any of the answer came.
pub(super) async fn hang_up(
    api: &str,
    token: &str,
    document: &str,
    variables: &Value,
    patience: Duration,
) -> Result<bool> {
    let host = api.strip_prefix("http://").context("not an address of ours")?;
    let body = json!({ "query": document, "variables": variables }).to_string();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    tokio::time::sleep(patience).await;
    // If the API has answered or died, there is something to read; while it still works on the request, there is nothing.
    let nothing = stream.try_read(&mut [0; 16]);
    Ok(nothing.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock))
}
