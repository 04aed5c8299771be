//! `review`: decides about money in suspense.

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;
use wallet_core::ids::TransactionId;
use wallet_core::ids::stripe::PaymentIntentId;
use wallet_core::jobs::JobKind;
use wallet_core::ledger::{self, Suspended};
use wallet_core::money::Money;
use wallet_core::reason::Reason;
use wallet_core::transactions::{self, Flow, RefKind, Stage, Transaction};

use super::Session;
use super::decision::{decide, id_of, is_stuck, under_way};
use super::session::moment;

/// Money that was received without being requested, or not as requested.
#[derive(Debug, Subcommand)]
pub(crate) enum Review {
    /// List everything in suspense, the oldest first.
    List,
    /// Credit what was received for a deposit in review to its wallet.
    Credit {
        /// The deposit.
        transaction: String,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Reason,
    },
    /// End what is left in suspense for a deposit when nothing of its payment can be refunded any more: the rest from
    /// a different conversion rate, or what a dispute took beyond the payment. It becomes the platform's gain or loss.
    Close {
        /// The deposit.
        transaction: String,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Reason,
    },
    /// Return what lies in suspense for a deposit to its payer by a refund: it was not requested like this, or came after the deposit had ended.
    Return {
        /// The deposit.
        transaction: String,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Reason,
    },
}

/// Lists what is in suspense, or queues a decision.
pub(crate) async fn review(session: &Session, command: Review) -> anyhow::Result<()> {
    match command {
        Review::List => list(session).await,
        Review::Credit { transaction, reason } => credit(session, id_of(&transaction)?, &reason).await,
        Review::Close { transaction, reason } => close(session, id_of(&transaction)?, &reason).await,
        Review::Return { transaction, reason } => {
            return_payment(session, id_of(&transaction)?, &reason).await
        }
    }
}

/// Returns the transaction with this id, and what lies in suspense for it.
async fn found(session: &Session, id: TransactionId) -> anyhow::Result<(Transaction, Vec<Suspended>)> {
    let conn = &mut session.db.conn().await?;
    let Some(transaction) = transactions::find(conn, id).await? else {
        bail!("there is no transaction {id}; `wallet-worker review list` lists what is in suspense");
    };
    let suspended = ledger::suspended_of(conn, id).await?;
    Ok((transaction, suspended))
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
        let decided = under_way(session, one.transaction).await?;
        let is_decided = decided.is_some();
        let how = decided.map_or_else(String::new, |job| format!("  DECIDED: {job}"));
        lines.push(format!(
            "{}  {} since {}  {of}{how}",
            one.transaction,
            one.amount,
            moment(one.since)
        ));
        rows.push(json!({
            "transaction": one.transaction.to_string(), "amount": one.amount.amount(), "currency": one.amount.currency(),
            "since": one.since, "flow": flow, "stage": stage, "decided": is_decided,
        }));
    }
    lines.push(format!("{} amounts in suspense", suspended.len()));
    let begun = ledger::begun_returns(conn).await?;
    let mut returning = Vec::new();
    for one in &begun {
        let transaction = transactions::find(conn, one.transaction).await?;
        let of = transaction.map_or_else(String::new, |it| {
            format!("{} of {}, {}", it.flow.as_str(), it.amount, it.stage.as_str())
        });
        lines.push(format!(
            "{}  being returned to its payer by {} since {}  {of}",
            one.transaction,
            one.refund,
            moment(one.since)
        ));
        returning.push(
            json!({ "transaction": one.transaction.to_string(), "refund": one.refund, "since": one.since }),
        );
    }
    if !begun.is_empty() {
        lines.push(format!("{} refunds on their way", begun.len()));
    }
    session.answer(&json!({ "suspense": rows, "returning": returning }), lines)
}

/// Checks that no refund is under way: until it is final, it is open whether the money is the payer's or lies in suspense again.
async fn not_being_returned(session: &Session, id: TransactionId) -> anyhow::Result<()> {
    let begun = ledger::begun_returns(&mut *session.db.conn().await?).await?;
    if let Some(one) = begun.into_iter().find(|one| one.transaction == id) {
        let (refund, since) = (one.refund, moment(one.since));
        bail!("{id} is being returned to its payer by {refund} since {since}: that comes to its end first");
    }
    Ok(())
}

