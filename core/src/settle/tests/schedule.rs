//! Telling a story in its order, or in any other: batched, repeated, and by workers that have lost their claim.

use super::lives::{Act, Story, When};
use super::world::World;
use crate::flows::Command;
use crate::settle::Outcome;
use crate::transactions::{Flow, Stage};

/// The act to take, and what to do with it.
pub(super) type Choice = (u16, u8);

/// When refunds are requested while a deposit is disputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refunds {
    /// They are requested only while no dispute is open, so that none is refused for it.
    Wait,
    /// They are requested at any time.
    Rush,
}

fn is_refund_hold(world: &World, act: &Act) -> bool {
    let flow = world.transactions[&act.transaction].flow;
    flow == Flow::DepositRefund && matches!(act.command, Command::Hold)
}

fn is_disputed(world: &World, act: &Act) -> bool {
    world.transactions.values().any(|other| {
        other.flow == Flow::Dispute
            && other.stage == Stage::Disputed
            && other.related_transaction_id == act.after
    })
}

fn can_be_told(world: &World, act: &Act, refunds: Refunds) -> bool {
    let exists = act
        .after
        .is_none_or(|id| world.visited.contains(&(id, Stage::Completed)));
    let is_time = match act.when {
        When::At(stage) => world.stage(act.transaction) == stage,
        When::Since(stage) => world.visited.contains(&(act.transaction, stage)),
        When::With(movements) => world.movements(act.transaction) == movements,
    };
    let waits = refunds == Refunds::Wait && is_refund_hold(world, act) && is_disputed(world, act);
    exists && is_time && !waits
}

fn tell(world: &mut World, acts: &[&Act]) -> Vec<Outcome> {
    let steps: Vec<_> = acts
        .iter()
        .map(|act| world.step(act.transaction, act.command.clone()))
        .collect();
    let outcomes = world.settle(&steps);
    for (act, outcome) in acts.iter().zip(&outcomes) {
        assert!(
            matches!(outcome, Outcome::Applied(_) | Outcome::AlreadyApplied),
            "{:?}: {outcome:?}",
            act.command
        );
    }
    outcomes
}

fn tell_again(world: &mut World, act: &Act) {
    let again = tell(world, &[act]);
    assert_eq!(again, [Outcome::AlreadyApplied], "{:?}", act.command);
}

/// Carries out the remaining acts in their order, as far as possible.
fn finish(world: &mut World, mut open: Vec<&Act>, refunds: Refunds) {
    while let Some(next) = open.iter().position(|act| can_be_told(world, act, refunds)) {
        tell(world, &[open.remove(next)]);
    }
}

/// Carries out the story in the order in which it was written.
pub(super) fn in_order(world: &mut World, story: &Story) {
    story
        .transactions
        .iter()
        .for_each(|transaction| world.add(transaction));
    finish(world, story.acts.iter().collect(), Refunds::Wait);
}

/// Carries out the story in the order of the choices.
pub(super) fn shuffled(world: &mut World, story: &Story, choices: &[Choice], refunds: Refunds) {
    story
        .transactions
        .iter()
        .for_each(|transaction| world.add(transaction));
    let (mut open, mut told): (Vec<&Act>, Vec<&Act>) = (story.acts.iter().collect(), Vec::new());
    for (pick, way) in choices {
        let pick = usize::from(*pick);
        if way % 8 == 0 && !told.is_empty() {
            tell_again(world, told[pick % told.len()]);
            continue;
        }
        let now: Vec<&Act> = open
            .iter()
            .filter(|act| can_be_told(world, act, refunds))
            .copied()
            .collect();
        let Some(first) = now.get(pick % now.len().max(1)).copied() else {
            break;
        };
        if way % 8 == 1 {
            let step = World::stale(world.step(first.transaction, first.command.clone()));
            assert_eq!(world.settle(&[step]), [Outcome::StaleFence]);
            continue;
        }
        let batch: Vec<&Act> = if way % 8 <= 3 && !is_refund_hold(world, first) {
            let others = now.iter().filter(|act| !std::ptr::eq(**act, first));
            let others = others.filter(|act| !is_refund_hold(world, act)).take(2).copied();
            std::iter::once(first).chain(others).collect()
        } else {
            vec![first]
        };
        // In a batch, the first act comes again at the end.
        let with_echo: Vec<&Act> = batch
            .iter()
            .copied()
            .chain((batch.len() > 1).then_some(first))
            .collect();
        let outcomes = tell(world, &with_echo);
        if let (true, Some(echo)) = (batch.len() > 1, outcomes.last()) {
            assert_eq!(echo, &Outcome::AlreadyApplied, "{:?}", first.command);
        }
        open.retain(|act| !batch.iter().any(|done| std::ptr::eq(*done, *act)));
        told.extend(batch);
    }
    finish(world, open, refunds);
    for act in told {
        tell_again(world, act);
    }
}
