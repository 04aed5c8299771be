//! `migrate`: brings the database to this version's schema.

use anyhow::ensure;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde_json::json;
use wallet_core::config::OperatorConfig;
use wallet_core::db::{self, Db, DbOptions};

use super::Manner;
use super::session::tell;

/// Runs the migrations and makes partitions.
pub(crate) async fn migrate(
    config: &OperatorConfig,
    manner: &Manner,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let url = config.database.url.expose_secret();
    let done = db::migrate(url).await?;
    let db = Db::connect(
        url,
        &DbOptions {
            application_name: "wallet-migrate",
            ..DbOptions::default()
        },
    )
    .await?;
    let made = db::ensure_partitions(&db, now).await?;
    let ahead = db::months_ahead(&db, now).await?;
    ensure!(
        ahead >= i64::from(db::MONTHS_AHEAD),
        "only {ahead} of the next {} months have partitions: look who else owns tables of their names",
        db::MONTHS_AHEAD
    );
    let summary = format!(
        "the schema is current ({} applied), {made} partitions made",
        done.len()
    );
    tell(
        manner.json,
        &json!({ "applied": done, "partitionsMade": made }),
        done.iter().map(|name| format!("applied {name}")).chain([summary]),
    )
}
