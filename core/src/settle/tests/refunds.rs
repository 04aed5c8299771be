//! Refunds: together never more than what they give back, and none while the payer's bank decides.

use proptest::prelude::*;

use super::lives::Teller;
use super::world::World;
use crate::alarms::AlarmKind;
use crate::flows::testing::{WALLET, usd};
use crate::flows::{Command, DisputeCommand, DisputeEnd, RefundCommand};
use crate::ids::TransactionId;
use crate::money::Currency;
use crate::settle::Outcome;
use crate::transactions::{Canceller, Flow, Stage};

/// A completed transaction of this flow and amount, in a wallet that has plenty of money.
fn completed(flow: Flow, minor: i64) -> (World, Teller, TransactionId) {
    let mut teller = Teller::new(Currency::USD);
    let mut world = World::new(Currency::USD, [1_000_000, 1_000_000]);
    let original = teller.begin(flow, minor, None);
    world.add(&crate::flows::testing::at(
        Stage::Completed,
        teller.last().clone(),
    ));
    (world, teller, original)
}

fn another(
    world: &mut World,
    teller: &mut Teller,
    flow: Flow,
    minor: i64,
    of: TransactionId,
) -> TransactionId {
    let id = teller.begin(flow, minor, Some(of));
    world.add(teller.last());
    id
}

fn granted(outcomes: &[Outcome], stage: Stage) -> usize {
    let granted = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Applied(stage));
    let refused = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Applied(Stage::Failed));
    assert_eq!(granted.clone().count() + refused.count(), outcomes.len());
    granted.count()
}

#[test]
fn of_a_hundred_refunds_of_sixty_of_a_hundred_one_is_granted() {
    for (flow, refund, command, stage) in [
        (Flow::Deposit, Flow::DepositRefund, Command::Hold, Stage::Held),
        (
            Flow::Payment,
            Flow::PaymentRefund,
            Command::Execute,
            Stage::Completed,
        ),
    ] {
        for batch in [1, 7, 100] {
            let (mut world, mut teller, original) = completed(flow, 10_000);
            let ids: Vec<_> = (0..100)
                .map(|_| another(&mut world, &mut teller, refund, 6_000, original))
                .collect();
            let steps: Vec<_> = ids.iter().map(|id| world.step(*id, command.clone())).collect();
            let outcomes: Vec<Outcome> = steps
                .chunks(batch)
                .flat_map(|steps| world.settle(steps))
                .collect();
            assert_eq!(granted(&outcomes, stage), 1, "{refund:?} in batches of {batch}");
            let reasons = world
                .transactions
                .values()
                .filter_map(|t| t.failure_reason.as_deref());
            assert!(
                reasons
                    .into_iter()
                    .all(|why| why.starts_with("REFUND_EXCEEDS_ORIGINAL"))
            );
        }
    }
}

#[test]
fn a_refund_that_failed_leaves_its_part_to_others() {
    let (mut world, mut teller, deposit) = completed(Flow::Deposit, 10_000);
    let first = another(&mut world, &mut teller, Flow::DepositRefund, 6_000, deposit);
    world.tell(first, Command::Hold);
    world.tell(first, Command::Cancel(Canceller::Owner));
    let second = another(&mut world, &mut teller, Flow::DepositRefund, 10_000, deposit);
    assert_eq!(world.tell(second, Command::Hold), Outcome::Applied(Stage::Held));
}

#[test]
fn a_refund_that_came_back_after_it_had_succeeded_leaves_its_part_to_others() {
    let (mut world, mut teller, deposit) = completed(Flow::Deposit, 10_000);
    let first = another(&mut world, &mut teller, Flow::DepositRefund, 6_000, deposit);
    world.tell(first, Command::Hold);
    let refund = "re_1".parse().unwrap();
    world.tell(first, RefundCommand::Settle(refund));
    let back = another(&mut world, &mut teller, Flow::RefundReturn, 6_000, first);
    world.tell(back, Command::Execute);
    let all = another(&mut world, &mut teller, Flow::DepositRefund, 10_000, deposit);
    assert_eq!(world.tell(all, Command::Hold), Outcome::Applied(Stage::Held));
    let more = another(&mut world, &mut teller, Flow::DepositRefund, 1, deposit);
    assert_eq!(world.tell(more, Command::Hold), Outcome::Applied(Stage::Failed));
}

