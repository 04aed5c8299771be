//! The user that runs PostgreSQL: it refuses root, so root runs it as another user and puts its files where that user can reach them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use nix::unistd::{Gid, Uid, User, chown, geteuid};

/// The unprivileged users that packages create for PostgreSQL, and `nobody` as a last resort.
const CANDIDATES: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The user as which a process is started.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

impl Account {
    /// Returns the user that runs PostgreSQL, or `None` if we may run it ourselves, because we are not root.
    pub(crate) fn for_postgres() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        for name in CANDIDATES {
            if let Some(user) =
                User::from_name(name).with_context(|| format!("cannot look up the user {name}"))?
            {
                return Ok(Some(Self {
                    uid: user.uid,
                    gid: user.gid,
                }));
            }
        }
        bail!("PostgreSQL refuses to run as root and none of the users {CANDIDATES:?} exists");
    }

    /// Makes this user the owner of a file or folder.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give {} to uid {}", path.display(), self.uid))
    }

    /// Returns whether this user can reach `path` through every folder above it.
    pub(crate) fn can_reach(&self, path: &Path) -> bool {
        path.ancestors()
            .skip(1)
            .filter(|folder| !folder.as_os_str().is_empty())
            .all(|folder| {
                folder.metadata().is_ok_and(|metadata| {
                    metadata.permissions().mode() & 0o001 != 0 || metadata.uid() == self.uid.as_raw()
                })
            })
    }
}
