//! `parked`.

use serde_json::{Value, json};
use wallet_core::{alarms, jobs};

use super::Session;
use super::session::moment;

/// Lists what waits for a person.
pub(crate) async fn parked(session: &Session) -> anyhow::Result<()> {
    let parked = jobs::list_parked(&session.db).await?;
    let open = alarms::list_open(&session.db).await?;
    let mut lines = Vec::with_capacity(parked.len() + open.len() + 1);
    let mut jobs = Vec::with_capacity(parked.len());
    for job in &parked {
        let transaction = job.transaction.map(|id| id.to_string());
        lines.push(format!(
            "job {}  {}  {}  parked {}, queued {}  {}",
            job.id,
            job.kind,
            transaction.as_deref().unwrap_or_default(),
            moment(job.parked_at),
            moment(job.created_at),
            job.reason
        ));
        jobs.push(json!({
            "id": job.id.0, "kind": job.kind, "transaction": transaction, "parkedAt": job.parked_at, "createdAt": job.created_at,
            "reason": job.reason,
        }));
    }
    for alarm in &open {
        lines.push(format!(
            "alarm {}  {} ×{}  since {}  {}",
            alarm.kind,
            alarm.subject,
            alarm.seen,
            moment(alarm.raised_at),
            alarm.message
        ));
    }
    lines.push(format!(
        "{} parked jobs, {} open alarms",
        parked.len(),
        open.len()
    ));
    let alarms: Vec<Value> = open
        .iter()
        .map(|alarm| {
            json!({
                "kind": alarm.kind, "subject": alarm.subject, "seen": alarm.seen, "raisedAt": alarm.raised_at, "message": alarm.message,
            })
        })
        .collect();
    session.answer(&json!({ "jobs": jobs, "alarms": alarms }), lines)
}