#[test]
fn no_refund_is_granted_while_the_bank_decides() {
    let (mut world, mut teller, deposit) = completed(Flow::Deposit, 10_000);
    let dispute = another(&mut world, &mut teller, Flow::Dispute, 4_000, deposit);
    world.tell(dispute, DisputeCommand::Open(None));
    let refund = another(&mut world, &mut teller, Flow::DepositRefund, 1_000, deposit);
    assert_eq!(world.tell(refund, Command::Hold), Outcome::Applied(Stage::Failed));
    let why = world.transactions[&refund].failure_reason.clone().unwrap();
    assert!(why.starts_with("DISPUTED: "), "{why}");
    let (said, taken) = (DisputeEnd::Won, usd(0));
    world.tell(dispute, DisputeCommand::End(said, taken));
    let refund = another(&mut world, &mut teller, Flow::DepositRefund, 10_000, deposit);
    assert_eq!(world.tell(refund, Command::Hold), Outcome::Applied(Stage::Held));
    assert_eq!(world.balance(WALLET), [990_000, 10_000, 0]);
}

#[test]
fn a_dispute_of_more_than_is_left_raises_an_alarm_and_takes_what_the_bank_takes() {
    type Minor = fn(i64) -> DisputeCommand;
    let open = |minor| DisputeCommand::Open(Some(usd(minor)));
    let (open, lost): (Minor, Minor) = (open, lost);
    for (command, stage) in [(open, Stage::Disputed), (lost, Stage::Completed)] {
        let (mut world, mut teller, deposit) = completed(Flow::Deposit, 10_000);
        let refund = another(&mut world, &mut teller, Flow::DepositRefund, 6_000, deposit);
        world.tell(refund, Command::Hold);
        let fits = another(&mut world, &mut teller, Flow::Dispute, 3_000, deposit);
        assert_eq!(world.tell(fits, command(3_000)), Outcome::Applied(stage));
        assert_eq!(world.alarms, []);
        let more = another(&mut world, &mut teller, Flow::Dispute, 1_100, deposit);
        assert_eq!(world.tell(more, command(1_100)), Outcome::Applied(stage));
        assert_eq!(world.alarms, [AlarmKind::DisputeExceedsPayment]);
    }
}

fn lost(minor: i64) -> DisputeCommand {
    let (said, taken) = (DisputeEnd::Lost, usd(minor));
    DisputeCommand::End(said, taken)
}

#[test]
fn what_is_refunded_during_an_inquiry_is_granted_and_not_claimed_again_when_it_becomes_a_dispute() {
    for (refunded, claimed) in [(10_000, 0), (6_000, 4_000), (1, 9_999)] {
        let (mut world, mut teller, deposit) = completed(Flow::Deposit, 10_000);
        // An inquiry stays accepted: nothing has moved.
        let inquiry = another(&mut world, &mut teller, Flow::Dispute, 10_000, deposit);
        let refund = another(&mut world, &mut teller, Flow::DepositRefund, refunded, deposit);
        assert_eq!(world.tell(refund, Command::Hold), Outcome::Applied(Stage::Held));
        let refund_of = "re_1".parse().unwrap();
        world.tell(refund, RefundCommand::Settle(refund_of));
        world.tell(inquiry, DisputeCommand::Open(None));
        assert_eq!(
            world.balance(WALLET),
            [1_000_000 - refunded - claimed, claimed, 0]
        );
        assert_eq!(world.alarms, []);
    }
}

proptest! {
    #[test]
    fn refunds_and_lost_disputes_never_give_back_more_than_there_was(
        asked in proptest::collection::vec((1_i64..6_000, 0_u8..4), 1..20)
    ) {
        let (mut world, mut teller, deposit) = completed(Flow::Deposit, 10_000);
        let mut given = 0;
        for (minor, kind) in asked {
            let (flow, command) = match kind {
                // The bank takes back at most what is left.
                0 if minor <= 10_000 - given => (Flow::Dispute, lost(minor).into()),
                0 => continue,
                _ => (Flow::DepositRefund, Command::Hold),
            };
            let id = another(&mut world, &mut teller, flow, minor, deposit);
            let outcome = world.tell(id, command);
            let fits = given + minor <= 10_000;
            prop_assert_eq!(outcome == Outcome::Applied(Stage::Failed), !fits);
            given += if fits { minor } else { 0 };
        }
        let [available, held, owed] = world.balance(WALLET);
        prop_assert!(given <= 10_000 && owed == 0);
        prop_assert!(available + held >= 990_000);
    }
}
