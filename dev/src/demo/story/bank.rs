//! Payouts that the bank returns.

use anyhow::Result;
use serde_json::{Value, json};

use super::words::{note, says, timeline};
use super::{Story, expect, text};

pub(super) const WITHDRAW: &str = "mutation Withdraw($walletId: String!, $input: WithdrawInput!) { withdraw(walletId: $walletId, input: $input) { id amount status stripeTransferId } }";

impl Story {
    pub(super) async fn returned_late(&self, withdrawal: &str, account: &str) -> Result<()> {
        self.steps.next(
            "Days later Ben's bank sends the 45.00 back although they were paid: the withdrawal stays completed, and a refund credits Ben",
        );
        self.payments.send_back(account).await?;
        let back = self.ben.api.follow_up(&self.ben.wallet, withdrawal).await?;
        timeline(&self.ben.api.end(&back, "COMPLETED").await?);
        let before = self.ben.api.end(withdrawal, "COMPLETED").await?;
        note(&format!(
            "the withdrawal is as it was: {}",
            text(&before, "status")
        ));
        self.balances(("5.00", "0.00"), ("79.80", "0.00")).await
    }

    pub(super) async fn returned(&self, account: &str) -> Result<()> {
        self.steps.next(
            "Ben gives Stripe another bank account and withdraws 10.00, but that bank refuses it: the money is his again",
        );
        self.payments.mend_bank(account).await?;
        self.payments.payouts_wait(true).await?;
        let input = json!({ "amount": "10.00", "accountName": "Ben Example" });
        let id = self.ben.order("withdraw", WITHDRAW, input).await?;
        let paying = |now: &Value| says(now, "payout to your bank");
        self.ben.api.wait(&id, "the payout", paying).await?;
        note("the payout is under way:");
        self.balances(("5.00", "0.00"), ("69.80", "10.00")).await?;
        self.payments.send_back(account).await?;
        let failed = self.ben.api.end(&id, "FAILED").await?;
        timeline(&failed);
        note(text(&failed, "failureReason"));
        expect(&failed, "amount", "10.00")?;
        self.payments.payouts_wait(false).await?;
        self.balances(("5.00", "0.00"), ("79.80", "0.00")).await
    }
}
