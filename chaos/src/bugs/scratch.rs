//! A copy of the repository in which the bugs are planted and built, one at a time, so that the source itself stays clean.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::bug::Bug;

/// The root of the repository.
pub(super) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The copy of the repository.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    source: PathBuf,
}

impl Scratch {
    /// Makes a fresh copy in the project's cache folder.
    pub(super) async fn make() -> Result<Self> {
        let folder = cache()?.join("wallet").join("bugs");
        let source = folder.join("source");
        if source.exists() {
            std::fs::remove_dir_all(&source).with_context(|| format!("cannot empty {}", source.display()))?;
        }
        let scratch = Self { folder, source };
        scratch.restore().await?;
        Ok(scratch)
    }

    /// Plants the bug and builds the programs; returns the file to run.
    pub(super) async fn build(&self, bug: &Bug) -> Result<PathBuf> {
        self.restore().await?;
        let mut apply = git(&self.source);
        apply.arg("apply").arg(&bug.file);
        said(&mut apply).await?;
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build
            .current_dir(&self.source)
            .args([
                "build",
                "--quiet",
                "--locked",
                "--package",
                "wallet-dev",
                "--package",
                "wallet-chaos",
            ])
            .args(["--features", "wallet-chaos/campaign"])
            .env("CARGO_TARGET_DIR", self.folder.join("target"));
        // Compiled dependencies are shared; the finished programs are kept apart.
        if let Some(shared) = std::env::var_os("CARGO_TARGET_DIR") {
            build.env("CARGO_BUILD_BUILD_DIR", shared);
        }
        said(&mut build).await?;
        let built = self.folder.join("target").join("debug").join("wallet-chaos");
        let kept = self.folder.join(&bug.name);
        std::fs::copy(&built, &kept).with_context(|| format!("cannot copy {}", built.display()))?;
        Ok(kept)
    }

    /// Makes every file what it is in the repository; identical files keep their modification time, so that little is recompiled.
    async fn restore(&self) -> Result<()> {
        let mut list = git(Path::new(ROOT));
        list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        for name in said(&mut list).await?.split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (Path::new(ROOT).join(name), self.source.join(name));
            // A file that was deleted and not committed yet is still listed.
            let Ok(wanted) = std::fs::read(&from) else {
                continue;
            };
            if std::fs::read(&to).is_ok_and(|is| is == wanted) {
                continue;
            }
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::copy(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
        Ok(())
    }
}

fn cache() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = || set("HOME").map(|home| PathBuf::from(home).join(".cache"));
    set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .context("neither XDG_CACHE_HOME nor HOME is set")
}

/// Returns a `git` command for a folder, which does not search for a repository in the folders above it.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder);
    if let Some(around) = folder.parent() {
        command.env("GIT_CEILING_DIRECTORIES", around);
    }
    command
}

/// Runs a command that must succeed, and returns its output.
async fn said(command: &mut Command) -> Result<String> {
    let told = |part: &OsStr| part.to_string_lossy().into_owned();
    let name: Vec<String> = std::iter::once(command.as_std().get_program())
        .chain(command.as_std().get_args())
        .map(told)
        .collect();
    let name = name.join(" ");
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot start {name}"))?;
    ensure!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_bug_can_be_planted() {
        for bug in Bug::all().unwrap() {
            let mut check = git(Path::new(ROOT));
            check.args(["apply", "--check"]).arg(&bug.file);
            said(&mut check).await.unwrap();
        }
    }
}
