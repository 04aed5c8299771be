//! Third-party libraries that tests run as clients. They are installed as published, in the versions that their lock files pin, into a cache
//! outside the repository, and handed to a script.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use sha2::{Digest, Sha256};
use tokio::process::Command;

/// The time limit of an installation; a slower registry counts as unreachable.
const INSTALL_WITHIN: Duration = Duration::from_secs(150);

/// What package managers print when there is no network, the registry is down, or a proxy refuses.
const UNREACHABLE: [&str; 23] = [
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ERR_SOCKET_TIMEOUT",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "EIDLETIMEOUT",
    "npm error code E403",
    "npm error code E407",
    "npm error code E5",
    "FETCH_ERROR",
    "UNABLE_TO_",
    "SELF_SIGNED_CERT",
    "connection broken by",
    "Connection refused",
    "ConnectTimeoutError",
    "Could not fetch URL",
    // pip does not say why it found nothing at all.
    "(from versions: none)",
    "Read timed out",
    "Temporary failure in name resolution",
    "ProxyError",
];

/// A language that libraries are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// JavaScript, by Node.js and npm.
    Node,
    /// Python, by pip.
    Python,
}

/// A library and the script that tries out all of it.
#[derive(Debug, Clone)]
pub struct Library {
    /// The library's name.
    pub name: &'static str,
    /// The language of the library and the script.
    pub language: Language,
    /// The folder of its lock file and the script.
    pub folder: PathBuf,
}

/// The result of an installation.
#[derive(Debug)]
pub enum Installation {
    /// The library is in this folder.
    Ready(PathBuf),
    /// The machine lacks a requirement, for this reason.
    Impossible(String),
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Whether its exit code means success.
    pub success: bool,
    /// Standard output, then standard error.
    pub output: String,
}

/// Runs a command; returns `None` if it does not end in time.
pub async fn run(mut command: Command, within: Duration) -> Option<Ended> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(within, command.output()).await.ok()?;
    let ended = ended.map_or_else(
        |error| Ended {
            success: false,
            output: error.to_string(),
        },
        |output| Ended {
            success: output.status.success(),
            output: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        },
    );
    Some(ended)
}

/// Returns the folder where libraries are kept between runs, beside the compiled files of `bin/test`.
#[must_use]
pub fn cache_root() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    let cache = cache.map(PathBuf::from);
    let home = || {
        std::env::var_os("HOME")
            .map_or_else(std::env::temp_dir, PathBuf::from)
            .join(".cache")
    };
    cache.unwrap_or_else(home).join("wallet/clients")
}

impl Library {
    /// Returns the folder of the installed library; each version of the lock file has a folder of its own.
    ///
    /// # Errors
    /// When its lock file cannot be read.
    pub fn home(&self, cache: &Path) -> Result<PathBuf> {
        let mut hash = Sha256::new();
        for lock in self.language.locks() {
            hash.update(fs::read(self.folder.join(lock))?);
        }
        let hash: String = hex::encode(hash.finalize()).chars().take(16).collect();
        Ok(cache.join(format!("{}-{hash}", self.name)))
    }

