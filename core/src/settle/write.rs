//! Writing a planned batch: one statement for each kind of row that every step writes, and one for each follow-up job, alarm and debt payment.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::plan::{Plan, Planned};
use crate::alarms::{self, AlarmKind};
use crate::audit::{self, Actor, AuditRecord};
use crate::db::{DbError, PgConn};
use crate::ids::{IdSource, TransactionId, WalletId};
use crate::inbox;
use crate::jobs;
use crate::ledger;
use crate::transactions::{self, NewLine, Stage, TimelineKind};

pub(super) async fn write(
    conn: &mut PgConn,
    ids: &dyn IdSource,
    actor: &Actor,
    now: DateTime<Utc>,
    plan: &Plan,
) -> Result<(), DbError> {
    open_payments(conn, ids, actor, now, plan).await?;
    ledger::post(conn, ids, now, &plan.balances, &plan.postings()).await?;
    let changed = plan
        .planned
        .iter()
        .filter(|planned| planned.decision.changes_row());
    transactions::advance(conn, now, changed.map(Planned::advance)).await?;
    write_timeline(conn, ids, now, plan).await?;
    write_refs(conn, now, plan).await?;
    for job in plan.follow_ups(now) {
        jobs::insert(conn, &job).await?;
    }
    let cancelled: Vec<TransactionId> = plan
        .planned
        .iter()
        .filter(|planned| planned.decision.to == Some(Stage::Cancelled))
        .map(|planned| planned.transaction)
        .collect();
    jobs::drop_of(conn, &cancelled, None, now).await?;
    for (kind, subject, message) in &plan.alarms {
        alarms::raise(conn, *kind, subject, message, now).await?;
    }
    for planned in plan
        .planned
        .iter()
        .filter(|planned| planned.decision.leaves_suspense)
    {
        if ledger::suspended_of(conn, planned.transaction).await?.is_empty() {
            let subject = planned.transaction.to_string();
            alarms::close(conn, AlarmKind::PaymentMismatch, &subject, now).await?;
            alarms::close(conn, AlarmKind::LatePayment, &subject, now).await?;
            alarms::close(conn, AlarmKind::ReturnFailed, &subject, now).await?;
            alarms::close(conn, AlarmKind::DisputeDiffers, &subject, now).await?;
        }
    }
    for planned in &plan.planned {
        for kind in &planned.decision.closes {
            alarms::close(conn, *kind, &planned.transaction.to_string(), now).await?;
        }
    }
    inbox::mark_processed(conn, &plan.processed_events, now).await?;
    write_audit(conn, actor, now, plan).await?;
    if !plan.finished.is_empty() {
        jobs::finish(conn, &plan.finished, now).await?;
    }
    Ok(())
}

/// Writes the debt payments that the plan opens, like every accepted transaction: its row, its line of the timeline, its audit record.
async fn open_payments(
    conn: &mut PgConn,
    ids: &dyn IdSource,
    actor: &Actor,
    now: DateTime<Utc>,
    plan: &Plan,
) -> Result<(), DbError> {
    for payment in &plan.opened {
        transactions::insert(conn, payment).await?;
        let words = "what became spendable pays what is owed to the platform";
        let detail = payment
            .related_transaction_id
            .map(|cause| json!({ "cause": cause.to_string() }));
        transactions::record(
            conn,
            payment.id,
            ids.next(),
            now,
            TimelineKind::Accepted,
            words,
            detail,
        )
        .await?;
        let entry = AuditRecord {
            transactions: &[payment.id],
            wallets: &payment.wallets(),
            detail: json!({ "type": payment.transaction_type.as_str(), "flow": payment.flow.as_str() }),
            ..AuditRecord::new(now, actor, "accept")
        };
        audit::record(conn, &entry).await?;
    }
    Ok(())
}

async fn write_timeline(
    conn: &mut PgConn,
    ids: &dyn IdSource,
    now: DateTime<Utc>,
    plan: &Plan,
) -> Result<(), DbError> {
    let lines: Vec<NewLine<'_>> = plan
        .planned
        .iter()
        .flat_map(|planned| {
            planned
                .decision
                .timeline
                .iter()
                .map(|line| (planned.transaction, line))
        })
        .map(|(transaction, (kind, message, detail))| NewLine {
            transaction,
            id: ids.next(),
            kind: *kind,
            message,
            detail: detail.as_ref(),
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    transactions::record_lines(conn, now, &lines).await
}

async fn write_refs(conn: &mut PgConn, now: DateTime<Utc>, plan: &Plan) -> Result<(), DbError> {
    let refs: Vec<_> = plan
        .planned
        .iter()
        .flat_map(|planned| {
            planned
                .decision
                .refs
                .iter()
                .map(move |object| (object, planned.transaction))
        })
        .collect();
    transactions::record_references(conn, &refs, now).await
}

async fn write_audit(
    conn: &mut PgConn,
    actor: &Actor,
    now: DateTime<Utc>,
    plan: &Plan,
) -> Result<(), DbError> {
    let moved: Vec<_> = plan
        .planned
        .iter()
        .filter(|planned| planned.decision.to.is_some())
        .collect();
    // Money may also move without a change of stage, for example when a dispute takes it. Readers of the audit trail pair the stages with
    // the first transactions, so these transactions come after them.
    let posted = plan
        .planned
        .iter()
        .filter(|planned| planned.decision.to.is_none() && !planned.decision.legs.is_empty());
    let posted: Vec<TransactionId> = posted.map(|planned| planned.transaction).collect();
    if moved.is_empty() && posted.is_empty() {
        return Ok(());
    }
    let mut transactions: Vec<TransactionId> = moved.iter().map(|planned| planned.transaction).collect();
    transactions.extend(posted);
    let wallets: Vec<WalletId> = plan.balances.changed().map(|(id, _)| id).collect();
    let stages: Vec<[&str; 2]> = moved
        .iter()
        .map(|planned| [planned.from.as_str(), planned.to().as_str()])
        .collect();
    let claims: Vec<[i64; 2]> = moved
        .iter()
        .map(|planned| [planned.claim.job.0, planned.claim.fence])
        .collect();
    let entry = AuditRecord {
        transactions: &transactions,
        wallets: &wallets,
        detail: json!({ "stages": stages, "claims": claims }),
        ..AuditRecord::new(now, actor, "settle")
    };
    audit::record(conn, &entry).await
}
