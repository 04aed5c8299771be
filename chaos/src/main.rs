//! `bin/chaos`: the fault campaign. Real processes, a proxy on every link, one seed that decides what can be decided, and checkers.
#![expect(
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    reason = "a campaign lives by the wall clock, chance and the shell"
)]

mod check;
mod load;
mod nemesis;
mod programs;
mod proxy;
mod random;
mod report;
mod seed;
mod tally;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use wallet_dev::say::{complain, say};
use wallet_dev::stack::Env;

use crate::nemesis::Chosen;
use crate::random::Plan;
use crate::report::Report;

/// Breaks the system in every way it must stand, under load, and checks that no cent is lost or doubled.
#[derive(Debug, Parser)]
#[command(name = "bin/chaos", version)]
struct Arguments {
    /// How many seeds the random part runs, from 1 on.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Runs this one seed, to repeat a failure; can be given several times.
    #[arg(long, value_name = "SEED")]
    seed: Vec<u64>,
    /// Minutes of faults for each seed.
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Only faults whose names contain this text; can be given several times.
    #[arg(long, value_name = "TEXT")]
    fault: Vec<String>,
    /// Lists the random faults by name.
    #[arg(long)]
    list: bool,
    /// About a minute in all: for every change.
    #[arg(long)]
    quick: bool,
    /// Where the report and the logs go.
    #[arg(long, value_name = "FOLDER", default_value = ".chaos")]
    report: PathBuf,
}

fn main() -> ExitCode {
    if let Some(code) = programs::impersonate() {
        return code;
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(&arguments)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&format!("chaos: {error:#}"));
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool> {
    let chosen = Chosen::named(&arguments.fault);
    if arguments.list {
        for fault in chosen.faults() {
            say(fault);
        }
        return Ok(true);
    }
    std::fs::create_dir_all(&arguments.report)
        .with_context(|| format!("cannot make {}", arguments.report.display()))?;
    let mut report = Report::new(&chosen, arguments.quick);
    let minutes = arguments.minutes.unwrap_or(if arguments.quick { 0.5 } else { 0.75 });
    let seeds: Vec<u64> = if arguments.seed.is_empty() {
        (1..=arguments.seeds.unwrap_or(if arguments.quick { 1 } else { 2 })).collect()
    } else {
        arguments.seed.clone()
    };
    let plan = Plan {
        faults_for: Duration::from_secs_f64(minutes * 60.0),
        chosen,
        env: Env::new(),
        until_violated: false,
        tells: true,
    };
    for seed in seeds {
        say(&format!("seed {seed}: {} s of faults", plan.faults_for.as_secs()));
        let folder = arguments.report.join(format!("seed-{seed}"));
        let _ = std::fs::remove_dir_all(&folder);
        let outcome = random::run(seed, &plan, &folder).await?;
        say(&report::one_line(&outcome));
        report.add_seed(outcome);
    }
    report.write(&arguments.report)
}
