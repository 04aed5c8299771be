//! Failpoints inside our programs, active throughout with small probabilities. They count as reached by what they log before they act.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;
use wallet_dev::stack::Env;

use super::Chosen;
use crate::programs::Program;
use crate::seed;
use crate::world::World;
use crate::world::failpoints::{log, off};

/// A failpoint as a fault.
#[derive(Debug)]
pub(crate) struct FailPoint {
    /// Its name in the matrix.
    pub(crate) fault: &'static str,
    point: &'static str,
    action: &'static str,
    program: Program,
    /// Whether only the last process of the kind has it, in place of the other failpoint at the same point.
    last: bool,
    /// Its probability, in thousandths.
    per_mille: u32,
}

const fn dies(fault: &'static str, point: &'static str, program: Program, per_mille: u32) -> FailPoint {
    FailPoint {
        fault,
        point,
        action: "abort",
        program,
        last: false,
        per_mille,
    }
}

const fn waits(
    fault: &'static str,
    point: &'static str,
    program: Program,
    action: &'static str,
) -> FailPoint {
    FailPoint {
        fault,
        point,
        action,
        program,
        last: true,
        per_mille: 60,
    }
}

const WEBHOOK_FIRST: &str = "F20 webhook before our commit (CallAnswered waits)";

/// All failpoints of the random part.
pub(crate) const FAULTS: &[FailPoint] = &[
    dies(
        "F01 API dies at AcceptBeforeCommit",
        "AcceptBeforeCommit",
        Program::Api,
        20,
    ),
    dies(
        "F02 API dies at AcceptCommitSent",
        "AcceptCommitSent",
        Program::Api,
        15,
    ),
    dies(
        "F03 API dies at AcceptBeforeAnswer",
        "AcceptBeforeAnswer",
        Program::Api,
        20,
    ),
    waits(
        "F07 late commits (AcceptBeforeCommit waits)",
        "AcceptBeforeCommit",
        Program::Api,
        "sleep-300",
    ),
    dies(
        "F05 dispatcher dies at DispatchMarked",
        "DispatchMarked",
        Program::Worker,
        20,
    ),
    dies(
        "F05 an API's dispatcher dies at DispatchMarked",
        "DispatchMarked",
        Program::Api,
        12,
    ),
    dies(
        "F06 dispatcher dies at DispatchPushed",
        "DispatchPushed",
        Program::Worker,
        20,
    ),
    dies(
        "F06 an API's dispatcher dies at DispatchPushed",
        "DispatchPushed",
        Program::Api,
        12,
    ),
    dies(
        "F08 worker dies at TaskFetched",
        "TaskFetched",
        Program::Worker,
        5,
    ),
    dies(
        "F09 worker dies at JobsClaimed",
        "JobsClaimed",
        Program::Worker,
        5,
    ),
    dies(
        "F10 worker dies at CallBeforeSend",
        "CallBeforeSend",
        Program::Worker,
        30,
    ),
    dies(
        "F10 worker dies at CallAnswered",
        "CallAnswered",
        Program::Worker,
        40,
    ),
    waits(WEBHOOK_FIRST, "CallAnswered", Program::Worker, "sleep-400"),
    dies(
        "F11 worker dies at SettleCommitSent",
        "SettleCommitSent",
        Program::Worker,
        15,
    ),
    dies("F12 worker dies at TaskDone", "TaskDone", Program::Worker, 6),
    dies(
        "F12 worker dies at TaskAcknowledged",
        "TaskAcknowledged",
        Program::Worker,
        6,
    ),
    dies(
        "F23 API dies at EventBeforeCommit",
        "EventBeforeCommit",
        Program::Api,
        12,
    ),
    dies(
        "F23 API dies at EventBeforeAnswer",
        "EventBeforeAnswer",
        Program::Api,
        12,
    ),
    dies("F23 worker dies at EventRead", "EventRead", Program::Worker, 8),
    dies(
        "F23 worker dies at EventProcessed",
        "EventProcessed",
        Program::Worker,
        8,
    ),
];

/// The failpoints that occur only if they are chosen by name: a stopped process is continued only after longer than a lease.
pub(crate) const ON_REQUEST: &[FailPoint] = &[
    stops("stopped beyond its lease at JobsClaimed", "JobsClaimed", 60),
    stops("stopped beyond its lease at CallBeforeSend", "CallBeforeSend", 60),
    stops("stopped beyond its lease at CallAnswered", "CallAnswered", 150),
    often("event job dies often", "EventRead", Program::Worker),
    often(
        "API dies often at AcceptCommitSent",
        "AcceptCommitSent",
        Program::Api,
    ),
    often(
        "API dies often at AcceptBeforeAnswer",
        "AcceptBeforeAnswer",
        Program::Api,
    ),
];

const fn stops(fault: &'static str, point: &'static str, per_mille: u32) -> FailPoint {
    FailPoint {
        fault,
        point,
        action: "stop",
        program: Program::Worker,
        last: false,
        per_mille,
    }
}

