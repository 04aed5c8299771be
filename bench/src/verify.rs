//! The invariants over many inserted transactions: time of the complete set and of the quick one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use wallet_dev::stack::program;

use crate::report::Line;
use crate::system::System;

const PLANT: &str = include_str!("verify.sql");
const WALLETS: usize = 10_000;
/// The bar of the complete set, in seconds for a million transactions.
const COMPLETE: f64 = 60.0;
/// The bar of the quick set, which runs every minute, in seconds.
const QUICK: f64 = 5.0;

pub(crate) async fn measure(transfers: usize) -> Result<Vec<Line>> {
    let system = System::start().await?;
    let variables = [
        ("wallets", WALLETS.to_string()),
        ("transfers", transfers.to_string()),
    ];
    system.script(PLANT, &variables).await?;
    let complete = verify(&system, &["verify"]).await?;
    let quick = verify(&system, &["verify", "--quick"]).await?;
    Ok(vec![
        Line::below(
            format!("verify over {transfers} transfers"),
            complete.as_secs_f64(),
            COMPLETE,
            "s",
        ),
        Line::below("verify --quick over the same", quick.as_secs_f64(), QUICK, "s"),
    ])
}

/// Runs the command, prints its output, and returns its duration.
async fn verify(system: &System, args: &[&str]) -> Result<Duration> {
    let mut command = tokio::process::Command::new(program::find("wallet-worker")?);
    command.args(args).envs(system.stack.env().iter());
    let began = Instant::now();
    let output = command.output().await.context("wallet-worker")?;
    let took = began.elapsed();
    wallet_dev::say::say(&String::from_utf8_lossy(&output.stdout));
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(took)
}
