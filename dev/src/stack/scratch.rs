//! Short-lived folders under `/tmp`: gone when dropped, and gone too when the program dies (the watchdog removes them).

use std::path::Path;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::account::Account;
use super::watchdog::Watchdog;

/// A folder of mode 0700 with a short path (socket paths must stay under 100 bytes).
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// Makes one, owned by `account` when given.
    pub(crate) fn new(account: Option<&Account>) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("wallet-")
            .tempdir_in("/tmp")
            .context("cannot make a folder in /tmp")?;
        Watchdog::of_this_program()?.add_folder(folder.path())?;
        if let Some(account) = account {
            account.own(folder.path())?;
        }
        Ok(Self { folder })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}
