//! `wallets`: deactivates and activates single wallets.

use clap::{Args, Subcommand};
use serde_json::json;
use wallet_core::ids::WalletId;
use wallet_core::jobs;
use wallet_core::reason::Reason;
use wallet_core::wallets::{self, ActivityChange};

use super::Session;

/// The commands about single wallets.
#[derive(Debug, Subcommand)]
pub(crate) enum Wallets {
    /// Nothing leaves the wallet from now on: requests for it are refused, and what is held and has not left is released to it.
    Deactivate(Which),
    /// Let the wallet send and receive again.
    Activate(Which),
}

/// The wallet, and the reason.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The wallet's id.
    wallet: WalletId,
    /// Why: recorded in the audit trail, and not shown to the owner.
    #[arg(long)]
    reason: Reason,
}

/// Deactivates or activates a wallet.
pub(crate) async fn wallets(session: &Session, command: Wallets) -> anyhow::Result<()> {
    let (active, Which { wallet, reason }) = match command {
        Wallets::Deactivate(which) => (false, which),
        Wallets::Activate(which) => (true, which),
    };
    let change = ActivityChange {
        active,
        reason: &reason,
        actor: &session.actor,
        request_id: None,
    };
    let found = wallets::set_active(&session.db, wallet, &change, session.now()).await?;
    anyhow::ensure!(found.is_some(), "there is no wallet {wallet}");
    let how = if active { "active" } else { "not active" };
    let mut lines = vec![format!("wallet {wallet} is {how}")];
    // Parked jobs do not notice by themselves that nothing may be sent any more.
    let parked: Vec<i64> = match active {
        true => Vec::new(),
        false => jobs::parked_of(&session.db, wallet)
            .await?
            .into_iter()
            .map(|job| job.0)
            .collect(),
    };
    if !parked.is_empty() {
        let named: Vec<String> = parked.iter().map(i64::to_string).collect();
        lines.push(format!(
            "what its parked jobs hold comes back when they are queued again while it is not active: `wallet-worker requeue {} --reason …`{}",
            named.join(" "),
            if parked.len() < jobs::MOST_OF_WALLET { "" } else { "; there may be more, which this command names then" }
        ));
    }
    let object = json!({ "wallet": wallet.to_string(), "active": active, "parkedJobs": parked });
    session.answer(&object, lines)
}
