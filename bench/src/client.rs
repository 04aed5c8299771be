//! A client of the public API.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use uuid::Uuid;
use wallet_dev::token::{self, Role};

const CREATE: &str = "mutation ($input: CreateWalletInput!) { createWallet(input: $input) { id } }";
const DEPOSIT: &str = "mutation ($walletId: String!, $input: DepositInput!) { deposit(walletId: $walletId, input: $input) { id } }";
const TRANSFER: &str = "mutation ($fromWalletId: String!, $input: TransferInput!) { transfer(fromWalletId: $fromWalletId, input: $input) { id } }";
const STATUS: &str = "query ($id: String!) { transaction(id: $id) { status } }";

/// The API as one person uses it.
#[derive(Clone)]
pub(crate) struct Client {
    url: String,
    token: String,
    http: reqwest::Client,
}

impl Client {
    /// Creates a new person, with a token that is valid for an hour.
    pub(crate) fn new(base: &str, jwt_secret: &str) -> Result<Self> {
        let token = token::issue(jwt_secret, Uuid::new_v4(), Role::User, Duration::from_secs(3_600))?;
        Self::with_token(base, &token, None)
    }

    /// Returns the client of the token's owner, with `address` as the client's address that a proxy would report.
    pub(crate) fn with_token(base: &str, token: &str, address: Option<&str>) -> Result<Self> {
        let mut headers = HeaderMap::new();
        if let Some(address) = address {
            headers.insert("x-forwarded-for", address.parse()?);
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .default_headers(headers)
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self {
            url: format!("{base}/graphql"),
            token: token.to_owned(),
            http,
        })
    }

    /// Returns the token of this person.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Sends any operation and reads the response; returns the status.
    pub(crate) async fn send(&self, document: &str, variables: Value) -> Result<u16> {
        let body = json!({ "query": document, "variables": variables });
        let answer = self
            .http
            .post(&self.url)
            .bearer_auth(&self.token)
            .json(&body)
            .send()
            .await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }

    async fn ask(&self, pointer: &str, document: &str, variables: Value) -> Result<String> {
        let body = json!({ "query": document, "variables": variables });
        let answer: Value = self
            .http
            .post(&self.url)
            .bearer_auth(&self.token)
            .json(&body)
            .send()
            .await?
            .json()
            .await?;
        let found = answer
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(ToOwned::to_owned);
        found.with_context(|| format!("unexpected answer: {answer}"))
    }

    /// Creates an empty wallet and returns its id.
    pub(crate) async fn wallet(&self) -> Result<String> {
        self.ask(
            "/data/createWallet/id",
            CREATE,
            json!({ "input": { "currency": "usd" } }),
        )
        .await
    }

    /// Deposits with a test card that the server confirms, and waits for the money.
    pub(crate) async fn fund(&self, wallet: &str, amount: &str) -> Result<()> {
        let input = json!({ "amount": amount, "paymentMethod": "CREDIT_CARD", "stripePaymentMethodId": "pm_card_visa" });
        let id = self
            .ask(
                "/data/deposit/id",
                DEPOSIT,
                json!({ "walletId": wallet, "input": input }),
            )
            .await?;
        self.completed(&id, Duration::from_millis(20), Duration::from_secs(30))
            .await
    }

    /// Requests a deposit that waits for its payer, and returns its id.
    pub(crate) async fn deposit(&self, wallet: &str, amount: &str) -> Result<String> {
        self.ask(
            "/data/deposit/id",
            DEPOSIT,
            json!({ "walletId": wallet, "input": { "amount": amount } }),
        )
        .await
    }

    /// Sends a transfer and returns its id.
    pub(crate) async fn transfer(&self, from: &str, to: &str, amount: &str) -> Result<String> {
        let input = json!({ "toWalletId": to, "amount": amount });
        self.ask(
            "/data/transfer/id",
            TRANSFER,
            json!({ "fromWalletId": from, "input": input }),
        )
        .await
    }

    /// Returns the status of a transaction.
    pub(crate) async fn status(&self, id: &str) -> Result<String> {
        self.ask("/data/transaction/status", STATUS, json!({ "id": id }))
            .await
    }

    /// Polls until the transaction is completed.
    pub(crate) async fn completed(&self, id: &str, every: Duration, patience: Duration) -> Result<()> {
        let began = Instant::now();
        loop {
            match self.status(id).await?.as_str() {
                "COMPLETED" => return Ok(()),
                "PENDING" | "PROCESSING" if began.elapsed() < patience => tokio::time::sleep(every).await,
                other => bail!("transaction {id} is {other} after {:?}", began.elapsed()),
            }
        }
    }
}
