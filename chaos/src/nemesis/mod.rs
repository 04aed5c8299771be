//! The nemesis, which breaks things: four lanes at once, each drawing its next fault from a bag that the seed shuffles, and failpoints throughout.

mod links;
pub(crate) mod points;
mod proof;
mod redis;
mod servers;
pub(crate) mod stripe;

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rand::Rng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wallet_dev::stack::Env;

pub(crate) use self::servers::CHECKERS;
use crate::proxy::Mode;
use crate::seed;
use crate::world::World;
use crate::world::failpoints::off;

/// The last webhooks may be lost this long before healing. A lost webhook is made good by a poll after a
/// quiet minute; one lost later would be made good only after the minute in which everything must be final.
const LAST_LOSS_BEFORE_HEALING: Duration = Duration::from_secs(20);

/// A lane carries out faults of one sort, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Links,
    /// PostgreSQL and our own processes.
    Servers,
    /// The queue and the lock nodes.
    Redis,
    Stripe,
}

impl Lane {
    const ALL: [Self; 4] = [Self::Links, Self::Servers, Self::Redis, Self::Stripe];

    fn faults(self) -> &'static [&'static str] {
        match self {
            Self::Links => links::FAULTS,
            Self::Servers => servers::FAULTS,
            Self::Redis => redis::FAULTS,
            Self::Stripe => stripe::FAULTS,
        }
    }
}

/// The faults that are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chosen {
    texts: Vec<String>,
    /// Whether these are all that is left to reach, and are to occur often.
    is_aimed: bool,
}

impl Chosen {
    /// Chooses the faults whose names contain one of these texts; all if there are no texts.
    pub(crate) fn named(texts: &[String]) -> Self {
        Self {
            texts: texts.iter().map(|text| text.to_lowercase()).collect(),
            is_aimed: false,
        }
    }

    /// Chooses these faults and no others, as often as they can occur.
    pub(crate) fn aimed_at(faults: &[&'static str]) -> Self {
        Self {
            texts: faults.iter().map(|fault| fault.to_lowercase()).collect(),
            is_aimed: true,
        }
    }

    fn has(&self, fault: &str) -> bool {
        let fault = fault.to_lowercase();
        self.texts.is_empty() || self.texts.iter().any(|text| fault.contains(text.as_str()))
    }

    /// Whether the fault was chosen by name.
    fn names(&self, fault: &str) -> bool {
        !self.texts.is_empty() && self.has(fault)
    }

    /// Whether a lane carries out this fault: a fault of links is also carried out if one of its ways was chosen by name.
    fn wants(&self, fault: &str) -> bool {
        self.has(fault)
            || (links::IN_SOME_WAY.contains(&fault) && links::MODES.iter().any(|(way, _)| self.names(way)))
    }

    /// Returns the ways in which links are broken: those that were chosen by name, or else all.
    fn ways(&self) -> Vec<(&'static str, Mode)> {
        let named: Vec<_> = (links::MODES.iter().copied())
            .filter(|(way, _)| self.names(way))
            .collect();
        if named.is_empty() {
            links::MODES.to_vec()
        } else {
            named
        }
    }

    /// Returns every wanted fault of the random part.
    pub(crate) fn faults(&self) -> Vec<&'static str> {
        let failpoints = if cfg!(feature = "campaign") {
            points::FAULTS
        } else {
            &[]
        };
        let of_points = failpoints.iter().map(|point| point.fault);
        let of_lanes = Lane::ALL
            .into_iter()
            .flat_map(|lane| lane.faults().iter().copied());
        of_points
            .chain(of_lanes)
            .chain(links::MODES.iter().map(|(name, _)| *name))
            .chain(crate::load::FAULTS.iter().copied())
            .filter(|fault| self.has(fault) || (fault.starts_with("link ") && self.any_link()))
            .collect()
    }

    fn any_link(&self) -> bool {
        links::FAULTS
            .iter()
            .any(|fault| fault.contains(" link ") && self.has(fault))
    }
}

/// Everything that breaks things, until it is stopped.
#[derive(Debug)]
pub(crate) struct Nemesis {
    stop: CancellationToken,
    lanes: Vec<JoinHandle<()>>,
    chosen: Chosen,
}

impl Nemesis {
    /// Starts breaking things.
    pub(crate) async fn start(world: &Arc<World>, chosen: &Chosen, length: Duration) -> Self {
        let late = Instant::now() + length.saturating_sub(LAST_LOSS_BEFORE_HEALING);
        points::begin(world, chosen).await;
        let stop = CancellationToken::new();
        let mut lanes: Vec<_> = Lane::ALL
            .into_iter()
            .map(|lane| tokio::spawn(run(Arc::clone(world), lane, chosen.clone(), late, stop.clone())))
            .collect();
        lanes.push(tokio::spawn(points::ration(
            Arc::clone(world),
            chosen.clone(),
            stop.clone(),
        )));
        Self {
            stop,
            lanes,
            chosen: chosen.clone(),
        }
    }

