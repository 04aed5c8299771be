//! Checks whether a database is fit for a program to work on.

use std::fmt::Write as _;

use diesel::sql_types::{Nullable, Text};
use diesel_async::RunQueryDsl;

use crate::config::ConfigError;
use crate::crypto::{Covered, CryptoError, Fingerprint, Vault};
use crate::db::{self, Db, DbError, Only, SchemaState, sql};

/// The reason why a program does not work on a database, in words for an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The database has no tables.
    #[error("the database is empty; run wallet-worker migrate")]
    Empty,
    /// The schema is older than this program.
    #[error("the database lacks {0} migrations; run wallet-worker migrate")]
    Behind(usize),
    /// The data keys are under a key that is not configured.
    #[error(transparent)]
    WrongKey(#[from] ConfigError),
}

/// The result of the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Work may begin.
    Fit,
    /// Work may begin, but the data of some persons cannot be opened: their data keys are under these keys, which are not configured.
    RotationHalfDone(Vec<Fingerprint>),
    /// Work must not begin.
    Unfit(Unfit),
}

/// The reason why the check itself failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadinessError {
    /// The database could not be queried.
    #[error("the database cannot be asked")]
    Db(#[from] DbError),
    /// The data keys could not be read.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Checks the schema alone; the inner error is what is wrong with it.
///
/// # Errors
/// When the database cannot be queried.
pub async fn schema(db: &Db) -> Result<Result<(), Unfit>, DbError> {
    Ok(match db::schema_state(db).await? {
        SchemaState::Current => Ok(()),
        SchemaState::Empty => Err(Unfit::Empty),
        SchemaState::Behind(some) => Err(Unfit::Behind(some)),
    })
}

/// Checks the schema, then the keys. Unsafe settings of PostgreSQL are only logged.
///
/// # Errors
/// When the database cannot be queried, or the data keys cannot be read.
pub async fn check(db: &Db, vault: &Vault) -> Result<Readiness, ReadinessError> {
    if let Err(unfit) = schema(db).await? {
        return Ok(Readiness::Unfit(unfit));
    }
    if let Some(settings) = unsafe_settings(db).await? {
        tracing::warn!(
            "{settings} in this PostgreSQL: what was answered can be lost when its machine crashes; set it to on"
        );
    }
    Ok(match vault.covered().await? {
        Covered::Wholly => Readiness::Fit,
        Covered::Partly(missing) => {
            tracing::warn!("{}", half_done(&missing));
            Readiness::RotationHalfDone(missing)
        }
        Covered::Not(needed) => Readiness::Unfit(Unfit::WrongKey(wrong_key(&needed))),
    })
}

/// Names settings without which commits can be lost, and that no session can set (<https://www.postgresql.org/docs/15/runtime-config-wal.html>).
async fn unsafe_settings(db: &Db) -> Result<Option<String>, DbError> {
    let row: Only<Nullable<Text>, Option<String>> =
        sql("SELECT string_agg(name || '=off', ', ') AS names FROM pg_settings
                           WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'")
        .get_result(&mut db.conn().await?)
        .await?;
    Ok(row.value)
}

fn wrong_key(needed: &Fingerprint) -> ConfigError {
    ConfigError {
        variable: "ENCRYPTION_SECRET_KEY",
        problem: format!("is not the key of this database, whose data keys are under the key {needed}"),
        fix: "set it to that key; a key that was retired belongs into ENCRYPTION_PREVIOUS_KEYS until rotate-keys is done".to_owned(),
    }
}

/// Returns the message to an operator about a rotation that is half done.
#[must_use]
pub fn half_done(missing: &[Fingerprint]) -> String {
    let mut names = String::new();
    for key in missing {
        let comma = if names.is_empty() { "" } else { ", " };
        // Writing to a `String` cannot fail.
        let _ = write!(names, "{comma}{key}");
    }
    format!(
        "data keys of some persons are under a key that is not configured ({names}), so that what belongs to them cannot be opened: add that key to \
         ENCRYPTION_PREVIOUS_KEYS, start again, and run wallet-worker rotate-keys"
    )
}
