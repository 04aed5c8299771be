//! How a person enables payouts to a bank.

use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::client::{LOOK_AGAIN, PATIENCE};
use super::bank::WITHDRAW;
use super::words::{note, timeline, told};
use super::{Story, text};

const ONBOARD: &str = "mutation Onboard($walletId: String!, $input: OnboardPayoutsInput!) { onboardPayouts(walletId: $walletId, input: $input) { stripeAccountId url payoutsEnabled } }";

/// The address that Stripe's page redirects to.
const BACK: &str = "https://example.com/payouts";

impl Story {
    /// Enables Ben's payouts; returns the id of his account at Stripe.
    pub(super) async fn onboard(&self) -> Result<String> {
        self.steps.next(
            "Ben opens payouts: an account at Stripe is made for him, and he completes it on Stripe's page, not on ours",
        );
        self.payments.accounts_begin_empty().await?;
        let input = json!({ "returnUrl": BACK, "refreshUrl": "https://example.com/again" });
        let variables = json!({ "walletId": self.ben.wallet, "input": input });
        let opened = self.ben.api.ask("onboardPayouts", ONBOARD, variables).await?;
        let account = text(&opened, "stripeAccountId").to_owned();
        note(&format!("{account} exists; its page: {}", text(&opened, "url")));
        if opened.get("payoutsEnabled") != Some(&Value::Bool(false)) {
            bail!("an account that nobody completed is paid out: {opened}");
        }
        let early = json!({ "walletId": self.ben.wallet, "input": { "amount": "45.00" } });
        let code = self.ben.api.refused(WITHDRAW, early).await?;
        if code != "INVALID_STATE" {
            bail!("a withdrawal before that was refused with {code}");
        }
        note(&format!(
            "a withdrawal before Ben has completed it is refused: {code}"
        ));
        let back = self.payments.complete_page(text(&opened, "url")).await?;
        if back != BACK {
            bail!("Stripe's page leads to {back}");
        }
        note(&format!(
            "Ben completes it, and Stripe's page leads him back to {back}"
        ));
        self.balances(("5.00", "0.00"), ("79.80", "0.00")).await?;
        Ok(account)
    }

    /// Withdraws for Ben as soon as Stripe has reported that his account is complete; returns the withdrawal's id.
    pub(super) async fn withdraw(&self) -> Result<String> {
        self.steps.next(
            "Stripe's account.updated opens withdrawals, and Ben withdraws 45.00: held, transferred to his account, paid out to his bank",
        );
        let input =
            json!({ "amount": "45.00", "accountName": "Ben Example", "idempotencyKey": Uuid::new_v4() });
        let variables = json!({ "walletId": self.ben.wallet, "input": input });
        let began = Instant::now();
        let accepted = loop {
            let answer = self.ben.api.send(WITHDRAW, variables.clone()).await?;
            let code = answer
                .pointer("/errors/0/extensions/code")
                .and_then(Value::as_str);
            match (code, answer.pointer("/data/withdraw")) {
                (None, Some(accepted)) => break accepted.clone(),
                // Stripe's event has not been processed yet.
                (Some("INVALID_STATE"), _) if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                _ => bail!("Ben's account is complete, but: {answer}"),
            }
        };
        told(&accepted);
        let id = text(&accepted, "id").to_owned();
        timeline(&self.ben.api.end(&id, "COMPLETED").await?);
        self.balances(("5.00", "0.00"), ("34.80", "0.00")).await?;
        Ok(id)
    }
}
