//! `close-alarm`.

use anyhow::bail;
use clap::Args;
use serde_json::json;
use wallet_core::alarms;
use wallet_core::audit::{self, AuditRecord};
use wallet_core::db::{DbError, in_transaction};
use wallet_core::reason::Reason;

use super::Session;

/// Which alarm, and why it may be closed.
#[derive(Debug, Args)]
pub(crate) struct CloseAlarm {
    /// What kind of trouble, as `parked` lists it.
    kind: String,
    /// With what, as `parked` lists it.
    subject: String,
    /// What was found out, for those who read the audit trail.
    #[arg(long)]
    reason: Reason,
}

/// Closes it, on record.
pub(crate) async fn close_alarm(session: &Session, which: &CloseAlarm) -> anyhow::Result<()> {
    let now = session.now();
    let is_closed = in_transaction!(session.db, conn => {
        let is_closed = alarms::close(conn, &which.kind, &which.subject, now).await?;
        if is_closed {
            let record = AuditRecord {
                at: now,
                actor: &session.actor,
                action: "close_alarm",
                request_id: None,
                transactions: &[],
                wallets: &[],
                detail: json!({ "kind": which.kind, "subject": which.subject, "reason": which.reason.as_str() }),
            };
            audit::record(conn, &record).await?;
        }
        Ok::<bool, DbError>(is_closed)
    })?;
    if !is_closed {
        bail!(
            "there is no open alarm {} {}; `wallet-worker parked` lists them",
            which.kind,
            which.subject
        );
    }
    session.answer(
        &json!({ "closed": { "kind": which.kind, "subject": which.subject } }),
        ["the alarm is closed".to_owned()],
    )
}
