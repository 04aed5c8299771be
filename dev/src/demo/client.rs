//! What the people of the story use: the public API, and the simulator as the payer's browser and the bank.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use uuid::Uuid;

/// The longest wait for a transaction to come to its end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked of a transaction, again and again.
const TRANSACTION: &str = "query ($id: String!) { transaction(id: $id) {
    id status amount fee currency failureReason clientSecret stripePaymentIntentId stripeTransferId timeline { kind message } } }";

/// One person with a token.
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

    /// Sends a document; an answer with errors is an answer.
    pub(super) async fn send(&self, document: &str, variables: Value) -> Result<Value> {
        let body = json!({ "query": document, "variables": variables });
        let request = self.http.post(&self.url).bearer_auth(&self.token).json(&body);
        let answer = request.send().await.context("the API does not answer")?;
        answer.json().await.context("the API's answer is no JSON")
    }

    /// Sends a document and returns the field of its data, or names the error.
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

    /// Waits until the transaction is as `done` says.
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
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for a final state and checks that it is this one.
    pub(super) async fn end(&self, id: &str, expected: &str) -> Result<Value> {
        let is_final = |now: &Value| matches!(text(now, "status"), "COMPLETED" | "FAILED" | "CANCELLED");
        let ended = self.wait(id, "the end of the transaction", is_final).await?;
        if text(&ended, "status") != expected {
            bail!("expected {expected}, got {ended}");
        }
        Ok(ended)
    }
}

/// The simulator as seen by payers, payees and banks.
pub(super) struct Payments {
    base: String,
    http: reqwest::Client,
}

impl Payments {
    pub(super) fn new(base: &str) -> Result<Self> {
        Ok(Self {
            base: base.to_owned(),
            http: http()?,
        })
    }

    /// What the payer's browser does with Stripe.js: confirms with the client secret and a test card.
    pub(super) async fn pay(&self, intent: &str, client_secret: &str) -> Result<()> {
        let form = [
            ("client_secret", client_secret),
            ("payment_method", "pm_card_visa"),
            // Some methods that the intent accepts would send the payer away and back; a card does not.
            ("return_url", "https://example.com/back"),
        ];
        let url = format!("{}/v1/payment_intents/{intent}/confirm", self.base);
        let request = self
            .http
            .post(url)
            .bearer_auth("pk_test_demonstration")
            .form(&form);
        checked(request.send().await?).await.map(drop)
    }

    /// A connected account that is ready for payouts, as a payee would have after onboarding.
    pub(super) async fn payee(&self, user: Uuid) -> Result<String> {
        let body = json!({ "user_id": user, "metadata": { "user_id": user } });
        let request = self
            .http
            .post(format!("{}/_control/accounts", self.base))
            .json(&body);
        let account = checked(request.send().await?).await?;
        account
            .get("id")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
            .context("the account has no id")
    }

    /// Whether payouts move by themselves or wait for the bank of the story.
    pub(super) async fn payouts_wait(&self, wait: bool) -> Result<()> {
        let body = json!({ "payout_mode": if wait { "manual" } else { "auto" } });
        let request = self
            .http
            .post(format!("{}/_control/settings", self.base))
            .json(&body);
        checked(request.send().await?).await.map(drop)
    }

    /// The bank sends a payout back.
    pub(super) async fn send_back(&self, account: &str) -> Result<()> {
        let request = self
            .http
            .get(format!("{}/v1/payouts?limit=1", self.base))
            .bearer_auth("sk_test_demonstration")
            .header("Stripe-Account", account);
        let payouts = checked(request.send().await?).await?;
        let payout = payouts
            .pointer("/data/0/id")
            .and_then(Value::as_str)
            .context("there is no payout")?;
        let body = json!({ "status": "failed", "failure_code": "account_closed" });
        let request = self
            .http
            .post(format!("{}/_control/payouts/{payout}", self.base))
            .json(&body);
        checked(request.send().await?).await.map(drop)
    }
}

fn http() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
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

/// A text field of an object, empty when it is absent.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}
