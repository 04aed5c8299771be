//! A planted bug: a patch that breaks one guard of the source, with a description before its first file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The folder of the patches.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bugs");

/// A patch and the lines of its head: which guard it breaks, under which faults the bug shows, which checks
/// are meant to find it, and whether every program may be restarted when everything heals.
#[derive(Debug, Clone)]
pub(crate) struct Bug {
    /// The name of its file, without the extension.
    pub(crate) name: String,
    /// `Faults:` the texts that choose faults, separated by semicolons.
    pub(super) faults: Vec<String>,
    /// `Told by:` how the findings of its checks begin, separated by semicolons.
    pub(super) told_by: Vec<String>,
    /// False if there is a line `Heals: in place, …`, for a bug that lives in the memory of a process.
    pub(super) starts_anew: bool,
    /// The patch.
    pub(super) file: PathBuf,
}

impl Bug {
    /// Reads all planted bugs, sorted by name.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let folder = std::fs::read_dir(FOLDER).with_context(|| format!("cannot read {FOLDER}"))?;
        let mut bugs = Vec::new();
        for entry in folder {
            let file = entry?.path();
            if file.extension().is_some_and(|ending| ending == "patch") {
                bugs.push(Self::read(&file)?);
            }
        }
        bugs.sort_by(|one, other| one.name.cmp(&other.name));
        ensure!(!bugs.is_empty(), "{FOLDER} has no patch");
        Ok(bugs)
    }

    fn read(file: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let head = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
        };
        let list = |key: &str| -> Result<Vec<String>> {
            let line = head(key).with_context(|| format!("{} has no line `{key}: …`", file.display()))?;
            Ok(line.split(';').map(|part| part.trim().to_owned()).collect())
        };
        ensure!(
            head("Breaks").is_some(),
            "{} has no line `Breaks: …`",
            file.display()
        );
        Ok(Self {
            faults: list("Faults")?,
            told_by: list("Told by")?,
            starts_anew: head("Heals").is_none_or(|how| !how.starts_with("in place")),
            name,
            file: file.to_owned(),
        })
    }

    /// Whether this finding comes from one of the checks that are meant to find the bug.
    pub(super) fn is_told_by(&self, found: &str) -> bool {
        let begins = |check: &String| {
            let rest = found.strip_prefix(check.as_str());
            rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        };
        self.told_by.iter().any(begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_says_when_it_shows_and_what_tells_it() {
        for bug in Bug::all().unwrap() {
            let texts = || bug.faults.iter().chain(&bug.told_by);
            assert!(texts().all(|text| !text.is_empty()), "{bug:?}");
        }
    }

    #[test]
    fn a_check_is_known_by_its_whole_number() {
        let mut bug = Bug::all().unwrap().swap_remove(0);
        bug.told_by = vec!["I1".to_owned(), "I3 business".to_owned()];
        assert!(bug.is_told_by("I1 reconcile: 3 differences"));
        assert!(bug.is_told_by("I3 business: not final"));
        assert!(!bug.is_told_by("I15 refunds"));
        assert!(!bug.is_told_by("I3 every request"));
    }
}
