//! `review`.

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::json;
use wallet_core::audit::{self, Actor, AuditRecord};
use wallet_core::config::WorkerConfig;
use wallet_core::db::{DbError, in_transaction};
use wallet_core::flows::Stage;
use wallet_core::ids::TransactionId;
use wallet_core::jobs::{self, JobKind, NewJob};
use wallet_core::{ledger, transactions};

use super::{clock, connect, say};

/// Money that was received and not asked for, or not as it was asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Review {
    /// List everything in suspense, the oldest first.
    List,
    /// Credit what was received for a deposit in review to its wallet. To give it back instead, refund the payment in Stripe's dashboard.
    Credit {
        /// The deposit.
        transaction: String,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: String,
    },
}

/// Lists or decides.
pub(crate) async fn review(config: &WorkerConfig, command: Review) -> anyhow::Result<()> {
    match command {
        Review::List => list(config).await,
        Review::Credit { transaction, reason } => {
            let id = transaction
                .parse()
                .with_context(|| format!("{transaction} is no transaction id"))?;
            credit(config, id, &reason).await
        }
    }
}

async fn list(config: &WorkerConfig) -> anyhow::Result<()> {
    let db = connect(config).await?;
    let conn = &mut db.conn().await?;
    let suspended = ledger::suspended(conn).await?;
    for one in &suspended {
        let transaction = transactions::find(conn, one.transaction).await?;
        let of = transaction.map_or_else(String::new, |it| {
            format!("{} of {}, {}", it.flow.as_str(), it.amount, it.stage.as_str())
        });
        say(&format!(
            "{}  {} since {}  {of}",
            one.transaction,
            one.amount,
            one.since.format("%Y-%m-%d %H:%M UTC")
        ))?;
    }
    say(&format!("{} amounts in suspense", suspended.len()))
}

async fn credit(config: &WorkerConfig, id: TransactionId, reason: &str) -> anyhow::Result<()> {
    let db = connect(config).await?;
    let found = transactions::find(&mut *db.conn().await?, id).await?;
    let Some(transaction) = found else {
        bail!("there is no transaction {id}; `wallet-worker review list` lists what is in suspense");
    };
    if transaction.stage != Stage::InReview {
        let stage = transaction.stage.as_str();
        bail!("{id} is {stage}, not in review: what came for it can only be refunded, in Stripe's dashboard");
    }
    let suspended = ledger::suspended_of(&mut *db.conn().await?, id).await?;
    if let Some(other) = suspended
        .iter()
        .find(|one| one.amount.currency() != transaction.amount.currency())
    {
        let amount = other.amount;
        bail!("{amount} came in another currency than the wallet's: refund it in Stripe's dashboard");
    }
    let now = clock().now();
    let job = NewJob {
        unique_key: Some(format!("review:{id}")),
        ..NewJob::for_transaction(JobKind::CreditReview, id, transaction.wallets(), now)
    };
    let queued = in_transaction!(db, conn => {
        let queued = jobs::insert(conn, &job).await?;
        if queued.is_some() {
            let entry = AuditRecord {
                at: now,
                actor: &Actor::Operator,
                action: "credit_review",
                request_id: None,
                transactions: &[id],
                wallets: &transaction.wallets(),
                detail: json!({ "reason": reason }),
            };
            audit::record(conn, &entry).await?;
        }
        Ok::<_, DbError>(queued)
    })?;
    match queued {
        Some(job) => say(&format!("job {job} will credit it")),
        None => say("it is being credited already"),
    }
}
