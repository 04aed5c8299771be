//! Money from a card into a wallet, and back to the card.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::words::{note, timeline, told};
use super::{Story, expect, text};

pub(super) const DEPOSIT: &str = "mutation Deposit($walletId: String!, $input: DepositInput!) { deposit(walletId: $walletId, input: $input) { id amount status stripePaymentIntentId metadata } }";
pub(super) const REFUND: &str = "mutation Refund($transactionId: String!, $input: RefundInput!) { refund(transactionId: $transactionId, input: $input) { id amount fee status relatedTransactionId } }";
const CANCEL: &str = "mutation Cancel($transactionId: String!) { cancelTransaction(transactionId: $transactionId) { id status } }";

/// A deposit that waits for its payer.
struct Waiting {
    id: String,
    intent: String,
    client_secret: String,
}

impl Story {
    pub(super) async fn deposit(&self) -> Result<String> {
        self.steps.next(
            "Ada deposits 100.00: the worker creates a payment intent, Ada's browser confirms it, Stripe's webhook credits it",
        );
        let input =
            json!({ "amount": "100.00", "description": "rent money", "idempotencyKey": Uuid::new_v4() });
        let waiting = self.begin_deposit(input).await?;
        self.payments.pay(&waiting.intent, &waiting.client_secret).await?;
        timeline(&self.ada.api.end(&waiting.id, "COMPLETED").await?);
        self.balances(("100.00", "0.00"), ("0.00", "0.00")).await?;
        Ok(waiting.id)
    }

    pub(super) async fn cancelled_deposit(&self) -> Result<()> {
        self.steps.next(
            "Ada begins another deposit and cancels it before she paid: the intent is cancelled at Stripe first, so nobody can pay it",
        );
        let input = json!({ "amount": "25.00", "idempotencyKey": Uuid::new_v4() });
        let waiting = self.begin_deposit(input).await?;
        self.ada
            .api
            .ask(
                "cancelTransaction",
                CANCEL,
                json!({ "transactionId": waiting.id }),
            )
            .await?;
        let ended = self.ada.api.end(&waiting.id, "CANCELLED").await?;
        timeline(&ended);
        note(text(&ended, "failureReason"));
        expect(
            &self.payments.intent(&waiting.intent).await?,
            "status",
            "canceled",
        )?;
        let code = self
            .payments
            .cannot_pay(&waiting.intent, &waiting.client_secret)
            .await?;
        note(&format!("paying it all the same is refused by Stripe: {code}"));
        self.balances(("100.00", "0.00"), ("0.00", "0.00")).await
    }

    pub(super) async fn refund_deposit(&self, deposit: &str) -> Result<()> {
        self.steps.next(
            "Ada takes 15.00 of her deposit back to her card: held, refunded at Stripe, gone once Stripe says so",
        );
        let refund = self.refund(&self.ada, deposit, "15.00", "too much").await?;
        let ended = self.ada.api.end(&refund, "COMPLETED").await?;
        timeline(&ended);
        expect(&ended, "relatedTransactionId", deposit)?;
        self.balances(("5.00", "0.00"), ("79.80", "0.00")).await
    }

    /// Requests a deposit twice with the same key, and waits for what the payer's browser needs.
    async fn begin_deposit(&self, input: Value) -> Result<Waiting> {
        let variables = json!({ "walletId": self.ada.wallet, "input": input });
        let deposit = self.ada.api.ask("deposit", DEPOSIT, variables.clone()).await?;
        told(&deposit);
        let id = text(&deposit, "id").to_owned();
        let again = self.ada.api.ask("deposit", DEPOSIT, variables).await?;
        if text(&again, "id") != id {
            bail!("the same idempotency key made a second deposit: {again}");
        }
        note("sent again with the same idempotency key: the same transaction");
        let ready = |now: &Value| !text(now, "clientSecret").is_empty();
        let waiting = self.ada.api.wait(&id, "the client secret", ready).await?;
        let intent = text(&waiting, "stripePaymentIntentId").to_owned();
        note(&format!("{intent} waits for the payer"));
        Ok(Waiting {
            id,
            intent,
            client_secret: text(&waiting, "clientSecret").to_owned(),
        })
    }

    /// Deposits with a card that Ada has saved, which the worker confirms at once. Returns the transaction's id and its intent.
    pub(super) async fn deposit_by_saved_card(&self, amount: &str) -> Result<(String, String)> {
        let input = json!({ "amount": amount, "stripePaymentMethodId": "pm_card_visa" });
        let id = self.ada.order("deposit", DEPOSIT, input).await?;
        let ended = self.ada.api.end(&id, "COMPLETED").await?;
        timeline(&ended);
        Ok((id, text(&ended, "stripePaymentIntentId").to_owned()))
    }
}
