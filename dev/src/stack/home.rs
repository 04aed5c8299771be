//! The folder of a kept stack (`.dev`) and the files in it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The folder of a stack and the files in it.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// The home in this folder, which is made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(folder: &Path) -> Result<Self> {
        let make = || {
            std::fs::create_dir_all(folder)?;
            folder.canonicalize()
        };
        Ok(Self {
            folder: make().with_context(|| format!("cannot make {}", folder.display()))?,
        })
    }

    /// The folder, absolute.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The secrets of [`super::Secrets::load_or_create`].
    #[must_use]
    pub fn secrets_file(&self) -> PathBuf {
        self.folder.join("secrets.json")
    }

    /// The note of what runs, see [`super::record::Record`].
    #[must_use]
    pub fn record_file(&self) -> PathBuf {
        self.folder.join("stack.json")
    }

    /// What the Stripe simulator keeps from one run to the next.
    #[must_use]
    pub fn stripe_state_file(&self) -> PathBuf {
        self.folder.join("stripe-state.json")
    }

    /// The lock of [`super::record::lock`].
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.folder.join("lock")
    }
}
