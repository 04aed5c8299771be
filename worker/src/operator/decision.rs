//! What an operator decides about a transaction: a worker carries it out, once, on record.

use anyhow::Context;
use serde_json::json;
use wallet_core::audit::{self, AuditRecord};
use wallet_core::db::{DbError, in_transaction};
use wallet_core::ids::TransactionId;
use wallet_core::jobs::{self, JobKind, NewJob};
use wallet_core::reason::Reason;
use wallet_core::transactions::Transaction;

use super::Session;

/// The transaction that an operator names.
pub(super) fn id_of(text: &str) -> anyhow::Result<TransactionId> {
    text.parse()
        .with_context(|| format!("{text} is no transaction id"))
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
    let job = NewJob {
        // One decision at a time, whichever it is.
        unique_key: Some(format!("review:{id}")),
        ..NewJob::for_transaction(kind, id, transaction.wallets(), now)
    };
    let queued = in_transaction!(session.db, conn => {
        let queued = jobs::insert(conn, &job).await?;
        if queued.is_some() {
            let entry = AuditRecord {
                at: now,
                actor: &session.actor,
                action: kind.as_str(),
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
        Some(job) => format!("job {job} will {what}"),
        None => "a decision about it is being carried out already".to_owned(),
    };
    session.answer(
        &json!({ "transaction": id.to_string(), "job": queued.map(|job| job.0) }),
        [line],
    )
}
