//! The folder of a persistent stack (`.dev`) and the files in it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The folder that commands use when none is named.
const USUAL: &str = ".dev";

/// The folder of a stack and the files in it.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// Returns the home in this folder, which is created if it is missing.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn new(folder: &Path) -> Result<Self> {
        let make = || {
            std::fs::create_dir_all(folder)?;
            folder.canonicalize()
        };
        Ok(Self {
            folder: make().with_context(|| format!("cannot make {}", folder.display()))?,
        })
    }

    /// Returns the argument, preceded by a space, that makes a command of `bin/dev` find the stack of this folder; empty
    /// for the folder that commands use by default.
    #[must_use]
    pub fn argument(folder: &Path) -> String {
        let place = |path: &Path| {
            let found = path.canonicalize().or_else(|_| std::path::absolute(path));
            found.unwrap_or_else(|_| path.to_owned())
        };
        let folder = place(folder);
        if folder == place(Path::new(USUAL)) {
            return String::new();
        }
        let text = folder.display().to_string();
        let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "/._-".contains(sign);
        if text.chars().all(is_plain) {
            format!(" --dir {text}")
        } else {
            format!(" --dir '{}'", text.replace('\'', r"'\''"))
        }
    }

    /// Returns the absolute path of the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the file of the secrets, see [`super::Secrets::load_or_create`].
    #[must_use]
    pub fn secrets_file(&self) -> PathBuf {
        self.folder.join("secrets.json")
    }

    /// Returns the file of the running stack's record, see [`super::record::Record`].
    #[must_use]
    pub fn record_file(&self) -> PathBuf {
        self.folder.join("stack.json")
    }

    /// Returns the file in which the Stripe simulator keeps its state from one run to the next.
    #[must_use]
    pub fn stripe_state_file(&self) -> PathBuf {
        self.folder.join("stripe-state.json")
    }

    /// Returns the lock file of [`super::record::lock`].
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.folder.join("lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_that_is_not_looked_in_anyway_is_named() {
        assert_eq!(Home::argument(Path::new(".dev")), "");
        assert_eq!(Home::argument(&std::path::absolute(".dev").unwrap()), "");
        assert_eq!(
            Home::argument(Path::new("/no/such-place")),
            " --dir /no/such-place"
        );
        assert_eq!(
            Home::argument(Path::new("/no/such/Ada's place")),
            r" --dir '/no/such/Ada'\''s place'"
        );
    }
}
