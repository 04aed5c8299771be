//! The client of the simulator for payers, payees, their banks and Stripe's dashboard.

use anyhow::{Context as _, Result, bail};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{checked, http, text};

/// The simulator as payers, payees and banks use it.
pub(in crate::demo) struct Payments {
    base: String,
    http: reqwest::Client,
}

impl Payments {
    pub(in crate::demo) fn new(base: &str) -> Result<Self> {
        Ok(Self {
            base: base.to_owned(),
            http: http()?,
        })
    }

    /// Pays as the payer's browser does with Stripe.js: confirms with the client secret and a test card.
    pub(in crate::demo) async fn pay(&self, intent: &str, client_secret: &str) -> Result<()> {
        checked(self.confirmation(intent, client_secret).send().await?)
            .await
            .map(drop)
    }

    /// Tries to pay when Stripe must refuse it; returns Stripe's error code.
    pub(in crate::demo) async fn cannot_pay(&self, intent: &str, client_secret: &str) -> Result<String> {
        let answer = self.confirmation(intent, client_secret).send().await?;
        let (status, body) = (answer.status(), answer.json::<Value>().await?);
        let code = body.pointer("/error/code").and_then(Value::as_str);
        match code {
            Some(code) if status.is_client_error() => Ok(code.to_owned()),
            _ => bail!("Stripe should have refused the payment, but answered {status}: {body}"),
        }
    }

    fn confirmation(&self, intent: &str, client_secret: &str) -> RequestBuilder {
        let form = [
            ("client_secret", client_secret),
            ("payment_method", "pm_card_visa"),
            // Some methods that the intent accepts would redirect the payer; a card does not.
            ("return_url", "https://example.com/back"),
        ];
        let url = format!("{}/v1/payment_intents/{intent}/confirm", self.base);
        self.http
            .post(url)
            .bearer_auth("pk_test_demonstration")
            .form(&form)
    }

    /// Returns a payment intent as Stripe has it.
    pub(in crate::demo) async fn intent(&self, intent: &str) -> Result<Value> {
        let url = format!("{}/v1/payment_intents/{intent}", self.base);
        let request = self.http.get(url).bearer_auth("sk_test_demonstration");
        checked(request.send().await?).await
    }

    /// Opens one of Stripe's pages as a browser would, completes what it asks for, and returns the address that it redirects to.
    pub(in crate::demo) async fn complete_page(&self, url: &str) -> Result<String> {
        let answer = self.http.get(url).send().await?;
        let back = answer.headers().get("location").and_then(|to| to.to_str().ok());
        back.map(ToOwned::to_owned)
            .with_context(|| format!("the page answered {} and leads nowhere", answer.status()))
    }

    /// Makes new accounts lack all requirements until their people complete them, as at Stripe.
    pub(in crate::demo) async fn accounts_begin_empty(&self) -> Result<()> {
        self.control("settings", json!({ "accounts_ready": false }))
            .await
            .map(drop)
    }

    /// Adds a working bank account to the payee's account at Stripe.
    pub(in crate::demo) async fn mend_bank(&self, account: &str) -> Result<()> {
        let body = json!({ "external_account": true });
        self.control(&format!("accounts/{account}"), body).await.map(drop)
    }

    /// Makes payouts wait for the bank of the story, or progress by themselves.
    pub(in crate::demo) async fn payouts_wait(&self, wait: bool) -> Result<()> {
        let mode = if wait { "manual" } else { "auto" };
        self.control("settings", json!({ "payout_mode": mode }))
            .await
            .map(drop)
    }

    /// Makes the bank return the account's latest payout, pending or paid.
    pub(in crate::demo) async fn send_back(&self, account: &str) -> Result<()> {
        let request = self
            .http
            .get(format!("{}/v1/payouts?limit=1", self.base))
            .bearer_auth("sk_test_demonstration")
            .header("Stripe-Account", account);
        let payouts = checked(request.send().await?).await?;
        let payout = payouts.pointer("/data/0").context("there is no payout")?;
        let body = json!({ "status": "failed", "failure_code": "account_closed" });
        self.control(&format!("payouts/{}", text(payout, "id")), body)
            .await
            .map(drop)
    }

    /// Makes the payer's bank dispute a payment; returns the dispute's id.
    pub(in crate::demo) async fn dispute(&self, intent: &str) -> Result<String> {
        let body = json!({ "payment_intent": intent, "reason": "fraudulent" });
        let dispute = self.control("disputes", body).await?;
        Ok(text(&dispute, "id").to_owned())
    }

    /// Makes the bank decide a dispute: `won` by us or `lost`.
    pub(in crate::demo) async fn decide(&self, dispute: &str, status: &str) -> Result<()> {
        let path = format!("disputes/{dispute}");
        self.control(&path, json!({ "status": status })).await.map(drop)
    }

    /// Refunds a payment in Stripe's dashboard, outside the wallet, as the platform's staff may do. In minor units.
    pub(in crate::demo) async fn refund_in_dashboard(&self, intent: &str, amount: i64) -> Result<()> {
        let body = json!({ "payment_intent": intent, "amount": amount });
        self.control("refunds", body).await.map(drop)
    }

    async fn control(&self, path: &str, body: Value) -> Result<Value> {
        let request = self.http.post(format!("{}/_control/{path}", self.base));
        checked(request.json(&body).send().await?).await
    }
}
