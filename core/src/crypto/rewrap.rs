//! Rotation: wrapping every data key with the current wrapping key, while the system serves.

use std::collections::BTreeMap;

use super::{CryptoError, Fingerprint, Rewrapping, Vault};

/// Keys re-wrapped by one statement.
const BATCH: i64 = 500;

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RewrapReport {
    /// Data keys now under the current wrapping key.
    pub rewrapped: usize,
    /// Data keys that changed or were destroyed meanwhile; a second run finds what is left of them.
    pub overtaken: usize,
    /// Wrapping keys that are not configured, and how many data keys each of them wraps: none of them may be thrown away yet.
    pub missing: BTreeMap<Fingerprint, usize>,
    /// Data keys that do not unwrap although their wrapping key is there: damaged.
    pub damaged: usize,
}

impl RewrapReport {
    /// Whether no retired wrapping key is needed any more.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.overtaken == 0 && self.missing.is_empty() && self.damaged == 0
    }
}

impl Vault {
    /// Wraps every data key that another key wraps with the current one.
    ///
    /// Give the new key to all processes in `ENCRYPTION_PREVIOUS_KEYS` first, then make it the current one and keep the old one
    /// as previous, then run this; retire the old key when the report is complete. It can be stopped and run again at any
    /// time: each batch is one statement, and what is done is not done twice.
    ///
    /// `progress` is told after each batch.
    ///
    /// # Errors
    /// When the store fails. A key that cannot be unwrapped is counted and does not stop the others.
    pub async fn rewrap_all(
        &self,
        mut progress: impl FnMut(&RewrapReport) + Send,
    ) -> Result<RewrapReport, CryptoError> {
        let mut report = RewrapReport::default();
        let mut after = None;
        loop {
            let stale = self
                .store
                .wrapped_otherwise(self.wrapping.current(), after, BATCH)
                .await?;
            let Some(last) = stale.last() else {
                return Ok(report);
            };
            after = Some(last.owner);
            let mut batch = Vec::with_capacity(stale.len());
            for stored in &stale {
                let key = match self.wrapping.unwrap_key(stored) {
                    Ok(key) => key,
                    Err(CryptoError::WrappingKeyMissing(fingerprint)) => {
                        *report.missing.entry(fingerprint).or_default() += 1;
                        continue;
                    }
                    Err(error) => {
                        report.damaged += 1;
                        tracing::error!(owner = %stored.owner, key_id = %stored.key_id, %error, "data key is damaged");
                        continue;
                    }
                };
                if let Some(replaces) = stored.wrapped.clone() {
                    let wrapped = self.wrapping.wrap(stored.owner, &key)?;
                    batch.push(Rewrapping {
                        owner: stored.owner,
                        replaces,
                        wrapped,
                    });
                }
            }
            let changed = self
                .store
                .replace_wrappings(self.wrapping.current(), &batch, self.clock.now())
                .await?;
            report.rewrapped += changed;
            report.overtaken += batch.len().saturating_sub(changed);
            progress(&report);
        }
    }
}
