//! `rotate-keys`: re-wraps data keys under the current key.

use clap::Args;
use serde_json::{Value, json};
use wallet_core::audit::{self, AuditRecord};
use wallet_core::config::KeysConfig;
use wallet_core::crypto::RewrapReport;
use wallet_core::reason::Reason;

use super::{Session, Verdict};

/// The maximum number of runs, to re-wrap what other programs changed at the same time.
const ROUNDS: u32 = 5;

/// The arguments of `rotate-keys`.
#[derive(Debug, Args)]
pub(crate) struct RotateKeys {
    /// Why, for the audit trail: the yearly rotation, or a key that leaked.
    #[arg(long)]
    reason: Option<Reason>,
}

/// Re-wraps data keys; succeeds only if every one of them is then under the current key.
pub(crate) async fn rotate_keys(
    session: &Session,
    config: &KeysConfig,
    how: &RotateKeys,
) -> anyhow::Result<()> {
    let vault = session.foundation(&config.encryption).vault;
    record(
        session,
        "begin_key_rotation",
        json!({ "reason": how.reason.as_ref().map(Reason::as_str) }),
    )
    .await?;
    let (mut rewrapped, mut told) = (0, 0);
    let mut report = RewrapReport::default();
    for _ in 0..ROUNDS {
        report = vault
            .rewrap_all(|so_far| {
                let so_far = rewrapped + so_far.rewrapped;
                if so_far > told {
                    told = so_far;
                    session.progress(&rewrapped_in_words(told));
                }
            })
            .await?;
        rewrapped += report.rewrapped;
        if report.overtaken == 0 {
            break;
        }
    }
    report.rewrapped = rewrapped;
    let object = as_json(&report);
    record(session, "end_key_rotation", object.clone()).await?;
    session.answer(&object, in_words(&report, told))?;
    if report.is_complete() {
        return Ok(());
    }
    Err(Verdict::DoesNotHold(
        "the rotation is not done: keep every key that is configured now, and every retired one".to_owned(),
    )
    .into())
}

async fn record(session: &Session, action: &'static str, detail: Value) -> anyhow::Result<()> {
    let entry = AuditRecord {
        detail,
        ..AuditRecord::new(session.now(), &session.actor, action)
    };
    Ok(audit::record(&mut *session.db.conn().await?, &entry).await?)
}

fn as_json(report: &RewrapReport) -> Value {
    let missing: Vec<Value> = report
        .missing
        .iter()
        .map(|(key, count)| json!({ "wrappingKey": key.as_str(), "dataKeys": count }))
        .collect();
    json!({
        "complete": report.is_complete(), "rewrapped": report.rewrapped, "overtaken": report.overtaken, "damaged": report.damaged,
        "missing": missing,
    })
}

fn rewrapped_in_words(keys: usize) -> String {
    format!("{keys} data keys re-wrapped")
}

/// Describes the result; `told` is the number of re-wrapped keys that the last line of progress showed.
fn in_words(report: &RewrapReport, told: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if told == 0 || told != report.rewrapped {
        lines.push(rewrapped_in_words(report.rewrapped));
    }
    for (key, count) in &report.missing {
        lines.push(format!(
            "{count} data keys are wrapped by the key {key}, which is not configured: add it to ENCRYPTION_PREVIOUS_KEYS and run this again"
        ));
    }
    if report.damaged > 0 {
        lines.push(format!(
            "{} data keys do not unwrap although their key is configured: they are damaged, restore their rows from a backup",
            report.damaged
        ));
    }
    if report.overtaken > 0 {
        lines.push(format!(
            "{} data keys changed meanwhile: run this again",
            report.overtaken
        ));
    }
    if report.is_complete() {
        lines.push("every data key is under the current ENCRYPTION_SECRET_KEY: once all APIs and workers have been restarted with it, the retired keys are no longer needed".to_owned());
    }
    lines
}
