//! `bin/chaos`: the fault campaign. Real processes, a proxy on every link, one seed for everything that can be decided, and checkers.
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
use wallet_dev::pace;
use wallet_dev::say::{complain, say};

use crate::bugs::Bug;
use crate::nemesis::Chosen;
use crate::random::Plan;
use crate::report::{Bar, Report};

/// Breaks the system in every way that it must withstand, under load, and checks that no cent is lost or doubled.
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
    /// Lists faults, scenarios and planted bugs by name.
    #[arg(long)]
    list: bool,
    /// Runs only the parts that are named: this one plants bugs, one at a time, each of which must be noticed.
    #[arg(long)]
    bugs: bool,
    /// Ends every kind of process at every failpoint, one by one: by `kill -9`, by SIGTERM, and stopped while a server is killed.
    #[arg(long)]
    kill_table: bool,
    /// Carries out every single fault once and measures how fast waiting work resumes.
    #[arg(long)]
    recovery: bool,
    /// Runs the scenarios that chance would not reach.
    #[arg(long)]
    scripted: bool,
    /// Runs every part.
    #[arg(long)]
    all: bool,
    /// Of bugs, scenarios and rows of the kill table, only those whose names contain this text; can be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Runs for about a minute in all: for every change.
    #[arg(long)]
    quick: bool,
    /// The folder of the report and the logs.
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
        list(&chosen)?;
        return Ok(true);
    }
    refuse_what_matches_nothing(arguments)?;
    std::fs::create_dir_all(&arguments.report)
        .with_context(|| format!("cannot make {}", arguments.report.display()))?;
    let (seeds, minutes) = (seeds_of(arguments), minutes_of(arguments));
    let bar = Bar::of(seeds.len(), minutes, arguments.quick);
    let mut report = Report::new(&chosen, bar);
    say(&format!(
        "bars of time are {:.1} times as long as on an idle machine of the usual speed",
        pace::factor()
    ));
    let folder = &arguments.report;
    let parts = arguments.bugs || arguments.kill_table || arguments.recovery || arguments.scripted;
    let is_random = !parts || arguments.seeds.is_some() || !arguments.seed.is_empty();
    // Without arguments, only what fits into five minutes is run.
    let usual = !parts && !is_narrow(arguments);
    if arguments.all || is_random {
        for outcome in run_seeds(arguments, &chosen, &seeds, minutes).await? {
            report.add_seed(outcome);
        }
        // A named seed is run to repeat a failure, and nothing else is run with it.
        if arguments.seed.is_empty() {
            aim(arguments, &mut report, minutes).await?;
        }
    }
    if arguments.all || arguments.kill_table || usual {
        needs_failpoints()?;
        say("every kind of process ends at every failpoint");
        let only = if usual {
            vec![kills::KILLED.to_owned()]
        } else if arguments.all {
            Vec::new()
        } else {
            arguments.only.clone()
        };
        report.add_kills(kills::run(&folder.join("kills"), &only).await?);
    }
    if arguments.all || arguments.recovery {
        say("every fault once: how fast work resumes");
        report.add_recovery(recovery::run(&folder.join("recovery"), &chosen.faults()).await?);
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

/// Whether the arguments narrow the random part.
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

/// Lists what can be chosen: faults, scenarios and bugs.
fn list(chosen: &Chosen) -> Result<()> {
    for fault in chosen.faults() {
        say(fault);
    }
    for fault in asked_for() {
        say(&format!("{fault} (only when it is asked for by name)"));
    }
    for scenario in scripted::NAMES {
        say(&format!("scenario: {scenario}"));
    }
    for row in kills::names() {
        say(&format!("kill table: {row}"));
    }
    for bug in Bug::all()? {
        say(&format!("planted bug: {}", bug.name));
    }
    Ok(())
}

/// Returns the faults that occur only when they are named.
fn asked_for() -> impl Iterator<Item = &'static str> {
    let points = nemesis::points::ON_REQUEST.iter().map(|point| point.fault);
    points.chain(nemesis::stripe::ON_REQUEST.iter().copied())
}

