//! Faults of servers and of our processes. Reached is what really went down while it was working.

use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use wallet_dev::stack::StopMode;

use super::{hold, one_of};
use crate::programs::Program;
use crate::world::{Service, World};

const PG_FAST: &str = "F33 PostgreSQL restarted fast";
const PG_IMMEDIATE: &str = "F33 PostgreSQL restarted immediately";
const PG_KILLED: &str = "F33 postmaster killed";
const PG_BACKEND: &str = "F33 backend killed";
const PG_PROMOTED: &str = "F33 replica promoted";
const PG_READ_ONLY: &str = "F35 PostgreSQL read-only";
const EMPTIED: &str = "F25 queue emptied (FLUSHALL)";
const RESTARTED_EMPTY: &str = "F25 queue restarted empty";
const STALLED: &str = "F26 queue stalled";
const FAILED_OVER: &str = "F27 queue fails over to a replica that lags";
const LOCK_HUNG: &str = "F28 lock node hung";
const LOCK_EMPTIED: &str = "F28 lock node restarted empty";
const QUORUM_LOST: &str = "F29 lock quorum lost";
const TWICE: &str = "F31 every job handed over again";
const KILLED_API: &str = "F01-F03 kill -9 of an API";
const KILLED_WORKER: &str = "F08-F12 kill -9 of a worker";
const FROZEN: &str = "F30 worker stopped for a while";
const DEPLOYED: &str = "F39 SIGTERM and a new process";
const CHECKERS: &str = "F41 checks due for every worker, one dies";

/// All of them.
pub(super) const FAULTS: &[&str] = &[
    PG_FAST,
    PG_IMMEDIATE,
    PG_KILLED,
    PG_BACKEND,
    PG_PROMOTED,
    PG_READ_ONLY,
    EMPTIED,
    RESTARTED_EMPTY,
    STALLED,
    FAILED_OVER,
    LOCK_HUNG,
    LOCK_EMPTIED,
    QUORUM_LOST,
    TWICE,
    KILLED_API,
    KILLED_WORKER,
    FROZEN,
    DEPLOYED,
    CHECKERS,
];

/// Breaks one and mends it.
pub(super) async fn carry_out(world: &World, fault: &str, random: &mut ChaCha8Rng) -> Result<u64> {
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
            let set = "ALTER SYSTEM SET default_transaction_read_only = on";
            world.database.connect().await?.execute(set, &[]).await?;
            world.database.execute("SELECT pg_reload_conf()").await?;
            hold(random, 500..1_500).await;
            let unset = "ALTER SYSTEM RESET default_transaction_read_only";
            world.database.connect().await?.execute(unset, &[]).await?;
            world.database.execute("SELECT pg_reload_conf()").await?;
            Ok(1)
        }
        EMPTIED => {
            let waiting = world.queue.keys().await?;
            let _: () = redis::cmd("FLUSHALL")
                .query_async(&mut world.queue.connect().await?)
                .await?;
            Ok(u64::from(waiting > 0))
        }
        RESTARTED_EMPTY => {
            let waiting = world.queue.keys().await?;
            let mut nodes = world.queue.nodes().await;
            nodes.primary.process_mut().kill().await?;
            hold(random, 100..1_000).await;
            nodes.primary.start_again().await?;
            Ok(u64::from(waiting > 0))
        }
        STALLED => {
            if random.random() {
                let nodes = world.queue.nodes().await;
                nodes.primary.pause(Duration::from_millis(1_500)).await?;
                drop(nodes);
                hold(random, 1_500..1_600).await;
            } else {
                let nodes = world.queue.nodes().await;
                nodes.primary.process().freeze();
                hold(random, 1_900..2_100).await;
                nodes.primary.process().thaw();
            }
            Ok(1)
        }
        FAILED_OVER => {
            let waiting = world.queue.keys().await?;
            let lag = Duration::from_millis(random.random_range(100..800));
            let port = world.queue.fail_over(lag).await?;
            world.redirect(Service::Queue, port);
            Ok(u64::from(waiting > 0))
        }
        LOCK_HUNG | LOCK_EMPTIED => lock_node(world, fault, random).await,
        QUORUM_LOST => {
            let spared = random.random_range(0..world.locks.len());
            let stop = random.random();
            let lost = world.locks.iter().enumerate().filter(|(at, _)| *at != spared);
            for (_, lock) in lost.clone() {
                let mut lock = lock.lock().await;
                if stop {
                    lock.process().freeze();
                } else {
                    lock.process_mut().kill().await?;
                }
            }
            hold(random, 800..2_500).await;
            for (_, lock) in lost {
                let mut lock = lock.lock().await;
                if stop {
                    lock.process().thaw();
                } else {
                    lock.start_again().await?;
                }
            }
            Ok(1)
        }
        TWICE => {
            let mut again = 0;
            for _ in 0..10 {
                let update = "UPDATE jobs SET handed_over_at = NULL WHERE handed_over_at IS NOT NULL AND parked_at IS NULL";
                again += world.database.connect().await?.execute(update, &[]).await?;
                hold(random, 20..80).await;
            }
            Ok(u64::from(again > 0))
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
            let member = *one_of(random, &world.members(Program::Worker))?;
            member.signal(Signal::SIGSTOP).await;
            hold(random, 1_000..4_000).await;
            member.signal(Signal::SIGCONT).await;
            Ok(u64::from(member.pid().await.is_some()))
        }
        DEPLOYED => {
            let member = *one_of(random, &world.members.iter().collect::<Vec<_>>())?;
            Ok(u64::from(member.replace().await?))
        }
        CHECKERS => {
            let due = "UPDATE verifications SET asked_at = asked_at - interval '8 days'";
            let rows = world.database.connect().await?.execute(due, &[]).await?;
            hold(random, 200..1_300).await;
            let member = *one_of(random, &world.members(Program::Worker))?;
            let ran = member.kill().await?;
            Ok(u64::from(ran && rows > 0))
        }
        other => bail!("{other} is no fault of servers"),
    }
}

/// Sessions of our programs.
async fn sessions(world: &World) -> Result<i64> {
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'wallet-%' AND datname = current_database()";
    world.database.number(ours).await
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
            // The whole server ends all sessions and recovers, as after a crash.
            return Ok(u64::from(
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).is_ok(),
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(0)
}

async fn lock_node(world: &World, fault: &str, random: &mut ChaCha8Rng) -> Result<u64> {
    let mut lock = one_of(random, &world.locks)?.lock().await;
    if fault == LOCK_HUNG {
        lock.process().freeze();
        hold(random, 800..2_500).await;
        lock.process().thaw();
    } else {
        lock.process_mut().kill().await?;
        hold(random, 300..1_500).await;
        lock.start_again().await?;
    }
    Ok(1)
}
