//! The clients of the people in the story: of the public API, and of the simulator as the payer's browser and the bank.

mod payments;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

pub(super) use self::payments::Payments;

/// The longest wait for a transaction to finish.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The interval between two reads while waiting.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The query by which a transaction is polled.
const TRANSACTION: &str = "query ($id: String!) { transaction(id: $id) {
    id status amount fee currency relatedTransactionId failureReason clientSecret stripePaymentIntentId stripeTransferId timeline { kind message } } }";

/// The newest transactions of a wallet that refund or reverse earlier ones.
const FOLLOW_UPS: &str = "query ($id: String!) { wallet(id: $id) {
    transactions(type: REFUND, first: 10) { nodes { id relatedTransactionId } } } }";

/// The API as one person with a token uses it.
pub(super) struct Api {
    url: String,
    token: String,
    http: reqwest::Client,
}

impl Api {
    pub(super) fn new(base: &str, token: String) -> Result<Self> {
        Ok(Self {
            url: format!("{base}/graphql"),
            token,
            http: http()?,
        })
    }

    /// Sends a document and returns the response, also when it contains errors.
    pub(super) async fn send(&self, document: &str, variables: Value) -> Result<Value> {
        let body = json!({ "query": document, "variables": variables });
        let request = self.http.post(&self.url).bearer_auth(&self.token).json(&body);
        let answer = request.send().await.context("the API does not answer")?;
        answer.json().await.context("the API's answer is no JSON")
    }

    /// Sends a document and returns the field of its data, or fails with the error.
    pub(super) async fn ask(&self, field: &str, document: &str, variables: Value) -> Result<Value> {
        let answer = self.send(document, variables).await?;
        if let Some(errors) = answer.get("errors") {
            bail!("{field} was refused: {errors}");
        }
        let found = answer.pointer(&format!("/data/{field}")).cloned();
        found.with_context(|| format!("the answer has no {field}: {answer}"))
    }

    /// Sends a mutation that must be refused, and returns the error's code.
    pub(super) async fn refused(&self, document: &str, variables: Value) -> Result<String> {
        let answer = self.send(document, variables).await?;
        let code = answer
            .pointer("/errors/0/extensions/code")
            .and_then(Value::as_str);
        code.map(ToOwned::to_owned)
            .with_context(|| format!("should have been refused: {answer}"))
    }

    /// Waits for the transaction of this wallet that an event from Stripe creates for an earlier one: a dispute, a refund, returned
    /// money.
    pub(super) async fn follow_up(&self, wallet: &str, of: &str) -> Result<String> {
        let began = Instant::now();
        loop {
            let now = self.ask("wallet", FOLLOW_UPS, json!({ "id": wallet })).await?;
            let nodes = now.pointer("/transactions/nodes").and_then(Value::as_array);
            let mut nodes = nodes.into_iter().flatten();
            if let Some(found) = nodes.find(|node| text(node, "relatedTransactionId") == of) {
                return Ok(text(found, "id").to_owned());
            }
            if began.elapsed() > PATIENCE {
                bail!(
                    "nothing has followed transaction {of} within {} s: {now}",
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until `done` returns true for the transaction.
    pub(super) async fn wait(&self, id: &str, what: &str, done: impl Fn(&Value) -> bool) -> Result<Value> {
        let began = Instant::now();
        loop {
            let now = self.ask("transaction", TRANSACTION, json!({ "id": id })).await?;
            if done(&now) {
                return Ok(now);
            }
            if began.elapsed() > PATIENCE {
                bail!("{what} has not happened within {} s: {now}", PATIENCE.as_secs());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits for a final status and checks that it is the expected one.
    pub(super) async fn end(&self, id: &str, expected: &str) -> Result<Value> {
        let is_final = |now: &Value| matches!(text(now, "status"), "COMPLETED" | "FAILED" | "CANCELLED");
        let ended = self.wait(id, "the end of the transaction", is_final).await?;
        if text(&ended, "status") != expected {
            bail!("expected {expected}, got {ended}");
        }
        Ok(ended)
    }
}

fn http() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        // The address that a page redirects to is checked, not visited.
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10))
        .build()?)
}

async fn checked(answer: reqwest::Response) -> Result<Value> {
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or(Value::Null);
    if status.is_success() {
        Ok(body)
    } else {
        bail!("the simulator answered {status}: {body}")
    }
}

/// Returns a text field of an object, empty when it is absent.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}
