//! wallet-api: serves the wallet's public API on PORT. Everything is configured by the environment; see `.env.example`.

use std::process::ExitCode;

fn main() -> ExitCode {
    wallet_api::program(std::env::args_os())
}
