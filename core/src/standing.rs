//! What has to be true of its database before a program may work on it.

use std::fmt::Write as _;

use diesel::QueryableByName;
use diesel::sql_types::{Nullable, Text};
use diesel_async::RunQueryDsl;

use crate::config::ConfigError;
use crate::crypto::{Covered, CryptoError, Fingerprint, Vault};
use crate::db::{self, Db, DbError, SchemaState, sql};

/// Why a program does no work on a database, in words for an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It has no tables.
    #[error("the database is empty; run wallet-worker migrate")]
    Empty,
    /// It is older than this program.
    #[error("the database lacks {0} migrations; run wallet-worker migrate")]
    Behind(usize),
    /// Its data keys are under a key that is not configured.
    #[error(transparent)]
    WrongKey(#[from] ConfigError),
}

/// A database as a program finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Work may begin.
    Fit,
    /// Work may begin, and what belongs to some persons cannot be opened: their data keys are under these keys, which are not configured.
    RotationHalfDone(Vec<Fingerprint>),
    /// No work.
    Unfit(Unfit),
}

/// Why it could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// The database could not be asked.
    #[error("the database cannot be asked")]
    Db(#[from] DbError),
    /// The data keys could not be read.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// What is wrong with the schema, if anything.
///
/// # Errors
/// When the database cannot be asked.
pub async fn schema(db: &Db) -> Result<Result<(), Unfit>, DbError> {
    Ok(match db::schema_state(db).await? {
        SchemaState::Current => Ok(()),
        SchemaState::Empty => Err(Unfit::Empty),
        SchemaState::Behind(some) => Err(Unfit::Behind(some)),
    })
}

/// Looks at the schema, then at the keys.
///
/// # Errors
/// When the database cannot be asked.
pub async fn look(db: &Db, vault: &Vault) -> Result<Standing, StandingError> {
    if let Err(unfit) = schema(db).await? {
        return Ok(Standing::Unfit(unfit));
    }
    if let Some(settings) = unsafe_settings(db).await? {
        tracing::warn!(
            "{settings} in this PostgreSQL: what was answered can be lost when its machine crashes; set it to on"
        );
    }
    Ok(match vault.covered().await? {
        Covered::Wholly => Standing::Fit,
        Covered::Partly(missing) => {
            tracing::warn!("{}", half_done(&missing));
            Standing::RotationHalfDone(missing)
        }
        Covered::Not(needed) => Standing::Unfit(Unfit::WrongKey(wrong_key(&needed))),
    })
}

#[derive(QueryableByName)]
struct Names {
    #[diesel(sql_type = Nullable<Text>)]
    names: Option<String>,
}

/// What a session cannot set for itself and no answered commit survives without (<https://www.postgresql.org/docs/15/runtime-config-wal.html>).
async fn unsafe_settings(db: &Db) -> Result<Option<String>, DbError> {
    let row: Names = sql("SELECT string_agg(name || '=off', ', ') AS names FROM pg_settings
                           WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'")
    .get_result(&mut db.conn().await?)
    .await?;
    Ok(row.names)
}

fn wrong_key(needed: &Fingerprint) -> ConfigError {
    ConfigError {
        variable: "ENCRYPTION_SECRET_KEY",
        problem: format!("is not the key of this database, whose data keys are under the key {needed}"),
        mend: "set it to that key; a key that was retired belongs into ENCRYPTION_PREVIOUS_KEYS until rotate-keys is done".to_owned(),
    }
}

/// What an operator reads of a rotation that is half done.
#[must_use]
pub fn half_done(missing: &[Fingerprint]) -> String {
    let mut names = String::new();
    for key in missing {
        let comma = if names.is_empty() { "" } else { ", " };
        // A text takes everything.
        let _ = write!(names, "{comma}{key}");
    }
    format!(
        "data keys of some persons are under a key that is not configured ({names}), so that what belongs to them cannot be opened: add that key to \
         ENCRYPTION_PREVIOUS_KEYS, start again, and run wallet-worker rotate-keys"
    )
}
