//! The simulator tested over HTTP, as its users meet it.

mod connect;
mod dashboard;
mod disputes;
mod disputes_and_refunds;
mod events;
mod faults;
mod idempotency;
mod keeping;
mod payments;
mod settlement;
mod typed;
mod webhooks;

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Settings, Simulator, SimulatorConfig, start};

/// A running simulator and a client of it.
struct Fixture {
    simulator: Simulator,
    client: Client,
}

/// The parameters of a request.
type Form<'a> = &'a [(&'a str, &'a str)];

/// An answer: status, headers and body.
#[derive(Debug)]
struct Answered {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Answered {
    fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    fn error(&self, field: &str) -> &str {
        self.body["error"][field].as_str().unwrap_or_default()
    }
}

impl Fixture {
    /// Fees are 0, so that amounts are easy to follow.
    async fn new() -> Self {
        Self::with(SimulatorConfig::default()).await
    }

    async fn with(mut config: SimulatorConfig) -> Self {
        config.settings = Settings {
            fee_basis_points: 0,
            fee_fixed: 0,
            ..config.settings
        };
        Self {
            simulator: start(config).await.unwrap(),
            client: Client::builder().no_proxy().build().unwrap(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.simulator.url()))
            .timeout(Duration::from_secs(5))
            .bearer_auth("sk_test_123")
    }

    async fn send(&self, request: RequestBuilder) -> Answered {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answered {
            status,
            headers,
            body: response.json().await.unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Answered {
        self.send(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, form: Form<'_>) -> Answered {
        self.send(self.request(Method::POST, path).form(form)).await
    }

    async fn post_with_key(&self, path: &str, form: Form<'_>, key: &str) -> Answered {
        self.send(
            self.request(Method::POST, path)
                .form(form)
                .header("idempotency-key", key),
        )
        .await
    }

    async fn post_as(&self, account: &str, path: &str, form: Form<'_>) -> Answered {
        self.send(
            self.request(Method::POST, path)
                .form(form)
                .header("stripe-account", account),
        )
        .await
    }

    async fn get_as(&self, account: &str, path: &str) -> Answered {
        self.send(self.request(Method::GET, path).header("stripe-account", account))
            .await
    }

    async fn control(&self, path: &str, body: Value) -> Value {
        self.send(
            self.request(Method::POST, &format!("/_control/{path}"))
                .json(&body),
        )
        .await
        .ok()
    }

    /// The status of a control call that is to be refused.
    async fn control_refused(&self, path: &str, body: Value) -> u16 {
        let request = self.request(Method::POST, &format!("/_control/{path}"));
        let answered = self.send(request.json(&body)).await;
        assert!(answered.body["error"].is_string(), "{}", answered.body);
        answered.status.as_u16()
    }

    /// The operations and transactions of the effects from number `after` on.
    async fn done_since(&self, after: usize) -> Vec<(String, Option<String>)> {
        let effects = self.get(&format!("/_control/effects?after={after}")).await.ok();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let one = |effect: &Value| {
            (
                text(&effect["operation"]).unwrap(),
                text(&effect["transaction_id"]),
            )
        };
        effects.as_array().unwrap().iter().map(one).collect()
    }

    async fn effects(&self, operation: &str) -> Vec<Value> {
        let found = self
            .get(&format!("/_control/effects?operation={operation}"))
            .await
            .ok();
        found.as_array().unwrap().clone()
    }

    /// A paid intent of `amount` US cents.
    async fn paid(&self, amount: &str, method: &str) -> Value {
        let form = [
            ("amount", amount),
            ("currency", "usd"),
            ("confirm", "true"),
            ("off_session", "true"),
            ("payment_method", method),
            ("payment_method_types[]", "card"),
        ];
        self.post("/v1/payment_intents", &form).await.ok()
    }

    /// A connected account that can be paid.
    async fn account(&self) -> String {
        let account = self.control("accounts", json!({ "user_id": "u1" })).await;
        account["id"].as_str().unwrap().to_owned()
    }

    async fn available(&self, account: Option<&str>) -> i64 {
        let balance = match account {
            Some(account) => self.get_as(account, "/v1/balance").await,
            None => self.get("/v1/balance").await,
        };
        balance.ok()["available"][0]["amount"].as_i64().unwrap()
    }

    /// Reads `path` until `field` is `value`.
    async fn until(&self, account: Option<&str>, path: &str, field: &str, value: &str) -> Value {
        for _ in 0..200 {
            let read = match account {
                Some(account) => self.get_as(account, path).await,
                None => self.get(path).await,
            };
            let object = read.ok();
            if object[field] == value {
                return object;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} never had {field} = {value}");
    }

    async fn event_types(&self, account: Option<&str>) -> Vec<String> {
        let events = match account {
            Some(account) => self.get_as(account, "/v1/events?limit=100").await,
            None => self.get("/v1/events?limit=100").await,
        };
        let events = events.ok();
        events["data"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect()
    }
}
