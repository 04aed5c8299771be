//! The secrets of a local stack: generated randomly once and stored beside its data, readable by their owner only.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The secrets that a stack needs. Its `Debug` shows nothing.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// `ENCRYPTION_SECRET_KEY`: 64 hex digits.
    pub encryption_key: String,
    /// `JWT_SECRET`: 64 characters.
    pub jwt_secret: String,
    /// Password of PostgreSQL's superuser.
    pub postgres_password: String,
    /// Secret that signs events of the platform.
    pub webhook_platform: String,
    /// Secret that signs events of connected accounts.
    pub webhook_connect: String,
    /// The key with which the simulator is called.
    pub stripe_key: String,
    /// The user whose token `up` prints: always the same, so that this user's wallets are found again the next day.
    pub user: Uuid,
}

impl Secrets {
    /// Generates new random secrets, which are not stored.
    #[must_use]
    pub fn generate() -> Self {
        Self {
            encryption_key: random_hex(),
            jwt_secret: random_hex(),
            postgres_password: random_hex(),
            webhook_platform: format!("whsec_{}", random_hex()),
            webhook_connect: format!("whsec_{}", random_hex()),
            stripe_key: format!("sk_test_{}", random_hex()),
            user: Uuid::new_v4(),
        }
    }

    /// Returns the secrets in `file`, which are generated at the first call.
    ///
    /// # Errors
    /// When the file cannot be read, written or understood.
    pub fn load_or_create(file: &Path) -> Result<Self> {
        if let Some(secrets) = Self::load(file)? {
            return Ok(secrets);
        }
        let secrets = Self::generate();
        write_private(file, &serde_json::to_vec_pretty(&secrets)?)?;
        Ok(secrets)
    }

    /// Returns the secrets in `file`, if there are any.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn load(file: &Path) -> Result<Option<Self>> {
        let shown = file.display();
        match fs::read(file) {
            Ok(text) => {
                Ok(Some(serde_json::from_slice(&text).with_context(|| {
                    format!("{shown} holds no secrets of a stack")
                })?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {shown}")),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets")
    }
}

/// Writes a file of mode 0600 in one step: readers see either the old content or the new, whole.
pub(crate) fn write_private(file: &Path, content: &[u8]) -> Result<()> {
    let shown = file.display();
    let draft = file.with_extension("new");
    let write = || {
        let _ = fs::remove_file(&draft);
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        out.write_all(content)?;
        out.sync_all()?;
        fs::rename(&draft, file)
    };
    write().with_context(|| format!("cannot write {shown}"))
}

fn random_hex() -> String {
    hex::encode(rand::rng().random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets.json");
        let first = Secrets::load_or_create(&file).unwrap();
        let second = Secrets::load_or_create(&file).unwrap();
        assert_eq!(first.jwt_secret, second.jwt_secret);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Secrets::generate()), "Secrets");
    }
}
