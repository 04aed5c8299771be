//! Money from wallet to wallet: transfers, payments with a fee, and refunds by a payee.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::deposits::REFUND;
use super::words::{note, timeline, told};
use super::{Person, Story, expect, text};

const TRANSFER: &str = "mutation Transfer($fromWalletId: String!, $input: TransferInput!) { transfer(fromWalletId: $fromWalletId, input: $input) { id amount status metadata } }";
const PAY: &str = "mutation Pay($walletId: String!, $input: PayInput!) { pay(walletId: $walletId, input: $input) { id amount fee status } }";

impl Story {
    pub(super) async fn transfer(&self) -> Result<()> {
        self.steps
            .next("Ada sends Ben 60.00: one posting by a worker, no Stripe");
        timeline(&self.send("60.00", "rent").await?);
        self.balances(("40.00", "0.00"), ("60.00", "0.00")).await
    }

    pub(super) async fn overspend(&self) -> Result<()> {
        self.steps
            .next("Ada tries to send 1,000.00 and is refused; nothing changes");
        let input = json!({ "toWalletId": self.ben.wallet, "amount": "1000.00" });
        let variables = json!({ "fromWalletId": self.ada.wallet, "input": input });
        let code = self.ada.api.refused(TRANSFER, variables).await?;
        if code != "INSUFFICIENT_FUNDS" {
            bail!("refused with {code}");
        }
        note(&format!("refused: {code}"));
        self.balances(("40.00", "0.00"), ("60.00", "0.00")).await
    }

    pub(super) async fn pay(&self) -> Result<String> {
        self.steps
            .next("Ada pays Ben 30.00 for repairs: the platform keeps 1 %, Ben gets 29.70");
        let input = json!({ "toWalletId": self.ben.wallet, "amount": "30.00", "description": "repairs" });
        let payment = self.ada.order("pay", PAY, input).await?;
        let ended = self.ada.api.end(&payment, "COMPLETED").await?;
        timeline(&ended);
        expect(&ended, "fee", "0.30")?;
        self.balances(("10.00", "0.00"), ("89.70", "0.00")).await?;
        Ok(payment)
    }

    pub(super) async fn refund_payment(&self, payment: &str) -> Result<()> {
        self.steps.next(
            "Ben gives 10.00 of the payment back: Ada gets all of it, 9.90 from Ben and 0.10 of its fee from the platform",
        );
        let refund = self
            .refund(&self.ben, payment, "10.00", "half of it was not needed")
            .await?;
        let ended = self.ben.api.end(&refund, "COMPLETED").await?;
        timeline(&ended);
        expect(&ended, "fee", "0.10")?;
        expect(&ended, "relatedTransactionId", payment)?;
        self.balances(("20.00", "0.00"), ("79.80", "0.00")).await
    }

    /// Sends money from Ada to Ben; returns the completed transfer.
    pub(super) async fn send(&self, amount: &str, reference: &str) -> Result<Value> {
        let input = json!({ "toWalletId": self.ben.wallet, "amount": amount, "reference": reference });
        let variables = json!({ "fromWalletId": self.ada.wallet, "input": input });
        let transfer = self.ada.api.ask("transfer", TRANSFER, variables).await?;
        told(&transfer);
        self.ada.api.end(text(&transfer, "id"), "COMPLETED").await
    }

    /// Requests a refund of a transaction; returns the refund's id.
    pub(super) async fn refund(&self, by: &Person, of: &str, amount: &str, reason: &str) -> Result<String> {
        let variables = json!({ "transactionId": of, "input": { "amount": amount, "reason": reason } });
        let refund = by.api.ask("refund", REFUND, variables).await?;
        told(&refund);
        Ok(text(&refund, "id").to_owned())
    }
}
