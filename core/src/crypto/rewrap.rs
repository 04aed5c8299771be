//! Rotation: every data key is wrapped with the current wrapping key, while the system serves.

use std::collections::BTreeMap;

use super::{CryptoError, Fingerprint, Rewrapping, Vault};

/// The number of keys that one statement re-wraps.
const BATCH: i64 = 500;

/// The result of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RewrapReport {
    /// Data keys now under the current wrapping key.
    pub rewrapped: usize,
    /// Data keys that were changed or destroyed during the run; another run finds those that are left.
    pub overtaken: usize,
    /// Wrapping keys that are not configured, with the number of data keys that each wraps: none of them may be discarded yet.
    pub missing: BTreeMap<Fingerprint, usize>,
    /// Data keys that cannot be unwrapped although their wrapping key is configured: damaged.
    pub damaged: usize,
}

impl RewrapReport {
    /// Returns whether retired wrapping keys are no longer needed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.overtaken == 0 && self.missing.is_empty() && self.damaged == 0
    }
}

impl Vault {
    /// Wraps every data key that is under another key with the current one.
    ///
    /// First add the new key to `ENCRYPTION_PREVIOUS_KEYS` of all processes, then make it the current key and keep the old one
    /// as a previous key, then run this; retire the old key when the report is complete. A run can be stopped and repeated at any
    /// time: each batch is one statement, and finished work is not repeated.
    ///
    /// `progress` is called after each batch.
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
