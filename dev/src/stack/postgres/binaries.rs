//! Finds PostgreSQL's programs: packages put them outside PATH on Debian, and Homebrew keeps old versions aside.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// The oldest major version that the system supports.
pub(super) const OLDEST: u32 = 15;

/// The folders above and below a version number, between which packages install the programs.
const PACKAGES: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
];

/// One installation of PostgreSQL.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    /// The version that the program prints, such as `15.18`.
    pub(super) version: String,
    pub(super) major: u32,
}

impl Binaries {
    /// Returns the newest installation that is not too old, or with `major` one of that version, which existing data needs.
    pub(super) fn find(major: Option<u32>) -> Result<Self> {
        let mut found: Vec<Self> = candidates()
            .iter()
            .filter_map(|folder| Self::inspect(folder))
            .collect();
        found.sort_by_key(|binaries| binaries.major);
        match major {
            Some(major) => match found.into_iter().find(|binaries| binaries.major == major) {
                Some(binaries) => Ok(binaries),
                None => bail!(
                    "the data was made by PostgreSQL {major}, which is not installed: install it, or remove the data"
                ),
            },
            None => match found.pop() {
                Some(binaries) if binaries.major >= OLDEST => Ok(binaries),
                Some(binaries) => bail!(
                    "PostgreSQL {OLDEST} or newer is needed, {} is the newest installed",
                    binaries.version
                ),
                None => bail!(
                    "PostgreSQL {OLDEST} or newer is needed and none is installed (bin/dev installs it)"
                ),
            },
        }
    }

    fn inspect(folder: &Path) -> Option<Self> {
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres"))
            .arg("--version")
            .output()
            .ok()?;
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let text = String::from_utf8(output.stdout).ok()?;
        let version = text.split_whitespace().nth(2)?.to_owned();
        let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
        Some(Self {
            folder: folder.to_owned(),
            major: digits.parse().ok()?,
            version,
        })
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    folders.push("/usr/local/pgsql/bin".into());
    for (parent, bin) in PACKAGES {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path().join(bin)));
    }
    folders.retain(|folder| folder.join("postgres").is_file());
    folders
}