const fn often(fault: &'static str, point: &'static str, program: Program) -> FailPoint {
    FailPoint {
        per_mille: 80,
        ..dies(fault, point, program, 80)
    }
}

/// The least probability of a point that is aimed at, in thousandths: a few passes reach it, and its program still gets work done.
const AIMED: u32 = 250;

/// The maximum number of processes of a kind that a point ends: many die in two minutes, and the other points need their turn.
const MOST_DEATHS: u64 = 4;

/// Restarts every program with the wanted failpoints.
pub(super) async fn begin(world: &World, chosen: &Chosen) {
    // A file of an earlier run in the same folder would disable the failpoints before they begin.
    let _ = std::fs::remove_file(off(world.folder()));
    order(world, chosen, &Hits::new());
    if cfg!(feature = "campaign") {
        for member in &world.members {
            let _ = member.kill().await;
            let _ = member.start().await;
        }
    }
}

/// Removes points that have ended enough processes from later starts.
pub(super) async fn ration(world: Arc<World>, chosen: Chosen, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Ok(hits) = hits(world.folder()) {
            order(&world, &chosen, &hits);
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// Orders the wanted failpoints for the next start of every program, without those that have ended enough processes.
fn order(world: &World, chosen: &Chosen, hits: &Hits) {
    for program in [Program::Api, Program::Worker] {
        let has_room = |fault: &&FailPoint| {
            let place = (fault.point.to_owned(), fault.action.to_owned(), program);
            fault.action != "abort" || hits.get(&place).is_none_or(|deaths| *deaths < MOST_DEATHS)
        };
        let members = world.members(program);
        for (at, member) in members.iter().enumerate() {
            let is_last = at + 1 == members.len();
            let mut points: HashMap<&str, String> = HashMap::new();
            let asked = ON_REQUEST.iter().filter(|fault| chosen.names(fault.fault));
            let all = FAULTS
                .iter()
                .filter(|fault| chosen.has(fault.fault))
                .filter(has_room)
                .chain(asked);
            for fault in all.filter(|fault| fault.program == program) {
                if fault.last && !is_last || fault.action == "stop" && is_last {
                    continue;
                }
                // If two apply to one point, that of the last process comes later in the list and replaces the other.
                let share = if chosen.is_aimed {
                    fault.per_mille.max(AIMED)
                } else {
                    fault.per_mille
                };
                let one = format!("{}:{}@0.{share:03}", fault.point, fault.action);
                points.insert(fault.point, one);
            }
            let mut list: Vec<String> = points.into_values().collect();
            list.sort();
            let seed = seed::number(world.seed, member.name());
            member.order(
                Env::new()
                    .with("FAILPOINTS", list.join(","))
                    .with("FAILPOINTS_SEED", seed.to_string()),
            );
        }
    }
}

/// Counts which failpoints were reached.
pub(super) async fn count(world: &World, chosen: &Chosen) -> Result<()> {
    let hits = hits(world.folder())?;
    // A worker that waits at CallAnswered only gives the webhook time to come first: PostgreSQL records whether it did.
    let ahead = "SELECT count(*) FROM campaign.ahead";
    let ahead = u64::try_from(world.database.number(ahead).await.unwrap_or(0))?;
    for fault in FAULTS
        .iter()
        .filter(|fault| chosen.has(fault.fault) && cfg!(feature = "campaign"))
    {
        let verb = fault.action.split('-').next().unwrap_or_default();
        let found = hits.get(&(fault.point.to_owned(), verb.to_owned(), fault.program));
        let reached = if fault.fault == WEBHOOK_FIRST {
            ahead
        } else {
            found.copied().unwrap_or(0)
        };
        world.tally.ordered(fault.fault);
        world.tally.reached(fault.fault, reached);
    }
    Ok(())
}

/// How often failpoints acted, by point, verb and program.
pub(crate) type Hits = HashMap<(String, String, Program), u64>;

/// Reads how often each point acted in each program.
pub(crate) fn hits(folder: &Path) -> Result<Hits> {
    let mut hits = Hits::new();
    for program in [Program::Api, Program::Worker] {
        let text = match std::fs::read_to_string(log(folder, program)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error.into()),
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(point), Some(action)) = (words.next(), words.next()) else {
                continue;
            };
            let letters = action.chars().take_while(|letter| letter.is_alphabetic());
            let verb = letters.collect::<String>().to_lowercase();
            *hits.entry((point.to_owned(), verb, program)).or_insert(0) += 1;
        }
    }
    Ok(hits)
}

/// Whether a failpoint ended or stopped the process with this id.
pub(super) fn struck(folder: &Path, pid: u32) -> bool {
    let end = format!(" {pid}");
    [Program::Api, Program::Worker].into_iter().any(|program| {
        let text = std::fs::read_to_string(log(folder, program)).unwrap_or_default();
        text.lines()
            .any(|line| line.ends_with(&end) && (line.contains(" Abort ") || line.contains(" Stop ")))
    })
}
