//! `wallet-worker`: `run` (the default), `migrate`, and the operator's commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    wallet_worker::program(std::env::args_os())
}
