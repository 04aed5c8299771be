//! Planted bugs: one guard broken at a time. A campaign that does not notice would not notice a real one either.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use wallet_dev::say::say;
use wallet_dev::stack::Env;

use crate::check::rest;
use crate::nemesis::Chosen;
use crate::random::{self, Plan};

/// A bug and whether it was noticed.
#[derive(Debug, Serialize)]
pub(crate) struct Caught {
    /// Its name.
    pub(crate) bug: &'static str,
    /// What told it.
    pub(crate) by: Option<String>,
    /// How long that took, with the start of the system.
    pub(crate) seconds: u64,
}

/// The faults under which a bug shows; those that need none show under load alone.
fn faults(bug: &str) -> &'static [&'static str] {
    match bug {
        "no-fence" => &["leases lapse", "F20", "F36 Stripe is slow"],
        "key-from-the-clock" | "unknown-is-refused" => &["F13 answer lost", "F13 no answer", "F16 503"],
        "event-marked-first" => &["event job dies often"],
        "dispatcher-by-cursor" => &["F07", "F25 queue emptied"],
        "job-after-commit" => &["API dies often", "kill -9 of an API"],
        "retry-forgotten" => &["F16 503", "F15 429"],
        "no-row-locks" => &["F29", "lock node restarted empty"],
        "hold-not-released" => &["F17"],
        _ => &["F18"],
    }
}

/// Plants every bug in turn, or those whose names contain one of these texts.
pub(crate) async fn run(folder: &Path, named: &[String]) -> Result<Vec<Caught>> {
    let mut all = Vec::new();
    for bug in wallet_core::chaos::PlantedBug::ALL {
        let bug = bug.name();
        if !named.is_empty() && !named.iter().any(|text| bug.contains(text.as_str())) {
            continue;
        }
        let began = Instant::now();
        let texts: Vec<String> = faults(bug).iter().map(|text| (*text).to_owned()).collect();
        let plan = Plan {
            faults_for: Duration::from_secs(40),
            chosen: Chosen::named(&texts),
            env: Env::new().with("PLANTED_BUG", bug),
            until_violated: true,
            // A dispatcher that begins anew has no cursor.
            starts_anew: bug != "dispatcher-by-cursor",
            tells: false,
        };
        let outcome = random::run(9, &plan, &folder.join(bug)).await;
        let by = match outcome {
            // A slow machine is late without any bug: what came to its end after all proves nothing.
            Ok(outcome) => (outcome.counts.found().find(|found| !found.contains(rest::LATE)))
                .and_then(|found| found.lines().next().map(str::to_owned)),
            // Under a bug anything may go wrong; what is only broken and not seen is not caught.
            Err(error) => {
                say(&format!("    {bug}: {error:#}"));
                None
            }
        };
        let seconds = began.elapsed().as_secs();
        say(&match &by {
            Some(by) => format!("    {bug}: caught after {seconds} s by {by}"),
            None => format!("    {bug}: NOT CAUGHT after {seconds} s"),
        });
        all.push(Caught { bug, by, seconds });
    }
    Ok(all)
}
