//! `bin/chaos`: the fault campaign. Real processes, a proxy on every link, one seed that decides what can be decided, and checkers.
#![expect(
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    reason = "a campaign lives by the wall clock, chance and the shell"
)]

mod bugs;
mod check;
mod clock;
mod kills;
mod load;
mod nemesis;
mod programs;
mod proxy;
mod random;
mod recovery;
mod report;
mod scripted;
mod seed;
mod session;
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
    /// Only the parts that are named: this one plants bugs, one at a time, each of which must be noticed.
    #[arg(long)]
    bugs: bool,
    /// Kills every kind of process at every failpoint, one by one.
    #[arg(long)]
    kill_table: bool,
    /// Does every single fault once and measures how fast waiting work resumes.
    #[arg(long)]
    recovery: bool,
    /// Plays the scenarios that chance would not reach.
    #[arg(long)]
    scripted: bool,
    /// Every part.
    #[arg(long)]
    all: bool,
    /// Of bugs and scenarios only those whose names contain this text; can be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
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
    let folder = &arguments.report;
    let parts = arguments.bugs || arguments.kill_table || arguments.recovery || arguments.scripted;
    let is_random = !parts || arguments.seeds.is_some() || !arguments.seed.is_empty();
    // Without arguments: what fits into five minutes.
    let usual = !parts && !is_narrow(arguments);
    if arguments.all || is_random {
        for outcome in seeds(arguments, &chosen).await? {
            report.add_seed(outcome);
        }
    }
    if arguments.all || arguments.kill_table || usual {
        needs_failpoints()?;
        say("kill -9 at every failpoint");
        report.add_kills(kills::run(&folder.join("kills")).await?);
    }
    if arguments.all || arguments.recovery {
        say("every fault once: how fast work resumes");
        report.add_recovery(recovery::run(&folder.join("recovery")).await?);
    }
    if arguments.all || arguments.scripted {
        needs_failpoints()?;
        say("scenarios");
        report.add_scenarios(scripted::run(folder, &arguments.only).await?);
    }
    if arguments.all || arguments.bugs {
        needs_failpoints()?;
        say("planted bugs");
        report.add_bugs(bugs::run(&folder.join("bugs"), &arguments.only).await?);
    }
    report.write(folder)
}

/// Whether a person asked for something in particular.
fn is_narrow(arguments: &Arguments) -> bool {
    arguments.quick || arguments.seeds.is_some() || !arguments.seed.is_empty() || !arguments.fault.is_empty()
}

fn needs_failpoints() -> Result<()> {
    anyhow::ensure!(
        cfg!(feature = "campaign"),
        "this program was built without failpoints: build it with --features wallet-chaos/campaign, as bin/chaos does"
    );
    Ok(())
}

async fn seeds(arguments: &Arguments, chosen: &Chosen) -> Result<Vec<random::Outcome>> {
    let minutes = arguments
        .minutes
        .unwrap_or(match (arguments.quick, arguments.all) {
            (true, _) => 0.4,
            (_, true) => 2.0,
            _ => 0.6,
        });
    let seeds: Vec<u64> = if arguments.seed.is_empty() {
        let usual = match (arguments.quick, arguments.all) {
            (true, _) => 1,
            (_, true) => 10,
            _ => 2,
        };
        (1..=arguments.seeds.unwrap_or(usual)).collect()
    } else {
        arguments.seed.clone()
    };
    let plan = Plan {
        faults_for: Duration::from_secs_f64(minutes * 60.0),
        chosen: chosen.clone(),
        env: Env::new(),
        until_violated: false,
        starts_anew: true,
        tells: true,
    };
    let mut outcomes = Vec::new();
    for seed in seeds {
        say(&format!("seed {seed}: {} s of faults", plan.faults_for.as_secs()));
        let folder = arguments.report.join(format!("seed-{seed}"));
        let _ = std::fs::remove_dir_all(&folder);
        let outcome = random::run(seed, &plan, &folder).await?;
        say(&report::one_line(&outcome));
        outcomes.push(outcome);
    }
    Ok(outcomes)
}
