//! Faults of the queue and of the lock nodes. Reached is what really went down while it was working.

use std::time::Duration;

use anyhow::{Result, bail};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{hold, one_of};
use crate::world::{Service, World};

const EMPTIED: &str = "F25 queue emptied (FLUSHALL)";
const RESTARTED_EMPTY: &str = "F25 queue restarted empty";
const STALLED: &str = "F26 queue stalled";
const FAILED_OVER: &str = "F27 queue fails over to a replica that lags";
const LOCK_HUNG: &str = "F28 lock node hung";
const LOCK_EMPTIED: &str = "F28 lock node restarted empty";
const QUORUM_LOST: &str = "F29 lock quorum lost";
const TWICE: &str = "F31 every job handed over again";

/// All of them.
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

/// Breaks one and mends it.
pub(super) async fn carry_out(world: &World, fault: &str, random: &mut ChaCha8Rng) -> Result<u64> {
    match fault {
        EMPTIED => {
            let waiting = world.queue.keys().await?;
            let _: () = ::redis::cmd("FLUSHALL")
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
        other => bail!("{other} is no fault of the queue or the lock nodes"),
    }
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
