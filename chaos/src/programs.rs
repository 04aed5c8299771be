//! The programs of the campaign: this very program under another name, so that failpoints and planted bugs are compiled in.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

/// The variable that makes this program one of ours; its arguments are then theirs.
pub(crate) const AS: &str = "WALLET_CHAOS_AS";

/// Which of our programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Program {
    /// wallet-api.
    Api,
    /// wallet-worker.
    Worker,
}

impl Program {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Api => "wallet-api",
            Self::Worker => "wallet-worker",
        }
    }

    /// The file to run.
    pub(crate) fn file(self) -> Result<PathBuf> {
        if cfg!(feature = "campaign") {
            Ok(std::env::current_exe()?)
        } else {
            wallet_dev::stack::program::find(self.name())
        }
    }
}

/// When this process is to be one of our programs: runs it and gives its exit code.
#[cfg(feature = "campaign")]
pub(crate) fn impersonate() -> Option<ExitCode> {
    match std::env::var(AS).ok()?.as_str() {
        "wallet-api" => Some(wallet_api::program(std::env::args_os())),
        "wallet-worker" => Some(wallet_worker::program(std::env::args_os())),
        _ => None,
    }
}

/// Without the feature there are only the plain programs.
#[cfg(not(feature = "campaign"))]
pub(crate) fn impersonate() -> Option<ExitCode> {
    None
}
