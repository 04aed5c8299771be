//! Money that the platform's staff moves at Stripe itself, outside the wallet.

use anyhow::Result;

use super::Story;
use super::words::timeline;

impl Story {
    pub(super) async fn refund_in_dashboard(&self, (deposit, intent): &(String, String)) -> Result<()> {
        self.steps.next(
            "Somebody refunds 4.00 of Ada's last deposit in Stripe's dashboard: the wallet hears of it and books it",
        );
        self.payments.refund_in_dashboard(intent, 400).await?;
        let refund = self.ada.api.follow_up(&self.ada.wallet, deposit).await?;
        timeline(&self.ada.api.end(&refund, "COMPLETED").await?);
        self.balances(("1.00", "0.00"), ("149.80", "0.00")).await
    }
}
