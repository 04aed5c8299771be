//! The fee's way back: each refund of a payment takes its part of it along.

use proptest::prelude::*;

use super::lives::Teller;
use super::world::World;
use crate::flows::Command;
use crate::flows::testing::{OTHER, WALLET};
use crate::ids::TransactionId;
use crate::ledger::PlatformAccount;
use crate::money::Currency;
use crate::settle::Outcome;
use crate::transactions::{Flow, Stage};

/// A completed payment, with its fee, from the wallet to the other one, which has no other money.
struct Payment {
    world: World,
    teller: Teller,
    id: TransactionId,
}

impl Payment {
    fn new(currency: Currency, minor: i64, fee: i64) -> Self {
        let mut teller = Teller::new(currency);
        let mut world = World::new(currency, [minor, 0]);
        let id = teller.begin(Flow::Payment, minor, None);
        let fee = teller.money(fee);
        teller.last().fee = Some(fee);
        world.add(teller.last());
        assert_eq!(
            world.tell(id, Command::Execute),
            Outcome::Applied(Stage::Completed)
        );
        Self { world, teller, id }
    }

    /// Refunds this amount, and returns the part of the fee that is refunded with it.
    fn refund(&mut self, minor: i64) -> i64 {
        let id = self.teller.begin(Flow::PaymentRefund, minor, Some(self.id));
        let refund = self.teller.last();
        (refund.wallet_id, refund.counterparty_wallet_id) = (OTHER, Some(WALLET));
        let refund = refund.clone();
        self.world.add(&refund);
        let outcome = self.world.tell(id, Command::Execute);
        assert_eq!(
            outcome,
            Outcome::Applied(Stage::Completed),
            "{:?}",
            self.world.transactions[&id].failure_reason
        );
        let part = self.world.transactions[&id].fee.unwrap();
        part.minor().unwrap()
    }
}

fn platform(payment: &Payment) -> i64 {
    payment.world.sum(PlatformAccount::PlatformFees)
}

#[test]
fn a_refund_takes_its_part_of_the_fee_along() {
    let mut payment = Payment::new(Currency::USD, 10_000, 320);
    assert_eq!(payment.refund(2_500), 80);
    assert_eq!(payment.world.balance(WALLET), [2_500, 0, 0]);
    assert_eq!(payment.world.balance(OTHER), [9_680 - 2_420, 0, 0]);
    assert_eq!(payment.refund(7_500), 240);
    assert_eq!(payment.world.balance(WALLET), [10_000, 0, 0]);
    assert_eq!((payment.world.balance(OTHER), platform(&payment)), ([0; 3], 0));
}

#[test]
fn yen_are_not_divided() {
    let mut payment = Payment::new(Currency::JPY, 1000, 35);
    assert_eq!([333, 333, 334].map(|part| payment.refund(part)), [11, 12, 12]);
    assert_eq!((payment.world.balance(OTHER), platform(&payment)), ([0; 3], 0));
}

#[test]
fn many_small_refunds_give_the_whole_fee_back() {
    let mut payment = Payment::new(Currency::USD, 100, 33);
    let parts: i64 = (0..100).map(|_| payment.refund(1)).sum();
    assert_eq!(parts, 33);
    assert_eq!((payment.world.balance(OTHER), platform(&payment)), ([0; 3], 0));
}

#[test]
fn the_largest_payment_is_divided_to_the_cent() {
    let most = crate::money::MAX_MAJOR * 100;
    let mut payment = Payment::new(Currency::USD, most, most - 1);
    let part = payment.refund(most / 2);
    assert_eq!(part, most / 2 - 1, "half of the fee, rounded down");
    assert_eq!(payment.refund(most - most / 2) + part, most - 1);
}

proptest! {
    #[test]
    fn the_parts_of_the_fee_add_up_to_it_and_the_payee_never_pays_more_than_it_received(
        currency in proptest::sample::select(vec![Currency::USD, Currency::JPY]),
        minor in 1_i64..20_000, share in 0_i64..=100, cuts in proptest::collection::vec(1_i64..5_000, 0..12)
    ) {
        let fee = minor * share / 100;
        let mut payment = Payment::new(currency, minor, fee);
        let (mut left, mut parts) = (minor, 0);
        for cut in cuts.into_iter().chain([minor]) {
            let amount = cut.min(left);
            if amount == 0 {
                continue;
            }
            let part = payment.refund(amount);
            prop_assert!((0..=amount).contains(&part));
            left -= amount;
            parts += part;
            // The parts never exceed the fee's share of what was refunded, and fall short of it by at most one minor unit.
            let share = fee * (minor - left) / minor;
            prop_assert_eq!(parts, share);
        }
        prop_assert_eq!((left, parts), (0, fee));
        prop_assert_eq!(payment.world.balance(WALLET), [minor, 0, 0]);
        prop_assert_eq!(payment.world.balance(OTHER), [0, 0, 0]);
        prop_assert_eq!(platform(&payment), 0);
    }
}
