//! Runs our programs as separate processes, to test refused starts and signals.

use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use wallet_dev::stack::{Env, Process, ProcessSpec, program};

use crate::system::Variables;

/// How long a program may take to end.
const END_WITHIN: Duration = Duration::from_secs(30);

/// The output of a program and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs one of our programs with only these variables until it ends by itself.
///
/// # Panics
/// If it has not been built, or does not end.
pub async fn run(name: &str, args: &[&str], variables: &Variables) -> Ended {
    let mut command = Command::new(program::find(name).unwrap());
    command
        .args(args)
        .env_clear()
        .envs(variables.iter())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(END_WITHIN, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{name} does not end")).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// A running program with its log.
#[derive(Debug)]
pub struct Program {
    /// The running program: dropping it kills it.
    pub process: Process,
    _logs: TempDir,
}

/// Starts one of our programs with these variables.
///
/// # Panics
/// If it has not been built or cannot be run.
#[must_use]
pub fn start(name: &str, args: &[&str], variables: &Variables) -> Program {
    let mut env = Env::new();
    for (name, value) in variables.iter() {
        env.set(name, value);
    }
    let logs = tempfile::tempdir().unwrap();
    let spec = ProcessSpec::new(name, &program::find(name).unwrap(), &logs.path().join("log"));
    let process = spec.args(args.iter().copied()).env(env).spawn().unwrap();
    Program { process, _logs: logs }
}
