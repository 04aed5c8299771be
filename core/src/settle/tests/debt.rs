//! What a balance cannot cover: held in part, owed for the rest, collected from later credits, forgiven and returned.

use super::lives::Teller;
use super::world::World;
use crate::flows::testing::{WALLET, usd};
use crate::flows::{Command, DepositCommand, DisputeCommand, DisputeEnd};
use crate::ids::TransactionId;
use crate::ledger::PlatformAccount;
use crate::money::Currency;
use crate::settle::Outcome;
use crate::transactions::{Canceller, Flow, Stage};

/// The bank has opened a dispute, and no money has moved yet.
const OPEN: DisputeCommand = DisputeCommand::Open(None);

/// A wallet with 30.00 to spend, and disputes of these amounts in cents.
fn disputes<const N: usize>(amounts: [i64; N]) -> (World, [TransactionId; N]) {
    let mut teller = Teller::new(Currency::USD);
    let mut world = World::new(Currency::USD, [3_000, 0]);
    let ids = amounts.map(|minor| {
        let id = teller.begin(Flow::Dispute, minor, None);
        world.add(teller.last());
        assert_eq!(world.tell(id, OPEN), Outcome::Applied(Stage::Disputed));
        id
    });
    (world, ids)
}

fn credit(world: &mut World, n: u128, minor: i64) {
    let deposit = crate::flows::testing::transaction(n, Flow::Deposit, usd(minor));
    world.add(&deposit);
    let paid = DepositCommand::SettlePayment(format!("pi_{n}").parse().unwrap(), usd(minor));
    assert_eq!(world.tell(deposit.id, paid), Outcome::Applied(Stage::Completed));
}

fn win(world: &mut World, id: TransactionId) {
    let (said, taken) = (DisputeEnd::Won, usd(0));
    let outcome = world.tell(id, DisputeCommand::End(said, taken));
    assert_eq!(outcome, Outcome::Applied(Stage::Cancelled));
}

fn lose(world: &mut World, id: TransactionId, minor: i64) {
    let (said, taken) = (DisputeEnd::Lost, usd(minor));
    let outcome = world.tell(id, DisputeCommand::End(said, taken));
    assert_eq!(outcome, Outcome::Applied(Stage::Completed));
}

fn receivable(world: &World) -> i64 {
    world.sum(PlatformAccount::PlatformReceivable)
}

#[test]
fn what_the_wallet_has_is_frozen_and_the_rest_owed() {
    let (world, _) = disputes([10_000]);
    assert_eq!(world.balance(WALLET), [0, 3_000, 7_000]);
}

#[test]
fn later_credits_pay_the_debt_before_anything_can_be_spent() {
    let (mut world, _) = disputes([10_000]);
    credit(&mut world, 1, 5_000);
    assert_eq!(world.balance(WALLET), [0, 3_000, 2_000]);
    credit(&mut world, 2, 5_000);
    assert_eq!(world.balance(WALLET), [3_000, 3_000, 0]);
    assert_eq!(receivable(&world), 7_000);
}

#[test]
fn a_dispute_won_gives_back_what_was_held_and_caught_and_forgives_the_rest() {
    let (mut world, [dispute]) = disputes([10_000]);
    credit(&mut world, 1, 5_000);
    win(&mut world, dispute);
    assert_eq!(world.balance(WALLET), [8_000, 0, 0]);
    assert_eq!(receivable(&world), 0);
}

#[test]
fn a_dispute_lost_takes_what_was_held_and_leaves_the_debt() {
    let (mut world, [dispute]) = disputes([10_000]);
    lose(&mut world, dispute, 10_000);
    assert_eq!(world.balance(WALLET), [0, 0, 7_000]);
    credit(&mut world, 1, 10_000);
    assert_eq!(world.balance(WALLET), [3_000, 0, 0]);
    assert_eq!(receivable(&world), 10_000);
}

#[test]
fn several_debts_are_paid_as_one_and_forgiven_each_for_itself() {
    let (mut world, [first, second]) = disputes([10_000, 4_000]);
    assert_eq!(world.balance(WALLET), [0, 3_000, 11_000]);
    credit(&mut world, 1, 9_000);
    assert_eq!(world.balance(WALLET), [0, 3_000, 2_000]);
    // 40.00 were owed for it, of which 20.00 are still owed: the rest was paid.
    win(&mut world, second);
    assert_eq!(world.balance(WALLET), [2_000, 3_000, 0]);
    win(&mut world, first);
    assert_eq!(world.balance(WALLET), [12_000, 0, 0]);
    assert_eq!(receivable(&world), 0);
}

#[test]
fn what_one_dispute_gives_back_pays_what_another_still_asks() {
    let (mut world, [first, second]) = disputes([5_000, 10_000]);
    assert_eq!(world.balance(WALLET), [0, 3_000, 12_000]);
    // 20.00 of the debt were for it; its 30.00 come back and pay for the other dispute.
    win(&mut world, first);
    assert_eq!(world.balance(WALLET), [0, 0, 7_000]);
    lose(&mut world, second, 10_000);
    assert_eq!(world.balance(WALLET), [0, 0, 7_000]);
    credit(&mut world, 1, 7_000);
    assert_eq!(world.balance(WALLET), [0, 0, 0]);
    assert_eq!(receivable(&world), 10_000);
}

#[test]
fn a_hold_released_after_a_dispute_pays_the_debt() {
    let mut teller = Teller::new(Currency::USD);
    let mut world = World::new(Currency::USD, [10_000, 0]);
    let withdrawal = teller.begin(Flow::Withdrawal, 8_000, None);
    world.add(teller.last());
    let dispute = teller.begin(Flow::Dispute, 10_000, None);
    world.add(teller.last());
    world.tell(withdrawal, Command::Hold);
    world.tell(dispute, OPEN);
    assert_eq!(world.balance(WALLET), [0, 10_000, 8_000]);
    world.tell(withdrawal, Command::Cancel(Canceller::Owner));
    assert_eq!(world.balance(WALLET), [0, 2_000, 0]);
    win(&mut world, dispute);
    assert_eq!(world.balance(WALLET), [10_000, 0, 0]);
}