    /// Installs the library below `cache` unless it is there already; `env` is for the package manager.
    ///
    /// # Errors
    /// When the files cannot be read or written, or the package manager refuses the lock file.
    pub async fn install(&self, cache: &Path, env: &[(&str, &str)]) -> Result<Installation> {
        if let Err(missing) = self.language.tools().await {
            return Ok(Installation::Impossible(missing));
        }
        let home = self.home(cache)?;
        if home.exists() {
            return Ok(Installation::Ready(home));
        }
        fs::create_dir_all(cache)?;
        let staging = tempfile::Builder::new()
            .prefix(".installing-")
            .tempdir_in(cache)?;
        for lock in self.language.locks() {
            fs::copy(self.folder.join(lock), staging.path().join(lock))?;
        }
        let mut installer = self.language.installer(staging.path());
        installer.envs(env.iter().copied());
        let Some(ended) = run(installer, INSTALL_WITHIN).await else {
            let slow = "the registry cannot be reached in time";
            return Ok(Installation::Impossible(slow.to_owned()));
        };
        if !ended.success {
            let unreachable = UNREACHABLE.iter().any(|sign| ended.output.contains(sign));
            ensure!(unreachable, "installing {}: {}", self.name, ended.output);
            let last = ended.output.lines().rev().find(|line| !line.trim().is_empty());
            let told = last.unwrap_or_default();
            return Ok(Installation::Impossible(format!(
                "the registry cannot be reached: {told}"
            )));
        }
        // Another run may have been faster; then its folder is as good as ours.
        let moved = fs::rename(staging.path(), &home);
        ensure!(moved.is_ok() || home.exists(), "{}: {moved:?}", home.display());
        Ok(Installation::Ready(home))
    }

    /// Returns the command of the script, which uses the library from the folder `home`.
    #[must_use]
    pub fn script(&self, home: &Path) -> Command {
        let mut command = match self.language {
            Language::Node => {
                let mut node = Command::new("node");
                node.arg("check.js").env("NODE_PATH", home.join("node_modules"));
                node
            }
            Language::Python => {
                let mut python = Command::new("python3");
                python.arg("check.py").env("PYTHONPATH", home.join("packages"));
                python.env("PYTHONDONTWRITEBYTECODE", "1");
                python
            }
        };
        command.current_dir(&self.folder);
        command
    }
}

impl Language {
    /// Returns the files that pin a library, with the hashes of what is to be installed.
    const fn locks(self) -> &'static [&'static str] {
        match self {
            Self::Node => &["package.json", "package-lock.json"],
            Self::Python => &["requirements.txt"],
        }
    }

    /// Checks that the interpreter and the package manager are installed.
    ///
    /// # Errors
    /// Returns what is missing, in words.
    pub async fn tools(self) -> std::result::Result<(), String> {
        let (interpreter, version, oldest, manager): (_, &[&str], _, &[&str]) = match self {
            Self::Node => (
                "node",
                &["-p", "process.versions.node"],
                (20, 0),
                &["npm", "--version"],
            ),
            Self::Python => (
                "python3",
                &["-c", "import platform; print(platform.python_version())"],
                (3, 10),
                &["python3", "-m", "pip", "--version"],
            ),
        };
        let asked = ask(interpreter, version).await;
        let found = asked.ok_or_else(|| format!("{interpreter} is not installed"))?;
        let mut numbers = found.trim().split('.').map(|part| part.parse().unwrap_or(0));
        let found_numbers: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if found_numbers < oldest {
            let (major, minor) = oldest;
            return Err(format!(
                "{interpreter} {major}.{minor} or newer is needed, this is {}",
                found.trim()
            ));
        }
        let asked = match manager.split_first() {
            Some((program, args)) => ask(program, args).await,
            None => None,
        };
        asked
            .map(drop)
            .ok_or_else(|| format!("{} is not installed", manager.join(" ")))
    }

    fn installer(self, into: &Path) -> Command {
        match self {
            Self::Node => {
                let mut npm = Command::new("npm");
                npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
                npm.current_dir(into);
                npm
            }
            Self::Python => {
                let mut pip = Command::new("python3");
                pip.args([
                    "-m",
                    "pip",
                    "install",
                    "--require-hashes",
                    "--no-deps",
                    "--no-input",
                ]);
                pip.args(["--only-binary", ":all:", "--disable-pip-version-check"]);
                pip.args(["--requirement", "requirements.txt", "--target", "packages"]);
                pip.current_dir(into);
                pip
            }
        }
    }
}

/// Returns the output of a command, if it can be run and succeeds.
async fn ask(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args);
    let ended = run(command, Duration::from_secs(30)).await?;
    ended.success.then_some(ended.output)
}
