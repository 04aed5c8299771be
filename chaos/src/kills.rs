//! Every kind of process dies at every failpoint, one by one: our programs by `kill -9` and by SIGTERM, and the servers while one of our
//! programs stands still there and goes on when they are back.
//!
//! The simulator is not killed: it keeps all in memory, and Stripe forgets nothing. That it is away is a fault of the random part.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde::Serialize;
use wallet_dev::pace;
use wallet_dev::say::say;
use wallet_dev::stack::Env;

use crate::nemesis::points;
use crate::programs::Program;
use crate::proxy::Mode;
use crate::session::Session;
use crate::tally::Counts;
use crate::world::member::Member;
use crate::world::{Service, Wanted, World};

/// What a killed process held is given to another one so long after its death: a lease, a lock, and what counts as lost last so long by the clock,
/// however fast the machine is.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(30);
/// Then it is work like any other, and is given so long.
const DONE_AFTER_THAT: Duration = Duration::from_secs(5);
/// Or so many times what all the work that is there takes when nobody is killed, where that is longer: on a machine that is busy with other programs.
const TIMES_UNDISTURBED: u32 = 3;
/// At most, so that a system that is slow by itself gains little by it.
const LONGEST_AFTER_THAT: Duration = Duration::from_secs(15);
/// Load leads to every point within this time.
const REACHED_WITHIN: Duration = Duration::from_secs(45);
/// How long a server is away.
const AWAY: Duration = Duration::from_millis(500);
/// Nobody but this table lets a stopped process go on before then.
const STOPPED: Duration = Duration::from_secs(120);

/// A server that dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Postgres,
    Queue,
    LockNode,
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// `kill -9`.
    Killed,
    /// The program stands still while a server is killed (`kill -9`) and started again, then it goes on.
    StoppedWhile(Server),
    /// SIGTERM: it must end in good order.
    Terminated,
}

impl End {
    /// In words.
    const fn name(self) -> &'static str {
        match self {
            Self::Killed => "kill -9",
            Self::StoppedWhile(Server::Postgres) => "stopped while PostgreSQL is killed",
            Self::StoppedWhile(Server::Queue) => "stopped while the queue is killed",
            Self::StoppedWhile(Server::LockNode) => "stopped while a lock node is killed",
            Self::Terminated => "SIGTERM",
        }
    }

    /// What is ordered of the failpoint.
    const fn action(self) -> &'static str {
        match self {
            Self::Killed => "abort",
            Self::StoppedWhile(_) | Self::Terminated => "stop",
        }
    }
}

/// What happens to each kind of process, and where.
const TABLE: [(End, Program, &[&str]); 8] = [
    (
        End::Killed,
        Program::Api,
        &[
            "AcceptBeforeCommit",
            "AcceptCommitSent",
            "AcceptBeforeAnswer",
            "DispatchMarked",
            "DispatchPushed",
            "EventBeforeCommit",
            "EventBeforeAnswer",
        ],
    ),
    (
        End::Killed,
        Program::Worker,
        &[
            "DispatchMarked",
            "DispatchPushed",
            "TaskFetched",
            "JobsClaimed",
            "CallBeforeSend",
            "CallAnswered",
            "SettleCommitSent",
            "TaskDone",
            "TaskAcknowledged",
            "EventRead",
            "EventProcessed",
        ],
    ),
    (
        End::Terminated,
        Program::Worker,
        &[
            "DispatchMarked",
            "DispatchPushed",
            "TaskFetched",
            "JobsClaimed",
            "CallBeforeSend",
            "CallAnswered",
            "SettleCommitSent",
            "TaskDone",
            "TaskAcknowledged",
            "EventRead",
            "EventProcessed",
        ],
    ),
    (
        End::StoppedWhile(Server::Postgres),
        Program::Api,
        &["AcceptCommitSent", "EventBeforeAnswer"],
    ),
    (
        End::StoppedWhile(Server::Queue),
        Program::Api,
        &["AcceptCommitSent", "EventBeforeAnswer"],
    ),
    (
        End::StoppedWhile(Server::Postgres),
        Program::Worker,
        &[
            "JobsClaimed",
            "CallBeforeSend",
            "CallAnswered",
            "SettleCommitSent",
        ],
    ),
    (
        End::StoppedWhile(Server::Queue),
        Program::Worker,
        &[
            "JobsClaimed",
            "CallBeforeSend",
            "CallAnswered",
            "SettleCommitSent",
        ],
    ),
    (
        End::StoppedWhile(Server::LockNode),
        Program::Worker,
        &[
            "JobsClaimed",
            "CallBeforeSend",
            "CallAnswered",
            "SettleCommitSent",
        ],
    ),
];

/// The rows of the table that end by `kill -9` of one of our programs.
pub(crate) const KILLED: &str = End::Killed.name();

/// One row.
#[derive(Debug, Serialize)]
pub(crate) struct Killed {
    /// Program, place, and what happened there.
    pub(crate) name: String,
    /// Whether it came there.
    pub(crate) reached: bool,
    /// Whether it ended in good order, where that is asked.
    pub(crate) orderly: Option<bool>,
    /// How long until everything that there was before was done.
    pub(crate) done_ms: Option<u128>,
    /// How long it may take, by how long it took just before, when nobody was killed.
    pub(crate) allowed_ms: u128,
    /// What was violated meanwhile.
    pub(crate) violations: u64,
}

impl Killed {
    /// Whether all is well.
    pub(crate) fn holds(&self) -> bool {
        self.reached
            && self.orderly != Some(false)
            && self.violations == 0
            && self.done_ms.is_some_and(|ms| ms <= self.allowed_ms)
    }

