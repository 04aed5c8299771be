//! Finds our own programs (wallet-api, wallet-worker, wallet-dev): beside the running program, or one folder above a test.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// Returns the path of one of our programs: in `WALLET_BIN_DIR` if that is set, otherwise beside the running program.
///
/// # Errors
/// When it has not been built there.
pub fn find(name: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("WALLET_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => beside_us()?,
    };
    let program = folder.join(name);
    if !program.is_file() {
        bail!(
            "there is no {name} in {}: build it first (cargo build --bins)",
            folder.display()
        );
    }
    Ok(program)
}

fn beside_us() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let folder = program.parent().context("this program lies nowhere")?;
    // Tests and benchmarks are built into target/<profile>/deps.
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    Ok(folder.to_owned())
}