/// Rejects a text that matches nothing: nothing would run, and nothing would fail.
fn refuse_what_matches_nothing(arguments: &Arguments) -> Result<()> {
    let all_bugs = Bug::all()?;
    let of_points = nemesis::points::FAULTS.iter().map(|point| point.fault);
    let faults: Vec<&str> = Chosen::default()
        .faults()
        .into_iter()
        .chain(of_points)
        .chain(asked_for())
        .collect();
    let rows = kills::names();
    let of_part = |is_asked: bool| arguments.all || is_asked;
    let scenarios = scripted::NAMES
        .into_iter()
        .filter(|_| of_part(arguments.scripted));
    let bugs = all_bugs
        .iter()
        .map(|bug| bug.name.as_str())
        .filter(|_| of_part(arguments.bugs));
    let ends = rows
        .iter()
        .map(String::as_str)
        .filter(|_| arguments.kill_table && !arguments.all);
    let others: Vec<&str> = scenarios.chain(bugs).chain(ends).collect();
    for (option, texts, names) in [
        ("--fault", &arguments.fault, &faults),
        ("--only", &arguments.only, &others),
    ] {
        for text in texts {
            let found = names
                .iter()
                .any(|name| name.to_lowercase().contains(&text.to_lowercase()));
            anyhow::ensure!(found, "{option} {text:?} matches nothing: --list tells the names");
        }
    }
    let measures = arguments.recovery && !arguments.all;
    let wanted = Chosen::named(&arguments.fault).faults();
    anyhow::ensure!(
        !measures || nemesis::singles().any(|fault| wanted.contains(&fault)),
        "--fault matches nothing that --recovery measures: --list tells the names"
    );
    Ok(())
}

fn minutes_of(arguments: &Arguments) -> f64 {
    arguments
        .minutes
        .unwrap_or(match (arguments.quick, arguments.all) {
            (true, _) => 0.4,
            (_, true) => 2.0,
            _ => 0.6,
        })
}

fn seeds_of(arguments: &Arguments) -> Vec<u64> {
    if !arguments.seed.is_empty() {
        return arguments.seed.clone();
    }
    let usual = match (arguments.quick, arguments.all) {
        (true, _) => 1,
        (_, true) => 10,
        _ => 2,
    };
    (1..=arguments.seeds.unwrap_or(usual)).collect()
}

/// The maximum number of runs aimed at what chance reached too seldom: a slow machine needs some, and an unreachable fault must end them.
const MOST_AIMED: u64 = 8;

/// Continues with what is missing, alone and more often, until all was reached: what a campaign must reach
/// does not depend on how much work the machine does in the given time.
async fn aim(arguments: &Arguments, report: &mut Report, minutes: f64) -> Result<()> {
    for round in 1..=MOST_AIMED {
        let missing = report.missing();
        if missing.is_empty() {
            return Ok(());
        }
        say(&format!(
            "not reached yet, aiming at them: {}",
            missing.join("; ")
        ));
        let seed = seeds_of(arguments).into_iter().max().unwrap_or(0) + round;
        let chosen = Chosen::aimed_at(&missing);
        for outcome in run_seeds(arguments, &chosen, &[seed], minutes).await? {
            report.add_seed(outcome);
        }
    }
    Ok(())
}

async fn run_seeds(
    arguments: &Arguments,
    chosen: &Chosen,
    seeds: &[u64],
    minutes: f64,
) -> Result<Vec<random::Outcome>> {
    let plan = Plan {
        faults_for: Duration::from_secs_f64(minutes * 60.0),
        chosen: chosen.clone(),
        file: None,
        until_violated: false,
        starts_anew: true,
        tells: true,
    };
    let mut outcomes = Vec::new();
    for &seed in seeds {
        say(&format!("seed {seed}: {} s of faults", plan.faults_for.as_secs()));
        let folder = arguments.report.join(format!("seed-{seed}"));
        let _ = std::fs::remove_dir_all(&folder);
        let outcome = random::run(seed, &plan, &folder).await?;
        say(&report::one_line(&outcome));
        outcomes.push(outcome);
    }
    Ok(outcomes)
}