    /// What became of it, in words.
    pub(crate) fn told(&self) -> String {
        let order = match self.orderly {
            Some(true) => "it ended in good order, ",
            Some(false) => "it DID NOT END IN GOOD ORDER, ",
            None => "",
        };
        match (self.reached, self.done_ms) {
            (false, _) => "NOT REACHED".to_owned(),
            (true, Some(ms)) => format!(
                "{order}all was done {ms} ms later (of {}), {} violations",
                self.allowed_ms, self.violations
            ),
            (true, None) => format!("{order}ALL IS NOT DONE after {} ms", self.allowed_ms * 2),
        }
    }
}

fn name(program: Program, point: &str, end: End) -> String {
    format!("{} at {point}: {}", program.name(), end.name())
}

/// The names of all rows.
pub(crate) fn names() -> Vec<String> {
    let row = |(end, program, list): (End, Program, &'static [&'static str])| {
        list.iter().map(move |point| name(program, point, end))
    };
    TABLE.into_iter().flat_map(row).collect()
}

/// Runs the rows of the table whose names contain one of the texts, or all.
pub(crate) async fn run(folder: &Path, named: &[String]) -> Result<(Vec<Killed>, Counts)> {
    let session = Session::start(7, folder, Wanted::default(), Duration::from_millis(1_500)).await?;
    let mut rows = Vec::new();
    for (end, program, list) in TABLE {
        for point in list {
            let name = name(program, point, end);
            let is_wanted = |text: &String| name.to_lowercase().contains(&text.to_lowercase());
            if !named.is_empty() && !named.iter().any(is_wanted) {
                continue;
            }
            session.world.note(&name);
            let row = play(&session, program, point, end, name).await?;
            say(&format!("    {}: {}", row.name, row.told()));
            rows.push(row);
        }
    }
    let counts = session.end(0).await?;
    Ok((rows, counts))
}

async fn play(
    session: &Session,
    program: Program,
    point: &'static str,
    end: End,
    name: String,
) -> Result<Killed> {
    let violations = session.tally.violations();
    let allowed = allowed(session).await;
    let members = session.world.members(program);
    let member = members.first().context("no such program")?;
    let reached = lead_to(session, member, point, end).await?;
    // What was there at its end; of what comes later others have heard nothing from it.
    let (before, ended) = (Session::now(), Instant::now());
    let mut orderly = None;
    if reached {
        match end {
            End::Killed => {}
            End::StoppedWhile(server) => {
                restart(&session.world, server).await?;
                member.signal(Signal::SIGCONT).await;
            }
            End::Terminated => {
                // It finds the signal when it goes on.
                member.signal(Signal::SIGTERM).await;
                orderly = Some(member.stop().await?);
                member.start().await?;
            }
        }
    } else {
        member.signal(Signal::SIGCONT).await;
    }
    let done = match reached {
        true => session
            .all_drained(&before, allowed * 2)
            .await
            .map(|_| ended.elapsed()),
        false => None,
    };
    Ok(Killed {
        name,
        reached,
        orderly,
        done_ms: done.map(|time| time.as_millis()),
        allowed_ms: allowed.as_millis(),
        violations: session.tally.violations() - violations,
    })
}

/// How long a row may take, by what all that is there takes undisturbed at this moment.
async fn allowed(session: &Session) -> Duration {
    let undisturbed = session
        .all_drained(&Session::now(), LONGEST_AFTER_THAT)
        .await
        .unwrap_or(LONGEST_AFTER_THAT);
    let after = (undisturbed * TIMES_UNDISTURBED).clamp(DONE_AFTER_THAT, LONGEST_AFTER_THAT);
    pace::scaled(TAKEN_OVER_WITHIN + after)
}

/// Starts the program anew with an order for this point, and waits until it acts; says whether it did.
async fn lead_to(session: &Session, member: &Arc<Member>, point: &str, end: End) -> Result<bool> {
    let world = &session.world;
    let place = (point.to_owned(), end.action().to_owned(), member.program());
    let hits = || -> Result<u64> { Ok(points::hits(world.folder())?.get(&place).copied().unwrap_or(0)) };
    let before = hits()?;
    member.stay_stopped_for(STOPPED);
    member.order(Env::new().with("FAILPOINTS", format!("{point}:{}#1", end.action())));
    member.replace().await?;
    let start = Instant::now();
    let mut turned = Instant::now();
    while hits()? == before && start.elapsed() < pace::scaled(REACHED_WITHIN) {
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
    if reached && end != End::Killed {
        // It wrote its line before it stops.
        let start = Instant::now();
        while !member.is_stopped().await && start.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        return Ok(member.is_stopped().await);
    }
    Ok(reached)
}

/// Kills a server and starts it again.
async fn restart(world: &World, server: Server) -> Result<()> {
    match server {
        Server::Postgres => {
            let mut servers = world.database.servers().await;
            servers.primary.process_mut().kill().await?;
            tokio::time::sleep(AWAY).await;
            servers.primary.start_again().await
        }
        Server::Queue => {
            let mut nodes = world.queue.nodes().await;
            nodes.primary.process_mut().kill().await?;
            tokio::time::sleep(AWAY).await;
            nodes.primary.start_again().await
        }
        Server::LockNode => {
            let mut node = world.locks.first().context("no lock node")?.lock().await;
            node.process_mut().kill().await?;
            tokio::time::sleep(AWAY).await;
            node.start_again().await
        }
    }
}
