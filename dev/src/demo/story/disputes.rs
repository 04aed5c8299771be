//! The payer's bank disputes deposits: what is held, what is owed, and how a debt is collected.

use anyhow::{Result, bail};

use super::words::{note, says, timeline};
use super::{Story, text};

impl Story {
    pub(super) async fn dispute_won(&self) -> Result<()> {
        self.steps
            .next("Ada deposits 50.00 with a card she saved: the worker confirms it, no browser is needed");
        let (deposit, intent) = self.deposit_by_saved_card("50.00").await?;
        self.balances(("55.00", "0.00"), ("79.80", "0.00")).await?;

        self.steps
            .next("Ada's bank disputes that payment: the 50.00 are held until the bank decides");
        let (dispute, ours) = self.disputed(&deposit, &intent).await?;
        self.balances(("5.00", "50.00"), ("79.80", "0.00")).await?;

        self.steps
            .next("The bank decides for the platform: what was held is Ada's again");
        self.payments.decide(&dispute, "won").await?;
        let ended = self.ada.api.end(&ours, "CANCELLED").await?;
        timeline(&ended);
        note(text(&ended, "failureReason"));
        self.balances(("55.00", "0.00"), ("79.80", "0.00")).await
    }

    /// Returns the id of our transaction of the dispute.
    pub(super) async fn dispute_lost(&self) -> Result<String> {
        self.steps
            .next("Ada deposits 40.00 and sends Ben 70.00, so that little is left");
        let (deposit, intent) = self.deposit_by_saved_card("40.00").await?;
        timeline(&self.send("70.00", "next month").await?);
        self.balances(("25.00", "0.00"), ("149.80", "0.00")).await?;

        self.steps.next(
            "Ada's bank disputes the 40.00, but she has 25.00: those are held, and she owes the platform 15.00; Ben keeps what he got",
        );
        let (dispute, ours) = self.disputed(&deposit, &intent).await?;
        self.balances(("0.00", "25.00"), ("149.80", "0.00")).await?;

        self.steps
            .next("The bank decides for Ada as the card's holder: what was held is gone, and the 15.00 are still owed");
        self.payments.decide(&dispute, "lost").await?;
        timeline(&self.ada.api.end(&ours, "COMPLETED").await?);
        self.balances(("0.00", "0.00"), ("149.80", "0.00")).await?;
        Ok(ours)
    }

    /// Returns the id of the deposit that paid the debt, and its intent.
    pub(super) async fn debt_caught(&self, dispute: &str) -> Result<(String, String)> {
        self.steps
            .next("Ada deposits 20.00: her debt of 15.00 is paid first, by a transaction of its own, and 5.00 are hers");
        let (deposit, intent) = self.deposit_by_saved_card("20.00").await?;
        let payment = self.ada.api.follow_up(&self.ada.wallet, dispute).await?;
        let told = self.ada.api.end(&payment, "COMPLETED").await?;
        if !says(&told, "kept for what was owed") {
            bail!("the payment of the debt does not tell of it: {told}");
        }
        timeline(&told);
        self.balances(("5.00", "0.00"), ("149.80", "0.00")).await?;
        Ok((deposit, intent))
    }

    /// Disputes a deposit of Ada's; returns the ids of Stripe's dispute and of our transaction, once the money is held.
    async fn disputed(&self, deposit: &str, intent: &str) -> Result<(String, String)> {
        let dispute = self.payments.dispute(intent).await?;
        let ours = self.ada.api.follow_up(&self.ada.wallet, deposit).await?;
        let is_open = |now: &serde_json::Value| text(now, "status") == "PROCESSING";
        timeline(&self.ada.api.wait(&ours, "the dispute's hold", is_open).await?);
        Ok((dispute, ours))
    }
}
