//! `review`.

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::json;
use wallet_core::audit::{self, AuditRecord};
use wallet_core::db::{DbError, in_transaction};
use wallet_core::flows::Stage;
use wallet_core::ids::TransactionId;
use wallet_core::jobs::{self, JobKind, NewJob};
use wallet_core::{ledger, transactions};

use super::Session;
use super::reason::Reason;
use super::session::moment;

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
        reason: Reason,
    },
}

/// Lists or decides.
pub(crate) async fn review(session: &Session, command: Review) -> anyhow::Result<()> {
    match command {
        Review::List => list(session).await,
        Review::Credit { transaction, reason } => {
            let id = transaction
                .parse()
                .with_context(|| format!("{transaction} is no transaction id"))?;
            credit(session, id, &reason).await
        }
    }
}

async fn list(session: &Session) -> anyhow::Result<()> {
    let conn = &mut session.db.conn().await?;
    let suspended = ledger::suspended(conn).await?;
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for one in &suspended {
        let transaction = transactions::find(conn, one.transaction).await?;
        let (flow, stage) = match &transaction {
            Some(it) => (Some(it.flow.as_str()), Some(it.stage.as_str())),
            None => (None, None),
        };
        let of = transaction.as_ref().map_or_else(String::new, |it| {
            format!("{} of {}, {}", it.flow.as_str(), it.amount, it.stage.as_str())
        });
        lines.push(format!(
            "{}  {} since {}  {of}",
            one.transaction,
            one.amount,
            moment(one.since)
        ));
        rows.push(json!({
            "transaction": one.transaction.to_string(), "amount": one.amount.amount(), "currency": one.amount.currency(),
            "since": one.since, "flow": flow, "stage": stage,
        }));
    }
    lines.push(format!("{} amounts in suspense", suspended.len()));
    session.answer(&json!({ "suspense": rows }), lines)
}

async fn credit(session: &Session, id: TransactionId, reason: &Reason) -> anyhow::Result<()> {
    let db = &session.db;
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
    let now = session.now();
    let job = NewJob {
        unique_key: Some(format!("review:{id}")),
        ..NewJob::for_transaction(JobKind::CreditReview, id, transaction.wallets(), now)
    };
    let queued = in_transaction!(db, conn => {
        let queued = jobs::insert(conn, &job).await?;
        if queued.is_some() {
            let entry = AuditRecord {
                at: now,
                actor: &session.actor,
                action: "credit_review",
                request_id: None,
                transactions: &[id],
                wallets: &transaction.wallets(),
                detail: json!({ "reason": reason.as_str() }),
            };
            audit::record(conn, &entry).await?;
        }
        Ok::<_, DbError>(queued)
    })?;
    let line = match queued {
        Some(job) => format!("job {job} will credit it"),
        None => "it is being credited already".to_owned(),
    };
    session.answer(
        &json!({ "transaction": id.to_string(), "job": queued.map(|job| job.0) }),
        [line],
    )
}
