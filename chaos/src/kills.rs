//! `kill -9` of every kind of process at every failpoint, one by one.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;
use wallet_dev::say::say;
use wallet_dev::stack::Env;

use crate::nemesis::points;
use crate::programs::Program;
use crate::proxy::Mode;
use crate::session::Session;
use crate::tally::Counts;
use crate::world::{Service, Wanted};

/// Work held by a killed process is done so long after its death.
const DONE_WITHIN: Duration = Duration::from_secs(35);

/// Where each kind of process can be killed.
const TABLE: [(Program, &[&str]); 2] = [
    (Program::Api, &["A1", "A2", "A3", "R1", "R2", "H1", "H2"]),
    (
        Program::Worker,
        &["R1", "R2", "W1", "W2", "W3", "W4", "W5", "W6", "W7", "H3", "H4"],
    ),
];

/// One row.
#[derive(Debug, Serialize)]
pub(crate) struct Killed {
    /// Which program.
    pub(crate) program: &'static str,
    /// Where.
    pub(crate) point: &'static str,
    /// Whether it died there.
    pub(crate) reached: bool,
    /// How long until everything accepted before was final.
    pub(crate) done_ms: Option<u128>,
    /// What was violated meanwhile.
    pub(crate) violations: u64,
}

impl Killed {
    /// Whether all is well.
    pub(crate) fn holds(&self) -> bool {
        self.reached && self.violations == 0 && self.done_ms.is_some_and(|ms| ms <= DONE_WITHIN.as_millis())
    }
}

/// Runs the table.
pub(crate) async fn run(folder: &Path) -> Result<(Vec<Killed>, Counts)> {
    let session = Session::start(7, folder, Wanted::default(), Duration::from_millis(1_500)).await?;
    let mut rows = Vec::new();
    for (program, list) in TABLE {
        for point in list {
            let row = kill(&session, program, point).await?;
            say(&format!(
                "    {} killed at {}: {}",
                row.program,
                row.point,
                match (row.reached, row.done_ms) {
                    (false, _) => "NOT REACHED".to_owned(),
                    (true, Some(ms)) =>
                        format!("its work was done {ms} ms later, {} violations", row.violations),
                    (true, None) => format!("ITS WORK IS NOT DONE after {} s", DONE_WITHIN.as_secs()),
                }
            ));
            rows.push(row);
        }
    }
    let counts = session.end(0).await?;
    Ok((rows, counts))
}

async fn kill(session: &Session, program: Program, point: &'static str) -> Result<Killed> {
    let world = &session.world;
    let violations = session.tally.violations();
    let hits = || -> Result<u64> {
        let hits = points::hits(world.folder())?;
        Ok(hits
            .get(&(point.to_owned(), "abort".to_owned(), program))
            .copied()
            .unwrap_or(0))
    };
    let before = hits()?;
    let members = world.members(program);
    let member = members.first().context("no such program")?;
    member.order(Env::new().with("FAILPOINTS", format!("{point}:abort#1")));
    member.replace().await?;
    let start = Instant::now();
    let mut turned = Instant::now();
    while hits()? == before && start.elapsed() < Duration::from_secs(45) {
        if point.starts_with('H') && turned.elapsed() > Duration::from_secs(1) {
            turned = Instant::now();
            // Stripe's connections end, so that the next ones lead to the other API too.
            for link in world.links(|service| service == Service::Webhooks) {
                link.set(Mode::Reset);
                tokio::time::sleep(Duration::from_millis(5)).await;
                link.set(Mode::Pass);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Its next life is an ordinary one.
    member.order(Env::new());
    let reached = hits()? > before;
    let done = if reached {
        session.drained(&Session::now(), DONE_WITHIN * 2).await
    } else {
        None
    };
    Ok(Killed {
        program: program.name(),
        point,
        reached,
        done_ms: done.map(|time| time.as_millis()),
        violations: session.tally.violations() - violations,
    })
}
