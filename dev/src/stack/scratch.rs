//! Short-lived folders under `/tmp`, removed when dropped, and also when the program dies (by the watchdog).
//!
//! If the watchdog was killed as well they stay, empty once their server has ended; the next program removes such empty ones.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::geteuid;
use tempfile::TempDir;

use super::account::Account;
use super::watchdog::Watchdog;

const PLACE: &str = "/tmp";
const PREFIX: &str = "wallet-";
/// The number of letters and digits after the prefix.
const RANDOM: usize = 6;
/// After this time without a change an empty folder is unused. A server that restarts leaves its own folder empty for a moment.
const STALE_AFTER: Duration = Duration::from_secs(600);

/// A folder of mode 0700 with a short path (socket paths must stay under 100 bytes).
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// Creates a folder, owned by `account` if given.
    pub(crate) fn new(account: Option<&Account>) -> Result<Self> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| sweep(Path::new(PLACE), STALE_AFTER));
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .rand_bytes(RANDOM)
            .tempdir_in(PLACE)
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

/// Removes our empty scratch folders (as root, also those of PostgreSQL's user) that have not changed for `stale_after`.
fn sweep(place: &Path, stale_after: Duration) {
    let account = Account::for_postgres().ok().flatten();
    let is_ours = |uid: u32| {
        uid == geteuid().as_raw()
            || account
                .as_ref()
                .is_some_and(|account| account.uid.as_raw() == uid)
    };
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_scratch = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .is_some_and(|rest| {
                rest.len() == RANDOM && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
            });
        // The metadata of the entry itself: a link is not followed.
        let Ok(found) = entry.metadata() else { continue };
        let is_stale = found
            .modified()
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= stale_after));
        if is_scratch && found.is_dir() && is_ours(found.uid()) && is_stale {
            // Succeeds only for an empty folder.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn empty_folders_that_nobody_uses_any_more_are_removed_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let make = |name: &str, age: u64, full: bool| {
            let folder = place.path().join(name);
            fs::create_dir(&folder).unwrap();
            if full {
                fs::write(folder.join("pid"), "1").unwrap();
            }
            let at = SystemTime::now() - Duration::from_secs(age);
            fs::File::open(&folder).unwrap().set_modified(at).unwrap();
        };
        make("wallet-aB3dE6", 700, false);
        make("wallet-fresh1", 60, false);
        make("wallet-full12", 700, true);
        make("wallet-tests-1f2e", 700, false);
        make("another-aB3dE6", 700, false);
        std::os::unix::fs::symlink(
            place.path().join("another-aB3dE6"),
            place.path().join("wallet-linked"),
        )
        .unwrap();
        sweep(place.path(), STALE_AFTER);
        let mut left: Vec<_> = fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "another-aB3dE6",
                "wallet-fresh1",
                "wallet-full12",
                "wallet-linked",
                "wallet-tests-1f2e"
            ]
        );
    }
}