    /// Stops breaking things, repairs everything, and disables every failpoint. Either every program is restarted (`anew`),
    /// or the living ones continue with whatever the faults have left in them, and only the dead ones are started.
    pub(crate) async fn heal(self, world: &Arc<World>, anew: bool) -> anyhow::Result<()> {
        self.stop.cancel();
        for lane in self.lanes {
            let _ = lane.await;
        }
        world.fix().await?;
        world.stripe.heal().await?;
        if !anew {
            std::fs::write(off(world.folder()), "")?;
        }
        for member in &world.members {
            member.order(Env::new());
            if anew {
                member.kill().await?;
            } else {
                member.signal(Signal::SIGCONT).await;
            }
            member.start().await?;
        }
        points::count(world, &self.chosen).await
    }
}

async fn run(world: Arc<World>, lane: Lane, chosen: Chosen, late: Instant, stop: CancellationToken) {
    let mut random = seed::stream(world.seed, &format!("lane {lane:?}"));
    let asked = if lane == Lane::Stripe {
        stripe::ON_REQUEST
    } else {
        &[]
    };
    let wanted: Vec<&'static str> = (lane.faults().iter().copied().filter(|fault| chosen.wants(fault)))
        .chain(asked.iter().copied().filter(|fault| chosen.names(fault)))
        .collect();
    let ways = chosen.ways();
    let mut bag = Vec::new();
    while !stop.is_cancelled() && !wanted.is_empty() {
        if bag.is_empty() {
            bag.clone_from(&wanted);
            bag.shuffle(&mut random);
        }
        let Some(fault) = bag.pop() else { break };
        if fault == stripe::LOST && Instant::now() > late {
            if wanted.len() == 1 {
                break;
            }
            continue;
        }
        world.tally.ordered(fault);
        world.note(&format!("begins  {fault}"));
        let done = carry_out(&world, lane, fault, &ways, &mut random).await;
        world.note(&format!("is over {fault}: {done:?}"));
        match done {
            Ok(reached) => world.tally.reached(fault, reached),
            Err(error) => {
                world
                    .tally
                    .count(&format!("could not be done: {fault}: {error:#}"), 1);
            }
        }
        let pause = Duration::from_millis(random.random_range(300..1_800));
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn carry_out(
    world: &World,
    lane: Lane,
    fault: &'static str,
    ways: &[(&'static str, Mode)],
    random: &mut ChaCha8Rng,
) -> anyhow::Result<u64> {
    match lane {
        Lane::Links => links::carry_out(world, fault, ways, random).await,
        Lane::Servers => servers::carry_out(world, fault, random).await,
        Lane::Redis => redis::carry_out(world, fault, random).await,
        Lane::Stripe => stripe::carry_out(world, fault, random).await,
    }
}

/// Carries out one fault, drawn differently for each `again`, and repairs it; returns how often it was really reached.
pub(crate) async fn once(world: &World, fault: &'static str, again: u32) -> anyhow::Result<u64> {
    let lane = Lane::ALL.into_iter().find(|lane| lane.faults().contains(&fault));
    let lane = lane.ok_or_else(|| anyhow::anyhow!("there is no fault {fault}"))?;
    let mut random = seed::stream(world.seed, &format!("{fault} {again}"));
    carry_out(world, lane, fault, &links::MODES, &mut random).await
}

/// Returns every fault of the lanes.
pub(crate) fn singles() -> impl Iterator<Item = &'static str> {
    Lane::ALL
        .into_iter()
        .flat_map(|lane| lane.faults().iter().copied())
}

/// Returns the faults of each lane.
pub(crate) fn lanes() -> [&'static [&'static str]; 4] {
    Lane::ALL.map(Lane::faults)
}

/// Waits for a time drawn by chance.
async fn hold(random: &mut ChaCha8Rng, millis: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(random.random_range(millis))).await;
}

/// Draws one of several; an error if there are none.
fn one_of<'a, T>(random: &mut ChaCha8Rng, from: &'a [T]) -> anyhow::Result<&'a T> {
    let at = if from.is_empty() {
        0
    } else {
        random.random_range(0..from.len())
    };
    from.get(at)
        .ok_or_else(|| anyhow::anyhow!("nothing to choose from"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What chance has not reached is aimed at by name; otherwise a campaign on a slow machine might never succeed.
    #[test]
    fn a_way_of_breaking_links_that_is_aimed_at_is_done_to_every_link_and_no_other_way_is() {
        for (way, mode) in links::MODES {
            let aimed = Chosen::aimed_at(&[way]);
            for fault in links::IN_SOME_WAY {
                assert!(aimed.wants(fault), "{fault} in the way of {way}");
            }
            assert_eq!(aimed.ways(), [(way, mode)]);
            assert!(!aimed.wants(servers::FAULTS[0]));
        }
        let any = Chosen::default();
        assert_eq!(any.ways().len(), links::MODES.len());
        let other = Chosen::aimed_at(&[servers::FAULTS[0]]);
        assert!(!links::IN_SOME_WAY.iter().any(|fault| other.wants(fault)));
    }
}
