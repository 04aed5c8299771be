//! Faults of the queue and of the lock nodes. A fault counts as reached if it affected something: tasks that
//! were lost, locks that were held, requests that waited.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{hold, one_of, proof};
use crate::world::queue::{connect, hold_writers, release_writers};
use crate::world::{Service, World};

/// How long a fault waits for something that it can affect.
const PATIENCE: Duration = Duration::from_secs(3);

const EMPTIED: &str = "F25 queue emptied (FLUSHALL)";
const RESTARTED_EMPTY: &str = "F25 queue restarted empty";
const STALLED: &str = "F26 queue stalled";
const FAILED_OVER: &str = "F27 queue fails over to a replica that lags";
const LOCK_HUNG: &str = "F28 lock node hung";
const LOCK_EMPTIED: &str = "F28 lock node restarted empty";
const QUORUM_LOST: &str = "F29 lock quorum lost";
const TWICE: &str = "F31 every job dispatched again";

/// All faults of the queue and the lock nodes.
pub(super) const FAULTS: &[&str] = &[
    EMPTIED,
    RESTARTED_EMPTY,
    STALLED,
    FAILED_OVER,
    LOCK_HUNG,
    LOCK_EMPTIED,
    QUORUM_LOST,
    TWICE,
];

/// Carries out one fault and repairs it.
pub(super) async fn carry_out(world: &World, fault: &str, random: &mut ChaCha8Rng) -> Result<u64> {
    match fault {
        EMPTIED => Ok(u64::from(world.queue.flush().await? > 0)),
        RESTARTED_EMPTY => {
            let pause = Duration::from_millis(random.random_range(100..1_000));
            Ok(u64::from(world.queue.restart_empty(pause).await? > 0))
        }
        STALLED => {
            let server = [(Service::Queue, world.queue.port())];
            let nodes = world.queue.nodes().await;
            let waited = if random.random() {
                // The server is busy with one command, as a slow script would keep it.
                let mut busy = world.queue.connect().await?;
                let sleep = async move {
                    let mut sleep = ::redis::cmd("DEBUG");
                    sleep.arg("SLEEP").arg("2.5").query_async::<()>(&mut busy).await
                };
                // The stall ends with the sleep, whether or not its answer is read.
                let watch = proof::stalled(world, &server, Duration::from_millis(1_500));
                let (_, waited) = tokio::join!(sleep, watch);
                waited
            } else {
                nodes.primary.process().freeze();
                let waited = proof::stalled(world, &server, Duration::from_millis(2_000)).await;
                nodes.primary.process().thaw();
                waited
            };
            Ok(u64::from(!waited.contains(&0)))
        }
        FAILED_OVER => {
            let lag = Duration::from_millis(random.random_range(100..800));
            let (port, differ) = world.queue.fail_over(lag).await?;
            world.redirect(Service::Queue, port);
            Ok(u64::from(differ > 0))
        }
        LOCK_HUNG | LOCK_EMPTIED => lock_node(world, fault, random).await,
        QUORUM_LOST => quorum(world, random).await,
        TWICE => {
            world.database.settled().await;
            let mut again = 0;
            for _ in 0..10 {
                let update = "UPDATE jobs SET handed_over_at = NULL WHERE handed_over_at IS NOT NULL AND parked_at IS NULL";
                again += world.database.connect().await?.execute(update, &[]).await?;
                hold(random, 20..80).await;
            }
            Ok(u64::from(again > 0))
        }
        other => bail!("{other} is no fault of the queue or the lock nodes"),
    }
}

/// Hangs one lock node, or restarts it empty.
async fn lock_node(world: &World, fault: &str, random: &mut ChaCha8Rng) -> Result<u64> {
    let nodes: Vec<_> = (1..).zip(&world.locks).collect();
    let (number, lock) = one_of(random, &nodes)?;
    let mut lock = lock.lock().await;
    let port = lock.port();
    if fault == LOCK_HUNG {
        let time = Duration::from_millis(random.random_range(800..2_500));
        lock.process().freeze();
        let waited = proof::stalled(world, &[(Service::Lock(*number), port)], time).await;
        lock.process().thaw();
        return Ok(u64::from(!waited.contains(&0)));
    }
    let start = Instant::now();
    let held = loop {
        hold_writers(port).await?;
        let held: u64 = ::redis::cmd("DBSIZE")
            .query_async(&mut connect(port).await?)
            .await?;
        if held > 0 || start.elapsed() > PATIENCE {
            break held;
        }
        release_writers(port).await?;
        tokio::time::sleep(Duration::from_millis(15)).await;
    };
    lock.process_mut().kill().await?;
    hold(random, 300..1_500).await;
    lock.start_again().await?;
    Ok(u64::from(held > 0))
}

/// Takes down all lock nodes but one; reached if each of those received a request.
async fn quorum(world: &World, random: &mut ChaCha8Rng) -> Result<u64> {
    let spared = random.random_range(0..world.locks.len());
    let time = Duration::from_millis(random.random_range(800..2_500));
    let mut lost = Vec::new();
    for (at, (number, lock)) in (1..).zip(&world.locks).enumerate() {
        if at != spared {
            lost.push((Service::Lock(number), lock.lock().await));
        }
    }
    if random.random() {
        let servers: Vec<_> = lost.iter().map(|(to, lock)| (*to, lock.port())).collect();
        for (_, lock) in &lost {
            lock.process().freeze();
        }
        let waited = proof::stalled(world, &servers, time).await;
        for (_, lock) in &lost {
            lock.process().thaw();
        }
        return Ok(u64::from(!waited.contains(&0)));
    }
    let refused = |to: Service| -> u64 {
        let links = world.links(|service| service == to);
        links.iter().map(|link| link.refused()).sum()
    };
    let before: Vec<u64> = lost.iter().map(|(to, _)| refused(*to)).collect();
    for (_, lock) in &mut lost {
        lock.process_mut().kill().await?;
    }
    let all_asked = || {
        let mut both = lost.iter().zip(&before);
        both.all(|((to, _), before)| refused(*to) > *before)
    };
    let start = Instant::now();
    while start.elapsed() < time || (!all_asked() && start.elapsed() < time + PATIENCE) {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let reached = all_asked();
    for (_, lock) in &mut lost {
        lock.start_again().await?;
    }
    Ok(u64::from(reached))
}
