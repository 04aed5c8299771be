//! Requests to the simulator's control endpoint.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The simulator, reached without a proxy.
#[derive(Debug, Clone)]
pub(crate) struct Stripe {
    base: String,
    client: Client,
}

impl Stripe {
    /// Makes a client of the simulator at this address.
    pub(crate) fn at(base: &str) -> Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            base: base.to_owned(),
            client,
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self
            .client
            .request(method, format!("{}/_control/{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let answer: Value = response.json().await.unwrap_or_default();
        if !status.is_success() {
            bail!("the simulator refuses {path}: {status} {answer}");
        }
        Ok(answer)
    }

    /// Sends an order.
    pub(crate) async fn control(&self, path: &str, body: Value) -> Result<Value> {
        self.ask(Method::POST, path, Some(&body)).await
    }

    /// Reads something.
    pub(crate) async fn look(&self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, None).await
    }

    /// Orders a fault of requests (`faults`) or webhooks (`webhook_faults`) and returns its number.
    pub(crate) async fn fault(&self, list: &str, rule: Value) -> Result<u64> {
        let made = self.control(list, rule).await?;
        made.get("id")
            .and_then(Value::as_u64)
            .with_context(|| format!("a rule without a number: {made}"))
    }

    /// Returns how often a fault was hit so far.
    pub(crate) async fn hits(&self, list: &str, id: u64) -> Result<u64> {
        let rules = self.look(list).await?;
        Ok(rules
            .as_array()
            .into_iter()
            .flatten()
            .find(|rule| rule.get("id").and_then(Value::as_u64) == Some(id))
            .and_then(|rule| rule.get("hit"))
            .and_then(Value::as_u64)
            .unwrap_or(0))
    }

    /// Cancels a fault and returns how often it was hit.
    pub(crate) async fn call_off(&self, list: &str, id: u64) -> Result<u64> {
        let hit = self.hits(list, id).await?;
        self.ask(Method::DELETE, &format!("{list}/{id}"), None).await?;
        Ok(hit)
    }

    /// Cancels every fault.
    pub(crate) async fn heal(&self) -> Result<()> {
        self.ask(Method::DELETE, "faults", None).await?;
        self.ask(Method::DELETE, "webhook_faults", None).await?;
        Ok(())
    }

    /// Pays an intent as the payer, with this payment method.
    pub(crate) async fn pay(&self, intent: &str, method: &str) -> Result<u16> {
        let url = format!("{}/_control/payment_intents/{intent}/confirm", self.base);
        let request = self.client.post(url).json(&json!({ "payment_method": method }));
        Ok(request.send().await?.status().as_u16())
    }

    /// Returns the platform's events, newest first, down to a known one: each with its payment intent, or with its object.
    pub(crate) async fn events(&self, key: &str, known: Option<&str>) -> Result<Vec<(String, String)>> {
        let mut events: Vec<(String, String)> = Vec::new();
        loop {
            let mut url = format!("{}/v1/events?limit=100", self.base);
            if let Some((last, _)) = events.last() {
                url = format!("{url}&starting_after={last}");
            }
            let page: Value = self.client.get(url).bearer_auth(key).send().await?.json().await?;
            let before = events.len();
            for event in page.get("data").and_then(Value::as_array).into_iter().flatten() {
                let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                if Some(text("/id")) == known {
                    return Ok(events);
                }
                let about = match text("/data/object/payment_intent") {
                    "" => text("/data/object/id"),
                    intent => intent,
                };
                events.push((text("/id").to_owned(), about.to_owned()));
            }
            if events.len() == before || known.is_none() {
                return Ok(events);
            }
        }
    }

    /// Returns everything that really happened at Stripe.
    pub(crate) async fn effects(&self) -> Result<Vec<Value>> {
        let found = self.look("effects").await?;
        Ok(found.as_array().cloned().unwrap_or_default())
    }
}
