//! `parked`.

use wallet_core::config::WorkerConfig;
use wallet_core::{alarms, jobs};

use super::{connect, say};

/// Lists what waits for a person.
pub(crate) async fn parked(config: &WorkerConfig) -> anyhow::Result<()> {
    let db = connect(config).await?;
    let parked = jobs::list_parked(&db).await?;
    for job in &parked {
        let transaction = job.transaction.map(|id| id.to_string()).unwrap_or_default();
        say(&format!(
            "job {}  {}  {transaction}  {}",
            job.id, job.kind, job.reason
        ))?;
    }
    let open = alarms::list_open(&db).await?;
    for alarm in &open {
        say(&format!(
            "alarm {}  {} ×{}  {}",
            alarm.kind, alarm.subject, alarm.seen, alarm.message
        ))?;
    }
    say(&format!(
        "{} parked jobs, {} open alarms",
        parked.len(),
        open.len()
    ))
}
