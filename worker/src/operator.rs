//! The operator's commands: what they print is for a person.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use wallet_core::clock::{SharedClock, SystemClock};
use wallet_core::config::{MigrateConfig, WorkerConfig};
use wallet_core::crypto::{PgKeyStore, Vault};
use wallet_core::db::{self, Db, DbOptions};
use wallet_core::ids::{JobId, SystemIds};
use wallet_core::{alarms, jobs};

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("standard output")
}

/// Runs the migrations and makes partitions.
pub(crate) async fn migrate(config: &MigrateConfig, now: DateTime<Utc>) -> anyhow::Result<()> {
    let url = config.database.url.expose_secret();
    let done = db::migrate(url).await?;
    for name in &done {
        say(&format!("applied {name}"))?;
    }
    let db = Db::connect(
        url,
        &DbOptions {
            application_name: "wallet-migrate",
            ..DbOptions::default()
        },
    )
    .await?;
    let made = db::ensure_partitions(&db, now).await?;
    say(&format!(
        "the schema is current ({} applied), {made} partitions made",
        done.len()
    ))
}

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

/// Puts a parked job back.
pub(crate) async fn requeue(config: &WorkerConfig, job: i64) -> anyhow::Result<()> {
    let db = connect(config).await?;
    if !jobs::requeue(&db, JobId(job), clock().now()).await? {
        bail!("there is no parked job {job}; `wallet-worker parked` lists them");
    }
    say(&format!("job {job} is queued again"))
}

/// Re-wraps data keys.
pub(crate) async fn rotate_keys(config: &WorkerConfig) -> anyhow::Result<()> {
    let db = connect(config).await?;
    let ids = Arc::new(SystemIds::new(clock()));
    let vault = Vault::new(
        config.encryption.clone(),
        Arc::new(PgKeyStore::new(db)),
        clock(),
        ids,
    );
    let report = vault.rewrap_all().await?;
    say(&format!("{report:?}"))
}

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

async fn connect(config: &WorkerConfig) -> anyhow::Result<Db> {
    let options = DbOptions {
        application_name: "wallet-operator",
        ..DbOptions::default()
    };
    Ok(Db::connect(config.database.url.expose_secret(), &options).await?)
}
