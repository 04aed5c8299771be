//! Queues what an operator decides about a transaction: a worker carries it out, once, on record.

use anyhow::{Context, bail};
use serde_json::json;
use wallet_core::audit::{self, AuditRecord};
use wallet_core::db::{DbError, in_transaction};
use wallet_core::ids::TransactionId;
use wallet_core::jobs::{self, JobKind, NewJob};
use wallet_core::money_out;
use wallet_core::reason::Reason;
use wallet_core::stripe::{CreateRefund, Operation, is_undecided, made};
use wallet_core::transactions::{self, ExternalRef, Transaction};

use super::Session;

/// Parses the id of the transaction that an operator names.
pub(super) fn id_of(text: &str) -> anyhow::Result<TransactionId> {
    text.parse()
        .with_context(|| format!("{text} is no transaction id"))
}

/// The unique key that all decisions on a transaction share, so that only one of them is pending.
fn key_of(id: TransactionId) -> String {
    format!("review:{id}")
}

/// Describes the job that carries out a decision about a transaction; `None` if nothing was decided, or if the job is parked.
pub(super) async fn under_way(session: &Session, id: TransactionId) -> anyhow::Result<Option<String>> {
    let found = jobs::find_unique(&session.db, &key_of(id)).await?;
    Ok(found.filter(|job| job.parked_at.is_none()).map(|job| {
        let (id, kind) = (job.id, job.kind);
        let waits = job.last_error.map_or_else(String::new, |why| format!(": {why}"));
        format!("job {id} ({kind}) carries it out{waits}")
    }))
}

/// Whether a decision of this kind was tried and its job is parked.
pub(super) async fn is_stuck(session: &Session, id: TransactionId, kind: JobKind) -> anyhow::Result<bool> {
    let found = jobs::find_unique(&session.db, &key_of(id)).await?;
    Ok(found.is_some_and(|job| job.kind == kind.as_str() && job.parked_at.is_some()))
}

/// Queues what an operator has decided, once, on record; `what` completes "job 7 will …".
pub(super) async fn decide(
    session: &Session,
    transaction: &Transaction,
    kind: JobKind,
    reason: &Reason,
    what: &str,
) -> anyhow::Result<()> {
    let (id, now) = (transaction.id, session.now());
    let key = key_of(id);
    let job = NewJob {
        unique_key: Some(key.clone()),
        ..NewJob::for_transaction(kind, id, transaction.wallets(), now)
    };
    if let Some(other) = jobs::find_unique(&session.db, &key).await?
        && other.kind != kind.as_str()
    {
        let (job, kind) = (other.id, other.kind);
        if other.parked_at.is_none() {
            bail!(
                "job {job} carries out another decision about {id} at this moment ({kind}): see what comes of it"
            );
        }
        if sends(&kind) && may_have_sent(session, id).await? {
            bail!(
                "job {job} ({kind}) may have sent money at Stripe already: `wallet-worker requeue {job}` finds that out"
            );
        }
    }
    let queued = in_transaction!(session.db, conn => {
        // A parked job of an earlier decision gives way to the new decision.
        jobs::drop_parked(conn, &key, now).await?;
        let queued = jobs::insert(conn, &job).await?;
        if queued.is_some() {
            let entry = AuditRecord {
                transactions: &[id],
                wallets: &transaction.wallets(),
                detail: json!({ "reason": reason.as_str() }),
                ..AuditRecord::new(now, &session.actor, kind.as_str())
            };
            audit::record(conn, &entry).await?;
        }
        Ok::<_, DbError>(queued)
    })?;
    if queued.is_none()
        && let Some(other) = jobs::find_unique(&session.db, &key).await?
        && other.kind != kind.as_str()
    {
        let (job, kind) = (other.id, other.kind);
        bail!(
            "job {job} carries out another decision about {id} at this moment ({kind}): see what comes of it"
        );
    }
    let mut lines = vec![match queued {
        Some(job) => format!("job {job} will {what}"),
        None => "this is being carried out already".to_owned(),
    }];
    let waits = sends_out(kind) && !money_out::state(&session.db).await?.is_open;
    if waits {
        lines.push(
            "money-out is stopped: the refund waits until `wallet-worker money-out start` lets money leave again"
                .to_owned(),
        );
    }
    session.answer(
        &json!({ "transaction": id.to_string(), "job": queued.map(|job| job.0), "waitsForMoneyOut": waits }),
        lines,
    )
}

/// Whether a decision of this kind sends money out, and so waits while money-out is stopped.
fn sends_out(kind: JobKind) -> bool {
    kind == JobKind::ReturnReview
}

/// Whether a decision of this kind is carried out by a call that moves money.
fn sends(kind: &str) -> bool {
    [JobKind::ReturnReview, JobKind::WithdrawalTakenBack]
        .iter()
        .any(|sending| sending.as_str() == kind)
}

/// Whether a call of an earlier decision may have moved money that no other decision can move.
async fn may_have_sent(session: &Session, id: TransactionId) -> anyhow::Result<bool> {
    let conn = &mut session.db.conn().await?;
    if is_undecided(conn, Operation::Reversal, id.uuid()).await? {
        return Ok(true);
    }
    if !is_undecided(conn, Operation::Refund, id.uuid()).await? {
        return Ok(false);
    }
    // A refund that is booked completely belongs to an earlier decision.
    let Some(refund) = made::<CreateRefund>(conn, id.uuid()).await? else {
        return Ok(true);
    };
    let booked = transactions::find_by_external_ref(conn, &ExternalRef::Refund(refund)).await?;
    Ok(booked.is_none())
}
