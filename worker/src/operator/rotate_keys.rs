//! `rotate-keys`.

use std::sync::Arc;

use wallet_core::config::WorkerConfig;
use wallet_core::crypto::{PgKeyStore, Vault};
use wallet_core::ids::SystemIds;

use super::{clock, connect, say};

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
