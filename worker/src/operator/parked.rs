//! `parked`: lists parked jobs and open alarms.

use serde_json::{Value, json};
use wallet_core::alarms::{self, AlarmKind, OpenAlarm};
use wallet_core::ids::TransactionId;
use wallet_core::jobs::{self, ParkedJob};
use wallet_core::transactions;

use super::Session;
use super::decision::under_way;
use super::session::moment;
use super::withdrawals::decision_about;

/// Lists what waits for an operator.
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
    let mut alarms: Vec<Value> = Vec::with_capacity(open.len());
    for alarm in &open {
        let decided = decided(session, &parked, alarm).await?;
        let is_decided = decided.is_some();
        let how = decided.map_or_else(String::new, |decided| format!("  DECIDED: {decided}"));
        lines.push(format!(
            "alarm {}  {} ×{}  since {}  {}{how}",
            alarm.kind,
            alarm.subject,
            alarm.seen,
            moment(alarm.raised_at),
            alarm.message
        ));
        alarms.push(json!({
            "kind": alarm.kind, "subject": alarm.subject, "seen": alarm.seen, "raisedAt": alarm.raised_at, "message": alarm.message,
            "decided": is_decided,
        }));
    }
    lines.push(format!(
        "{} parked jobs, {} open alarms",
        parked.len(),
        open.len()
    ));
    session.answer(&json!({ "jobs": jobs, "alarms": alarms }), lines)
}

/// Describes a decision under way about an alarm's transaction, if any; until it is carried out, the alarm's message still asks for one.
async fn decided(
    session: &Session,
    parked: &[ParkedJob],
    alarm: &OpenAlarm,
) -> anyhow::Result<Option<String>> {
    let Ok(id) = alarm.subject.parse::<TransactionId>() else {
        return Ok(None);
    };
    match alarm.known_kind() {
        Some(
            AlarmKind::PaymentMismatch
            | AlarmKind::LatePayment
            | AlarmKind::ReturnFailed
            | AlarmKind::DisputeDiffers,
        ) => under_way(session, id).await,
        Some(kind) if AlarmKind::ABOUT_PAYOUTS.contains(&kind) => {
            let found = transactions::find(&mut *session.db.conn().await?, id).await?;
            match found {
                Some(found) => decision_about(session, parked, &found).await,
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}
