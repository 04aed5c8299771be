//! The programs of the campaign: this very program under another name, so that failpoints are compiled in.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use wallet_dev::say::complain;

use crate::clock;

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
}

/// The file to run.
pub(crate) fn file() -> Result<PathBuf> {
    Ok(std::env::current_exe()?)
}

/// When this process is to be one of our programs: runs it and gives its exit code.
pub(crate) fn impersonate() -> Option<ExitCode> {
    let program = match std::env::var(AS).ok()?.as_str() {
        "wallet-api" => Program::Api,
        "wallet-worker" => Program::Worker,
        _ => return None,
    };
    let arguments = std::env::args_os();
    if let Some(file) = std::env::var_os(clock::FILE)
        && std::env::args().nth(1).is_none_or(|command| command == "run")
    {
        return Some(on_a_moved_clock(program, file.into()));
    }
    Some(match program {
        Program::Api => wallet_api::program(arguments),
        Program::Worker => wallet_worker::program(arguments),
    })
}

fn on_a_moved_clock(program: Program, file: PathBuf) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(clock::run(program, file)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{}: {error:#}", program.name()));
            ExitCode::FAILURE
        }
    }
}
