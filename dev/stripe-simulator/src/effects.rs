//! The effect log: one line for every real effect, appended and never changed. Tests compare it with the ledger.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::form::Metadata;
use crate::money::Currency;
use crate::objects::Owner;

/// A change that really happened at the simulated Stripe, recorded once however often it was requested.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Effect {
    /// The effect's number, from 1.
    pub(crate) seq: u64,
    /// The simulator's time, RFC 3339.
    pub(crate) time: String,
    /// The operation, such as `transfer.create`.
    pub(crate) operation: String,
    /// The object's id.
    pub(crate) object: String,
    /// The amount in minor units, if the effect has one.
    pub(crate) amount: Option<i64>,
    /// The amount's currency.
    pub(crate) currency: Option<Currency>,
    /// The connected account concerned.
    pub(crate) account: Option<String>,
    /// The change of the platform's balance, fees included, in minor units.
    pub(crate) platform_change: i64,
    /// The change of the connected account's balance, in minor units.
    pub(crate) connected_change: i64,
    /// `metadata.transaction_id` of the object; if it has none, of the charge or transfer that it reverses.
    pub(crate) transaction_id: Option<String>,
    /// The whole metadata of the object.
    pub(crate) metadata: Metadata,
    /// The idempotency key of the request that caused it.
    pub(crate) idempotency_key: Option<String>,
    /// The request that caused it.
    pub(crate) request_id: Option<String>,
}

/// A new entry of the log, before it has a number and a time.
#[derive(Debug, Default)]
pub(crate) struct NewEffect<'a> {
    pub(crate) operation: &'a str,
    pub(crate) object: &'a str,
    pub(crate) amount: Option<(i64, Currency)>,
    pub(crate) account: Option<&'a str>,
    pub(crate) platform_change: i64,
    pub(crate) connected_change: i64,
    pub(crate) metadata: Metadata,
    /// The transaction of the object that this one reverses, for objects that do not name theirs.
    pub(crate) about: Option<String>,
}

/// Returns the transaction that an object's metadata names.
pub(crate) fn transaction_of(metadata: &Metadata) -> Option<String> {
    metadata.get("transaction_id").cloned()
}

impl NewEffect<'_> {
    /// Records `change` as a change of `owner`'s balance.
    pub(crate) fn changing(mut self, owner: &Owner, change: i64) -> Self {
        match owner {
            Owner::Platform => self.platform_change += change,
            Owner::Connected(_) => self.connected_change += change,
        }
        self
    }
}

/// The log, in memory and, if configured, as JSON lines in a file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct EffectLog {
    entries: Vec<Effect>,
    #[serde(skip)]
    file: Option<(PathBuf, File)>,
}

impl EffectLog {
    /// Opens a log that is also appended to `path`, if given.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let file = path
            .map(|path| {
                let file = OpenOptions::new().create(true).append(true).open(path);
                file.map(|file| (path.to_owned(), file))
                    .with_context(|| format!("cannot open the effect log {}", path.display()))
            })
            .transpose()?;
        Ok(Self {
            entries: Vec::new(),
            file,
        })
    }

    /// Returns the log with the same file, preceded by the entries of an earlier run.
    pub(crate) fn going_on_after(self, earlier: Self) -> Self {
        Self {
            entries: earlier.entries,
            file: self.file,
        }
    }

    /// Returns the file's path, if there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// Returns the number of effects.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns all effects, oldest first.
    pub(crate) fn entries(&self) -> &[Effect] {
        &self.entries
    }

    /// Appends an effect.
    pub(crate) fn append(&mut self, effect: Effect) {
        if let Some((path, file)) = &mut self.file {
            let written = serde_json::to_vec(&effect)
                .map_err(std::io::Error::other)
                .and_then(|mut line| {
                    line.push(b'\n');
                    file.write_all(&line)
                });
            if let Err(error) = written {
                tracing::error!(%error, path = %path.display(), "an effect could not be written to its file");
            }
        }
        self.entries.push(effect);
    }
}
