//! One request to one of the APIs, and what can come of it.

use std::time::Duration;

use serde_json::{Value, json};

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Told {
    /// The data.
    Data(Value),
    /// A definite refusal, by its code.
    Refused(String),
    /// Nobody knows: ask again with the same key.
    Unknown,
}

/// Sends a GraphQL document; `patience` of a client that hangs up.
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
        // A fault of the product's, counted by the caller, and no answer to the request.
        Some(code) => Told::Refused(code.to_owned()),
    }
}
