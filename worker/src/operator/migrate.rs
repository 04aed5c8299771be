//! `migrate`.

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use wallet_core::config::MigrateConfig;
use wallet_core::db::{self, Db, DbOptions};

use super::say;

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
