//! The kill table: every kind of process dies at every failpoint, one by one. Our programs die by `kill -9` and by SIGTERM; a
//! server is killed while one of our programs is stopped at a failpoint, and the program continues when the server is back.
//!
//! The simulator is not killed: it keeps everything in memory, and Stripe forgets nothing. Its absence is a fault of the random part.

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

/// How long after its death what a killed process held is taken over: leases, locks and the time until a task
/// counts as lost are fixed by the clock, however fast the machine is.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(30);
/// How long that work, once taken over, then has to be done.
const DONE_AFTER_THAT: Duration = Duration::from_secs(5);
/// Or this multiple of the time that all present work takes undisturbed, if that is longer: for a machine busy with other programs.
const TIMES_UNDISTURBED: u32 = 3;
/// The limit of that time, so that a slow system gains little by it.
const LONGEST_AFTER_THAT: Duration = Duration::from_secs(15);
/// How long the load may take to reach a point.
const REACHED_WITHIN: Duration = Duration::from_secs(45);
/// How long a killed server stays down.
const AWAY: Duration = Duration::from_millis(500);
/// How long a stopped process would stay stopped if this table did not continue it earlier.
const STOPPED: Duration = Duration::from_secs(120);

/// A server that is killed.
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
    /// The program is stopped while a server is killed (`kill -9`) and restarted, then it continues.
    StoppedWhile(Server),
    /// SIGTERM: the program must end in an orderly way.
    Terminated,
}

impl End {
    /// Returns its description.
    const fn name(self) -> &'static str {
        match self {
            Self::Killed => "kill -9",
            Self::StoppedWhile(Server::Postgres) => "stopped while PostgreSQL is killed",
            Self::StoppedWhile(Server::Queue) => "stopped while the queue is killed",
            Self::StoppedWhile(Server::LockNode) => "stopped while a lock node is killed",
            Self::Terminated => "SIGTERM",
        }
    }

    /// Returns the action of the failpoint.
    const fn action(self) -> &'static str {
        match self {
            Self::Killed => "abort",
            Self::StoppedWhile(_) | Self::Terminated => "stop",
        }
    }
}

/// What happens to each kind of process, and at which points.
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

/// The description of the rows in which one of our programs ends by `kill -9`.
pub(crate) const KILLED: &str = End::Killed.name();

/// The result of one row.
#[derive(Debug, Serialize)]
pub(crate) struct Killed {
    /// The program, the point, and what happened there.
    pub(crate) name: String,
    /// Whether the point was reached.
    pub(crate) reached: bool,
    /// Whether the process ended in an orderly way, for rows that require it.
    pub(crate) orderly: Option<bool>,
    /// How long it took until all earlier work was done.
    pub(crate) done_ms: Option<u128>,
    /// How long that may take, based on how long it took just before, when nothing was killed.
    pub(crate) allowed_ms: u128,
    /// The number of violations during the row.
    pub(crate) violations: u64,
}

impl Killed {
    /// Whether the row holds.
    pub(crate) fn holds(&self) -> bool {
        self.reached
            && self.orderly != Some(false)
            && self.violations == 0
            && self.done_ms.is_some_and(|ms| ms <= self.allowed_ms)
    }

    /// Describes the result.
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

/// Returns the names of all rows.
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
    // Only work that existed when it ended is measured: it never held any later work.
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
                // The process receives the signal when it continues.
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

/// Returns how long a row may take, based on how long all present work takes undisturbed at this moment.
async fn allowed(session: &Session) -> Duration {
    let undisturbed = session
        .all_drained(&Session::now(), LONGEST_AFTER_THAT)
        .await
        .unwrap_or(LONGEST_AFTER_THAT);
    let after = (undisturbed * TIMES_UNDISTURBED).clamp(DONE_AFTER_THAT, LONGEST_AFTER_THAT);
    pace::scaled(TAKEN_OVER_WITHIN + after)
}

/// Restarts the program with an order for this point, and waits until the failpoint acts; returns whether it did.
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
            // Closes Stripe's connections, so that the next ones lead to the other API too.
            for link in world.links(|service| service == Service::Webhooks) {
                link.set(Mode::Reset);
                tokio::time::sleep(Duration::from_millis(5)).await;
                link.set(Mode::Pass);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Its next start is an ordinary one.
    member.order(Env::new());
    let reached = hits()? > before;
    if reached && end != End::Killed {
        // It writes its line before it stops.
        let start = Instant::now();
        while !member.is_stopped().await && start.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        return Ok(member.is_stopped().await);
    }
    Ok(reached)
}

/// Kills a server and restarts it.
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
