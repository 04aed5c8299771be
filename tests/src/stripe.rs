//! A test's own Stripe: the simulator in this process, and the calls of tests to its control endpoint.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use uuid::Uuid;
use wallet_stripe_simulator::{Settings, SignatureClock, Simulator, SimulatorConfig, WebhookTarget};

use crate::system::{CONNECT_SECRET, PLATFORM_SECRET, STRIPE_KEY};

/// The platform's own balance at Stripe when a test begins, in cents.
pub const OPENING: i64 = 100_000_000;

/// A running simulator.
pub struct Stripe {
    simulator: Simulator,
    client: Client,
}

impl std::fmt::Debug for Stripe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stripe").field(&self.simulator.url()).finish()
    }
}

impl Stripe {
    /// Starts one that sends its webhooks to `webhook_url`. It takes no fees, so that amounts are easy to follow, and signs by its own
    /// clock, which tests move together with the application's.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start(webhook_url: &str, opening: i64) -> Self {
        let settings = Settings {
            fee_basis_points: 0,
            fee_fixed: 0,
            bank_debit_ms: 50,
            payout_in_transit_ms: 20,
            payout_paid_ms: 20,
            webhook_retry_base_ms: 200,
            webhook_signature_clock: SignatureClock::Simulator,
            ..Settings::default()
        };
        let config = SimulatorConfig {
            secret_key: Some(STRIPE_KEY.to_owned()),
            webhook: Some(WebhookTarget::new(
                webhook_url,
                PLATFORM_SECRET,
                Some(CONNECT_SECRET.to_owned()),
            )),
            opening_balance: if opening > 0 {
                vec![("usd".to_owned(), opening)]
            } else {
                Vec::new()
            },
            settings,
            ..SimulatorConfig::default()
        };
        let simulator = wallet_stripe_simulator::start(config).await.unwrap();
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        Self { simulator, client }
    }

    /// `STRIPE_API_BASE`.
    #[must_use]
    pub fn url(&self) -> String {
        self.simulator.url()
    }

    /// Stops it.
    pub async fn shutdown(self) {
        self.simulator.shutdown().await;
    }

    async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.url()))
            .bearer_auth(STRIPE_KEY);
        if let Some(body) = body {
            request = request.json(body);
        }
        answered(request).await
    }

    /// Makes a control call.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn control(&self, path: &str, body: Value) -> Value {
        self.request(Method::POST, &format!("/_control/{path}"), Some(&body))
            .await
    }

    /// Sends a `GET` to the API or the control endpoint and returns the answer.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn get(&self, path: &str) -> Value {
        self.request(Method::GET, path, None).await
    }

    /// Sends a `DELETE` to the API, as another holder of the platform's key would.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn delete(&self, path: &str) -> Value {
        self.request(Method::DELETE, path, None).await
    }

    /// Sends a `GET` to the API on behalf of a connected account and returns the answer.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn get_as(&self, account: &str, path: &str) -> Value {
        let request = self
            .client
            .get(format!("{}{path}", self.url()))
            .bearer_auth(STRIPE_KEY);
        answered(request.header("stripe-account", account)).await
    }

    /// Sends a `POST` to the API, as another holder of the platform's key would.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn form(&self, path: &str, params: &[(&str, &str)]) -> Value {
        answered(
            self.client
                .post(format!("{}{path}", self.url()))
                .bearer_auth(STRIPE_KEY)
                .form(params),
        )
        .await
    }

    /// The same on behalf of a connected account.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn form_as(&self, account: &str, path: &str, params: &[(&str, &str)]) -> Value {
        let request = self
            .client
            .post(format!("{}{path}", self.url()))
            .bearer_auth(STRIPE_KEY)
            .form(params);
        answered(request.header("stripe-account", account)).await
    }

    /// Orders a fault of API requests; see `dev/stripe-simulator/README.md`.
    pub async fn fault(&self, fault: Value) {
        self.control("faults", fault).await;
    }

    /// Orders a fault of webhooks.
    pub async fn webhook_fault(&self, fault: Value) {
        self.control("webhook_faults", fault).await;
    }

    /// Removes every fault.
    pub async fn clear_faults(&self) {
        self.request(Method::DELETE, "/_control/faults", None).await;
        self.request(Method::DELETE, "/_control/webhook_faults", None)
            .await;
    }

    /// How often the active faults have been hit, in the order in which they were ordered.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn fault_hits(&self) -> Vec<u64> {
        let faults = self.get("/_control/faults").await;
        faults
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["hit"].as_u64().unwrap())
            .collect()
    }

    /// Removes the faults with a 429 that have been hit: they only had to keep a call waiting.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn end_waiting_faults(&self) {
        let faults = self.get("/_control/faults").await;
        for rule in faults.as_array().unwrap() {
            let waiting = rule["outcome"] == "rate_limit";
            if waiting && rule["hit"].as_u64().unwrap() > 0 {
                self.request(Method::DELETE, &format!("/_control/faults/{}", rule["id"]), None)
                    .await;
            }
        }
    }

    /// Changes settings.
    pub async fn settings(&self, changes: Value) {
        self.control("settings", changes).await;
    }

    /// Creates a connected account of `user` that can be paid.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn account(&self, user: Uuid) -> String {
        let account = self.control("accounts", json!({ "user_id": user })).await;
        account["id"].as_str().unwrap().to_owned()
    }

    /// Confirms an intent as the payer and returns the status of Stripe's answer, 402 for a decline.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn confirm(&self, intent: &str, method: &str) -> u16 {
        let url = format!("{}/_control/payment_intents/{intent}/confirm", self.url());
        let request = self.client.post(url).json(&json!({ "payment_method": method }));
        request.send().await.unwrap().status().as_u16()
    }

    /// The effects of one operation; `*` stands for any text.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn effects(&self, operation: &str) -> Vec<Value> {
        self.get(&format!("/_control/effects?operation={operation}"))
            .await
            .as_array()
            .unwrap()
            .clone()
    }

    /// The effects of one operation for one transaction.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn effects_of(&self, transaction: &str, operation: &str) -> usize {
        let path = format!("/_control/effects?operation={operation}&transaction_id={transaction}");
        self.get(&path).await.as_array().unwrap().len()
    }

    /// The attempts to deliver webhooks: event type and status.
    ///
    /// # Panics
    /// If the simulator refuses it.
    pub async fn deliveries(&self) -> Vec<(String, Option<u64>)> {
        let attempts = self.get("/_control/deliveries").await;
        let one = |attempt: &Value| {
            (
                attempt["kind"].as_str().unwrap_or_default().to_owned(),
                attempt["status"].as_u64(),
            )
        };
        attempts.as_array().unwrap().iter().map(one).collect()
    }
}

async fn answered(request: reqwest::RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let (status, url) = (response.status(), response.url().to_string());
    let body: Value = response.json().await.unwrap();
    assert!(status.is_success(), "{url}: {status} {body}");
    body
}
