//! Faults of PostgreSQL and of our processes. A fault counts as reached if something went down while it was working.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use wallet_dev::stack::StopMode;

use super::{hold, one_of, points, proof};
use crate::programs::Program;
use crate::world::member::Drained;
use crate::world::{Service, World};

const PG_FAST: &str = "F33 PostgreSQL restarted fast";
const PG_IMMEDIATE: &str = "F33 PostgreSQL restarted immediately";
const PG_KILLED: &str = "F33 postmaster killed";
const PG_BACKEND: &str = "F33 backend killed";
const PG_PROMOTED: &str = "F33 replica promoted";
const PG_READ_ONLY: &str = "F35 PostgreSQL read-only";
const KILLED_API: &str = "F01-F03 kill -9 of an API";
const KILLED_WORKER: &str = "F08-F12 kill -9 of a worker";
const FROZEN: &str = "F30 worker stopped for a while with a job";
const LAPSED: &str = "F30 leases lapse while their workers work";
const DEPLOYED: &str = "F39 SIGTERM and a new process";
/// Makes all checks due, also reconciliation, in the midst of faults.
pub(crate) const CHECKERS: &str = "F41 checks due for every worker, the checking one dies";

/// All faults of servers.
pub(super) const FAULTS: &[&str] = &[
    PG_FAST,
    PG_IMMEDIATE,
    PG_KILLED,
    PG_BACKEND,
    PG_PROMOTED,
    PG_READ_ONLY,
    KILLED_API,
    KILLED_WORKER,
    FROZEN,
    LAPSED,
    DEPLOYED,
    CHECKERS,
];

/// Carries out one fault and repairs it.
pub(super) async fn carry_out(world: &World, fault: &str, random: &mut ChaCha8Rng) -> Result<u64> {
    if !matches!(fault, KILLED_API | KILLED_WORKER | DEPLOYED) {
        world.database.settled().await;
    }
    match fault {
        PG_FAST | PG_IMMEDIATE | PG_KILLED => restart_database(world, fault, random).await,
        PG_BACKEND => kill_backends(world).await,
        PG_PROMOTED => {
            let busy = sessions(world).await?;
            let port = world.database.fail_over().await?;
            world.redirect(Service::Database, port);
            world.database.follow().await?;
            Ok(u64::from(busy > 0))
        }
        PG_READ_ONLY => {
            let log = proof::Tail::of(world.database.servers().await.primary.process().log());
            let set = "ALTER SYSTEM SET default_transaction_read_only = on";
            world.database.connect().await?.execute(set, &[]).await?;
            world.database.execute("SELECT pg_reload_conf()").await?;
            hold(random, 500..1_500).await;
            let refused = log.wait(&["in a read-only transaction", " wallet-"]).await;
            let unset = "ALTER SYSTEM RESET default_transaction_read_only";
            world.database.connect().await?.execute(unset, &[]).await?;
            world.database.execute("SELECT pg_reload_conf()").await?;
            Ok(u64::from(refused > 0))
        }
        KILLED_API | KILLED_WORKER => {
            let program = if fault == KILLED_API {
                Program::Api
            } else {
                Program::Worker
            };
            let member = *one_of(random, &world.members(program))?;
            let ran = member.kill().await?;
            hold(random, 300..800).await;
            Ok(u64::from(ran))
        }
        FROZEN => {
            let Some(worker) = proof::stop_at_work(world, random).await? else {
                return Ok(0);
            };
            hold(random, 1_000..4_000).await;
            worker.signal(Signal::SIGCONT).await;
            Ok(1)
        }
        LAPSED => {
            // As with a worker that could not renew its leases: others take its jobs over while it still works, and what it writes is refused.
            let mut lapsed = 0;
            for _ in 0..4 {
                // A job with three starts would be parked although its workers live.
                let update = "UPDATE jobs SET lease_until = clock_timestamp() - interval '1 second', handed_over_at = NULL
                               WHERE lease_until > clock_timestamp() AND starts < 3";
                lapsed += world.database.connect().await?.execute(update, &[]).await?;
                hold(random, 100..400).await;
            }
            Ok(lapsed)
        }
        DEPLOYED => {
            // Many processes die young here, or at a failpoint while they finish their work: then another one is tried.
            for _ in 0..4 {
                if drained(world, random).await? {
                    return Ok(1);
                }
            }
            Ok(0)
        }
        CHECKERS => {
            let due = "UPDATE verifications SET asked_at = asked_at - interval '8 days'";
            world.database.connect().await?.execute(due, &[]).await?;
            let Some(worker) = proof::stop_at_check(world).await? else {
                return Ok(0);
            };
            Ok(u64::from(worker.kill().await?))
        }
        other => bail!("{other} is no fault of PostgreSQL or of our processes"),
    }
}

/// Ends a process by SIGTERM and replaces it; returns whether it finished its work, rather than ending at a failpoint.
async fn drained(world: &World, random: &mut ChaCha8Rng) -> Result<bool> {
    let mut members: Vec<_> = world.members.iter().collect();
    members.shuffle(random);
    for member in members {
        if !member.is_grown_up().await {
            continue;
        }
        let unclean = match member.deploy().await? {
            Drained::HadNoWork => return Ok(false),
            Drained::Orderly => None,
            // Nothing else kills it during that time, but a failpoint may, in the work that it finishes.
            Drained::Otherwise { pid, .. } if points::struck(world.folder(), pid) => return Ok(false),
            Drained::Otherwise { pid, how } => Some(format!("{} ({pid}) ended by {how}", member.name())),
        };
        world.tally.checked("F39 SIGTERM ends in good order", unclean);
        return Ok(true);
    }
    // All processes are too young.
    hold(random, 500..1_000).await;
    Ok(false)
}

/// Counts the sessions of our programs; waits a little until there are some, as after a restart.
async fn sessions(world: &World) -> Result<i64> {
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'wallet-%' AND datname = current_database()";
    let start = Instant::now();
    loop {
        let found = world.database.number(ours).await?;
        if found > 0 || start.elapsed() > Duration::from_secs(3) {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn restart_database(world: &World, fault: &str, random: &mut ChaCha8Rng) -> Result<u64> {
    let busy = sessions(world).await?;
    let mut servers = world.database.servers().await;
    match fault {
        PG_FAST => servers.primary.stop(StopMode::Fast).await?,
        PG_IMMEDIATE => servers.primary.stop(StopMode::Immediate).await?,
        _ => drop(servers.primary.process_mut().kill().await?),
    }
    hold(random, 50..1_000).await;
    servers.primary.start_again().await?;
    Ok(u64::from(busy > 0))
}

async fn kill_backends(world: &World) -> Result<u64> {
    let pids =
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'wallet-%' AND state <> 'idle' LIMIT 1";
    for _ in 0..50 {
        let found = world.database.connect().await?.query_opt(pids, &[]).await?;
        if let Some(row) = found {
            let pid: i32 = row.get(0);
            // PostgreSQL ends all sessions and recovers, as after a crash.
            return Ok(u64::from(
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).is_ok(),
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(0)
}
