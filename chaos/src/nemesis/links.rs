//! Faults of links. A fault counts as reached when a proxy affected live connections.

use std::time::Duration;

use anyhow::{Result, bail};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{hold, one_of};
use crate::proxy::{Link, Mode};
use crate::world::{Service, World};

const COMMIT_LOST: &str = "F02 an API's COMMIT is lost";
const ANSWER_LOST: &str = "F02 the answer to an API's COMMIT is lost";
const WORKERS_COMMIT: &str = "F11 a worker's COMMIT or its answer is lost";
const TO_DATABASE: &str = "F33 link to PostgreSQL";
const TO_QUEUE: &str = "F26 link to the queue";
const TO_LOCK: &str = "F28 link to a lock node";
const TO_STRIPE: &str = "F15 link to Stripe";
const OF_WEBHOOKS: &str = "F23 link of the webhooks";

/// All faults of links.
pub(super) const FAULTS: &[&str] = &[
    COMMIT_LOST,
    ANSWER_LOST,
    WORKERS_COMMIT,
    TO_DATABASE,
    TO_QUEUE,
    TO_LOCK,
    TO_STRIPE,
    OF_WEBHOOKS,
];

/// The faults that are carried out in one of several ways.
pub(super) const IN_SOME_WAY: &[&str] = &[TO_DATABASE, TO_QUEUE, TO_LOCK, TO_STRIPE, OF_WEBHOOKS];

/// What can be done to a link, by name: each counts as a fault of its own, whatever the link.
pub(super) const MODES: [(&str, Mode); 6] = [
    ("link delayed", Mode::Delay(Duration::from_millis(120))),
    ("link black hole", Mode::BlackHole),
    ("link loses the answers", Mode::OneWay),
    ("link reset", Mode::Reset),
    ("link half closed", Mode::HalfClose),
    ("link cut after some bytes", Mode::CutAfter(200)),
];

/// Breaks some links for a while, in one of the `ways` if the fault has several.
pub(super) async fn carry_out(
    world: &World,
    fault: &str,
    ways: &[(&'static str, Mode)],
    random: &mut ChaCha8Rng,
) -> Result<u64> {
    let of = |name: &str| -> Vec<&Link> {
        let links = world.links(|service| service == Service::Database);
        links
            .into_iter()
            .filter(|link| link.name().starts_with(name))
            .collect()
    };
    match fault {
        COMMIT_LOST | ANSWER_LOST => {
            let delivered = fault == ANSWER_LOST;
            broken(&of("api"), Mode::CutAtCommit { delivered }, random, 200..700).await
        }
        WORKERS_COMMIT => {
            let delivered = random.random();
            broken(&of("worker"), Mode::CutAtCommit { delivered }, random, 200..700).await
        }
        TO_DATABASE => some(world, ways, random, |service| service == Service::Database).await,
        TO_QUEUE => some(world, ways, random, |service| service == Service::Queue).await,
        TO_LOCK => some(world, ways, random, |service| matches!(service, Service::Lock(_))).await,
        TO_STRIPE => some(world, ways, random, |service| service == Service::Stripe).await,
        OF_WEBHOOKS => some(world, ways, random, |service| service == Service::Webhooks).await,
        other => bail!("{other} is no fault of links"),
    }
}

/// Breaks some of the links to one service, in one way drawn by chance.
async fn some(
    world: &World,
    ways: &[(&'static str, Mode)],
    random: &mut ChaCha8Rng,
    to: impl Fn(Service) -> bool,
) -> Result<u64> {
    let (name, mode) = *one_of(random, ways)?;
    let mode = match mode {
        Mode::CutAfter(_) => Mode::CutAfter(random.random_range(0..2_000)),
        other => other,
    };
    let share = if random.random_bool(0.3) { 1.0 } else { 0.4 };
    let mut links = world.links(to);
    if links.len() > 1 {
        links.retain(|_| random.random_bool(share));
    }
    world.tally.ordered(name);
    let reached = broken(&links, mode, random, 400..2_000).await?;
    world.tally.reached(name, reached);
    Ok(reached)
}

async fn broken(
    links: &[&Link],
    mode: Mode,
    random: &mut ChaCha8Rng,
    millis: std::ops::Range<u64>,
) -> Result<u64> {
    let hits = || links.iter().map(|link| link.hits()).sum::<u64>();
    let before = hits();
    for link in links {
        link.set(mode);
    }
    hold(random, millis).await;
    for link in links {
        link.set(Mode::Pass);
    }
    Ok(hits().saturating_sub(before))
}
