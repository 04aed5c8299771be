//! Writing a planned batch: one statement for each kind of row.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use serde_json::json;
use uuid::Uuid;

use super::plan::Plan;
use crate::alarms::{self, AlarmKind};
use crate::audit::{self, Actor, AuditRecord};
use crate::db::{DbError, PgConn, sql};
use crate::ids::{IdSource, TransactionId, WalletId};
use crate::inbox;
use crate::jobs;
use crate::ledger;
use crate::money::Money;
use crate::transactions::{self, NewLine, Stage, TimelineKind};

pub(super) async fn write(
    conn: &mut PgConn,
    ids: &dyn IdSource,
    actor: &Actor,
    now: DateTime<Utc>,
    plan: &Plan,
) -> Result<(), DbError> {
    open_payments(conn, ids, actor, now, plan).await?;
    ledger::post(conn, ids, now, &plan.books, &plan.postings()).await?;
    write_transactions(conn, now, plan).await?;
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

/// What is taken for debts begins as everything does: accepted, told, recorded.
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
            at: now,
            actor,
            action: "accept",
            request_id: None,
            transactions: &[payment.id],
            wallets: &payment.wallets(),
            detail: json!({ "type": payment.transaction_type.as_str(), "flow": payment.flow.as_str() }),
        };
        audit::record(conn, &entry).await?;
    }
    Ok(())
}

async fn write_transactions(conn: &mut PgConn, now: DateTime<Utc>, plan: &Plan) -> Result<(), DbError> {
    // A transaction with several steps in one batch is written once for each, in their order.
    let mut rest: Vec<&super::plan::Planned> = plan
        .planned
        .iter()
        .filter(|planned| planned.decision.changes_row())
        .collect();
    while !rest.is_empty() {
        let mut round: Vec<&super::plan::Planned> = Vec::with_capacity(rest.len());
        let mut later = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for planned in rest {
            if seen.insert(planned.transaction) {
                round.push(planned)
            } else {
                later.push(planned)
            }
        }
        write_round(conn, now, &round).await?;
        rest = later;
    }
    Ok(())
}

async fn write_round(
    conn: &mut PgConn,
    now: DateTime<Utc>,
    round: &[&super::plan::Planned],
) -> Result<(), DbError> {
    let ids: Vec<Uuid> = round.iter().map(|planned| planned.transaction.uuid()).collect();
    let (Some(least), Some(most)) = (ids.iter().min().copied(), ids.iter().max().copied()) else {
        return Ok(());
    };
    let stages = |pick: fn(&super::plan::Planned) -> &'static str| {
        round.iter().map(|planned| pick(planned)).collect::<Vec<_>>()
    };
    let column = |pick: fn(&crate::flows::Changes) -> Option<&str>| {
        round
            .iter()
            .map(|planned| pick(&planned.decision.changes))
            .collect::<Vec<Option<&str>>>()
    };
    let money = |pick: fn(&crate::flows::Changes) -> Option<Money>| {
        round
            .iter()
            .map(|planned| pick(&planned.decision.changes).map(Money::amount))
            .collect::<Vec<Option<Decimal>>>()
    };
    let reasons: Vec<Option<String>> = round
        .iter()
        .map(|planned| planned.decision.changes.failure_reason.as_ref())
        .map(|reason| reason.map(ToString::to_string))
        .collect();
    let available_on: Vec<Option<DateTime<Utc>>> = round
        .iter()
        .map(|planned| planned.decision.changes.available_on)
        .collect();
    let written = sql(
        "UPDATE wallet_transactions AS t
            SET stage = n.stage, status = n.status::transaction_status, updated_at = $18,
                stripe_payment_intent_id = COALESCE(n.payment_intent, t.stripe_payment_intent_id),
                encrypted_client_secret = COALESCE(n.client_secret, t.encrypted_client_secret),
                stripe_transfer_id = COALESCE(n.transfer, t.stripe_transfer_id),
                stripe_payout_id = COALESCE(n.payout, t.stripe_payout_id),
                stripe_refund_id = COALESCE(n.refund, t.stripe_refund_id),
                failure_reason = COALESCE(n.failure_reason, t.failure_reason),
                fee = COALESCE(n.fee, t.fee), held_amount = COALESCE(n.held, t.held_amount),
                claimed_amount = COALESCE(n.claimed, t.claimed_amount),
                requested_amount = CASE WHEN n.credited IS NULL THEN t.requested_amount ELSE t.amount END,
                amount = COALESCE(n.credited, t.amount),
                available_on = COALESCE(n.available_on, t.available_on)
           FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             AS n (id, from_stage, stage, status, payment_intent, client_secret, transfer, payout, refund, failure_reason,
                   fee, held, available_on, claimed, credited)
          WHERE t.id = n.id AND t.stage = n.from_stage AND t.id BETWEEN $16 AND $17",
    )
    .bind::<Array<SqlUuid>, _>(&ids)
    .bind::<Array<Text>, _>(stages(|planned| planned.from.as_str()))
    .bind::<Array<Text>, _>(stages(|planned| planned.decision.to.unwrap_or(planned.from).as_str()))
    .bind::<Array<Text>, _>(stages(|planned| planned.decision.to.unwrap_or(planned.from).status().as_str()))
    .bind::<Array<Nullable<Text>>, _>(column(|changes| changes.payment_intent.as_ref().map(AsRef::as_ref)))
    .bind::<Array<Nullable<Text>>, _>(column(|changes| changes.sealed_client_secret.as_deref()))
    .bind::<Array<Nullable<Text>>, _>(column(|changes| changes.transfer.as_ref().map(AsRef::as_ref)))
    .bind::<Array<Nullable<Text>>, _>(column(|changes| changes.payout.as_ref().map(AsRef::as_ref)))
    .bind::<Array<Nullable<Text>>, _>(column(|changes| changes.refund.as_ref().map(AsRef::as_ref)))
    .bind::<Array<Nullable<Text>>, _>(reasons)
    .bind::<Array<Nullable<Numeric>>, _>(money(|changes| changes.fee))
    .bind::<Array<Nullable<Numeric>>, _>(money(|changes| changes.held))
    .bind::<Array<Nullable<Timestamptz>>, _>(available_on)
    .bind::<Array<Nullable<Numeric>>, _>(money(|changes| changes.claimed))
    .bind::<Array<Nullable<Numeric>>, _>(money(|changes| changes.credited))
    .bind::<SqlUuid, _>(least)
    .bind::<SqlUuid, _>(most)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    if written == round.len() {
        Ok(())
    } else {
        // The rows are locked and were just read: a difference means that somebody writes past this door.
        Err(DbError::Inconsistent {
            table: "wallet_transactions",
            column: "stage",
            row: format!("{ids:?}"),
        })
    }
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
    // Money may also move without a change of stage, for example when a dispute takes it; whoever reads the trail pairs the first
    // transactions with the stages, and these come after.
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
    let wallets: Vec<WalletId> = plan.books.changed().map(|(id, _)| id).collect();
    let stages: Vec<[&str; 2]> = moved
        .iter()
        .map(|planned| {
            [
                planned.from.as_str(),
                planned.decision.to.unwrap_or(planned.from).as_str(),
            ]
        })
        .collect();
    let claims: Vec<[i64; 2]> = moved
        .iter()
        .map(|planned| [planned.claim.job.0, planned.claim.fence])
        .collect();
    let entry = AuditRecord {
        at: now,
        actor,
        action: "settle",
        request_id: None,
        transactions: &transactions,
        wallets: &wallets,
        detail: json!({ "stages": stages, "claims": claims }),
    };
    audit::record(conn, &entry).await
}