/// Checks that the transaction is no dispute: what a dispute returned beyond what it took belongs to no payer and no wallet.
fn of_a_payment(transaction: &Transaction) -> anyhow::Result<()> {
    if transaction.flow == Flow::Dispute {
        let id = transaction.id;
        bail!(
            "{id} is a dispute: what it gave back beyond what it took is of no payment; `wallet-worker review close {id}` makes it the platform's"
        );
    }
    Ok(())
}

async fn credit(session: &Session, id: TransactionId, reason: &Reason) -> anyhow::Result<()> {
    let (transaction, suspended) = found(session, id).await?;
    of_a_payment(&transaction)?;
    if transaction.stage != Stage::InReview {
        let stage = transaction.stage.as_str();
        bail!(
            "{id} is {stage}, not in review: what came for it can only be given back, by `wallet-worker review return`"
        );
    }
    not_being_returned(session, id).await?;
    if let Some(other) = suspended
        .iter()
        .find(|one| one.amount.currency() != transaction.amount.currency())
    {
        let amount = other.amount;
        bail!(
            "{amount} came in another currency than the wallet's: give it back by `wallet-worker review return`"
        );
    }
    decide(session, &transaction, JobKind::CreditReview, reason, "credit it").await
}

async fn return_payment(session: &Session, id: TransactionId, reason: &Reason) -> anyhow::Result<()> {
    let (transaction, suspended) = found(session, id).await?;
    not_being_returned(session, id).await?;
    of_a_payment(&transaction)?;
    let [only] = suspended.as_slice() else {
        bail!("not one amount lies in suspense for {id}; `wallet-worker review list` lists what does");
    };
    if !only.amount.is_positive() {
        let amount = only.amount;
        bail!(
            "{amount} lies in suspense, so nothing can be given back; `wallet-worker review close {id}` books the loss"
        );
    }
    decide(
        session,
        &transaction,
        JobKind::ReturnReview,
        reason,
        "give it back to its payer",
    )
    .await
}

/// Returns what came for a deposit in review if nothing on record rules out a refund: it is all of one payment, and no refund was tried.
async fn untouched(
    session: &Session,
    transaction: &Transaction,
    suspended: &[Suspended],
) -> anyhow::Result<Option<Money>> {
    let id = transaction.id;
    let [only] = suspended else {
        return Ok(None);
    };
    if transaction.stage != Stage::InReview
        || !only.amount.is_positive()
        || is_stuck(session, id, JobKind::ReturnReview).await?
    {
        return Ok(None);
    }
    let conn = &mut session.db.conn().await?;
    let payments: Vec<PaymentIntentId> =
        transactions::external_refs_of(conn, id, RefKind::LatePayment).await?;
    let has_failed = transactions::has_external_refs(conn, id, RefKind::Return).await?;
    let is_whole = payments.len() == 1 && !has_failed && !ledger::has_left_suspense(conn, id).await?;
    Ok(is_whole.then_some(only.amount))
}

async fn close(session: &Session, id: TransactionId, reason: &Reason) -> anyhow::Result<()> {
    let (transaction, suspended) = found(session, id).await?;
    not_being_returned(session, id).await?;
    if suspended.is_empty() {
        bail!("nothing lies in suspense for {id}; `wallet-worker review list` lists what does");
    }
    if let Some(amount) = untouched(session, &transaction, &suspended).await? {
        let credit = if amount.currency() == transaction.amount.currency() {
            format!("`wallet-worker review credit {id}` credits it, ")
        } else {
            String::new()
        };
        bail!(
            "{amount} lies in suspense, and nothing of it was refunded or disputed: {credit}`wallet-worker review return {id}` gives it back to its \
             payer; only when that cannot be done is it closed"
        );
    }
    let amounts: Vec<String> = suspended.iter().map(|one| one.amount.to_string()).collect();
    let what = format!(
        "book {} as the platform's, if nothing of what was paid can be given back",
        amounts.join(" and ")
    );
    decide(session, &transaction, JobKind::CloseReview, reason, &what).await
}
