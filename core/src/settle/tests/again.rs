//! What is told again, or told of something that cannot be.

use super::lives::Teller;
use super::world::World;
use crate::alarms::AlarmKind;
use crate::flows::testing::{WALLET, reason};
use crate::flows::{Command, DepositCommand, RefundCommand, SuspenseReturnCommand, WithdrawalCommand};
use crate::ids::TransactionId;
use crate::ids::stripe::PayoutId;
use crate::jobs::JobKind;
use crate::ledger::PlatformAccount;
use crate::money::{Currency, Money};
use crate::settle::Outcome;
use crate::transactions::{Canceller, ExternalRef, FailureCode, Flow, Stage, TimelineKind};

fn begun(flow: Flow) -> (World, TransactionId) {
    let mut teller = Teller::new(Currency::USD);
    let mut world = World::new(Currency::USD, [50_000, 0]);
    let id = teller.begin(flow, 10_000, None);
    world.add(teller.last());
    (world, id)
}

fn paid(minor: i64) -> DepositCommand {
    DepositCommand::SettlePayment(
        "pi_1".parse().unwrap(),
        Money::from_minor(minor, Currency::USD).unwrap(),
    )
}

fn sent(transfer: &str) -> Command {
    let transfer = transfer.parse().unwrap();
    WithdrawalCommand::RecordTransfer(transfer).into()
}

fn started(payout: &str) -> Command {
    let payout = payout.parse().unwrap();
    WithdrawalCommand::RecordPayout(payout).into()
}

fn is_contradiction(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Contradiction(_))
}

/// Stripe reports a payout by several events, and when the payout is read for each of them, it may be on its way already.
#[test]
fn a_line_about_an_object_is_written_once_whatever_brings_it() {
    let (mut world, id) = begun(Flow::Withdrawal);
    let line = |payout: &str| Command::Note {
        kind: TimelineKind::StripeEvent,
        message: "the payout is on its way to your bank".to_owned(),
        detail: None,
        at: Stage::Accepted,
        once: Some(ExternalRef::PayoutSent(payout.parse().unwrap())),
    };
    assert_eq!(world.tell(id, line("po_1")), Outcome::Applied(Stage::Accepted));
    assert_eq!(world.tell(id, line("po_1")), Outcome::AlreadyApplied);
    assert_eq!(world.tell(id, line("po_2")), Outcome::Applied(Stage::Accepted));
}

#[test]
fn a_payment_told_again_after_it_was_returned_is_not_booked_again() {
    let (mut world, id) = begun(Flow::Deposit);
    world.tell(id, paid(9_000));
    let amount = Money::from_minor(9_000, Currency::USD).unwrap();
    let refund = "re_1".parse().unwrap();
    assert_eq!(
        world.tell(id, SuspenseReturnCommand::Succeed(refund, amount)),
        Outcome::Applied(Stage::Failed)
    );
    assert_eq!(world.tell(id, paid(9_000)), Outcome::AlreadyApplied);
    assert_eq!(world.sum(PlatformAccount::PlatformSuspense), 0);
}

/// Stripe's reports of a refund, in any order and any number: an older state that comes late changes nothing.
#[test]
fn money_that_was_refunded_lies_in_suspense_again_after_the_refund_failed_in_whatever_order_it_is_told() {
    let amount = Money::from_minor(9_000, Currency::USD).unwrap();
    let refund = || "re_1".parse().unwrap();
    let begin = || SuspenseReturnCommand::Begin(refund(), amount, String::new());
    let succeed = || SuspenseReturnCommand::Succeed(refund(), amount);
    let fail = || SuspenseReturnCommand::Fail(refund(), amount, String::new());
    let told: [Vec<SuspenseReturnCommand>; 6] = [
        vec![begin(), succeed(), fail()],
        vec![begin(), fail(), succeed()],
        vec![succeed(), begin(), fail()],
        vec![succeed(), fail(), begin()],
        vec![fail(), begin(), succeed()],
        vec![fail(), succeed(), begin()],
    ];
    for order in told {
        let (mut world, id) = begun(Flow::Deposit);
        world.tell(id, paid(9_000));
        for command in &order {
            for _ in 0..2 {
                let outcome = world.tell(id, command.clone());
                assert!(!is_contradiction(&outcome), "{order:?}: {outcome:?}");
            }
        }
        assert_eq!(world.sum(PlatformAccount::PlatformSuspense), 9_000, "{order:?}");
        let told = world
            .alarms
            .iter()
            .filter(|kind| **kind == AlarmKind::ReturnFailed);
        assert_eq!(told.count(), 1, "{order:?}");
    }
}

#[test]
fn while_a_refund_of_it_is_pending_nothing_in_suspense_can_be_credited() {
    let (mut world, id) = begun(Flow::Deposit);
    world.tell(id, paid(9_000));
    let amount = Money::from_minor(9_000, Currency::USD).unwrap();
    let (refund, message) = ("re_1".parse().unwrap(), String::new());
    let begin = SuspenseReturnCommand::Begin(refund, amount, message);
    assert_eq!(world.tell(id, begin), Outcome::Applied(Stage::InReview));
    assert!(is_contradiction(
        &world.tell(id, DepositCommand::CreditReview(amount))
    ));
    assert_eq!(world.balance(WALLET), [50_000, 0, 0]);
}

#[test]
fn what_stripe_keeps_is_asked_for_wherever_the_money_went() {
    let asks = |world: &World, id, command| {
        let step = world.step(id, command);
        world.follow_ups(&[step])
    };
    let (world, id) = begun(Flow::Deposit);
    assert_eq!(asks(&world, id, paid(10_000)), [JobKind::DepositFee]);
    let (world, id) = begun(Flow::Deposit);
    assert_eq!(asks(&world, id, paid(9_000)), [JobKind::DepositFee]);
    let (mut world, id) = begun(Flow::Deposit);
    world.tell(id, Command::Cancel(Canceller::Owner));
    assert_eq!(asks(&world, id, paid(10_000)), [JobKind::DepositFee]);
}

#[test]
fn a_second_transfer_of_a_withdrawal_is_a_contradiction() {
    let (mut world, id) = begun(Flow::Withdrawal);
    world.tell(id, Command::Hold);
    world.tell(id, sent("tr_1"));
    assert_eq!(world.tell(id, sent("tr_1")), Outcome::AlreadyApplied);
    assert!(is_contradiction(&world.tell(id, sent("tr_2"))));
}

#[test]
fn a_transfer_for_a_withdrawal_that_was_refused_is_a_contradiction() {
    let (mut world, id) = begun(Flow::Withdrawal);
    world.tell(id, Command::Hold);
    world.tell(id, Command::Refuse(reason(FailureCode::PayoutAccountRefused)));
    assert!(is_contradiction(&world.tell(id, sent("tr_1"))));
    assert_eq!(world.balance(WALLET), [50_000, 0, 0]);
}

#[test]
fn a_payout_after_a_refusal_of_payouts_is_a_contradiction() {
    let (mut world, id) = begun(Flow::Withdrawal);
    world.tell(id, Command::Hold);
    world.tell(id, sent("tr_1"));
    let reason = reason(FailureCode::PayoutFailed);
    world.tell(id, WithdrawalCommand::FailPayout(None, reason));
    let payout: PayoutId = "po_1".parse().unwrap();
    assert!(is_contradiction(
        &world.tell(id, WithdrawalCommand::RecordPayout(payout))
    ));
}

#[test]
fn a_refund_made_for_one_that_was_refused_is_a_contradiction() {
    let mut teller = Teller::new(Currency::USD);
    let mut world = World::new(Currency::USD, [50_000, 0]);
    let deposit = teller.begin(Flow::Deposit, 10_000, None);
    world.add(teller.last());
    world.tell(deposit, paid(10_000));
    let id = teller.begin(Flow::DepositRefund, 10_000, Some(deposit));
    world.add(teller.last());
    world.tell(id, Command::Hold);
    world.tell(id, Command::Refuse(reason(FailureCode::StripeRefused)));
    let (refund, message) = ("re_1".parse().unwrap(), String::new());
    assert!(is_contradiction(
        &world.tell(id, RefundCommand::Record(refund, message))
    ));
}

#[test]
fn what_is_asked_again_after_the_end_changes_nothing_and_alarms_nobody() {
    for flow in [
        Flow::Transfer,
        Flow::Payment,
        Flow::Withdrawal,
        Flow::DepositRefund,
    ] {
        let ask = if matches!(flow, Flow::Transfer | Flow::Payment) {
            Command::Execute
        } else {
            Command::Hold
        };
        for end in [
            Command::Cancel(Canceller::Owner),
            Command::Refuse(reason(FailureCode::StripeRefused)),
        ] {
            let (mut world, id) = begun(flow);
            world.tell(id, end.clone());
            assert_eq!(world.tell(id, end), Outcome::AlreadyApplied, "{flow:?}");
            assert_eq!(world.tell(id, ask.clone()), Outcome::AlreadyApplied, "{flow:?}");
            assert_eq!(world.alarms, []);
        }
    }
}

#[test]
fn a_deposit_cancelled_while_the_bank_declines_it_ends_as_whoever_came_first_says() {
    let cancel = Command::from(DepositCommand::CancelIntent(
        "pi_1".parse().unwrap(),
        reason(FailureCode::CancelledByOwner),
    ));
    let decline = Command::Refuse(reason(FailureCode::PaymentDeclined));
    for (first, second, end) in [
        (cancel.clone(), decline.clone(), Stage::Cancelled),
        (decline, cancel, Stage::Failed),
    ] {
        let (mut world, id) = begun(Flow::Deposit);
        world.tell(id, first);
        assert_eq!(world.tell(id, second), Outcome::AlreadyApplied);
        assert_eq!(world.stage(id), end);
        assert_eq!(world.alarms, []);
    }
}

#[test]
fn a_decline_of_a_deposit_that_was_paid_alarms() {
    let (mut world, id) = begun(Flow::Deposit);
    world.tell(id, paid(10_000));
    let declined = world.tell(id, Command::Refuse(reason(FailureCode::PaymentDeclined)));
    assert!(is_contradiction(&declined));
}

/// A payout, or refund, is read twice: that it failed is decided before the other job settles that it was paid, and is settled after it.
#[test]
fn a_failure_that_was_seen_before_the_success_was_settled_is_looked_at_again() {
    let (mut world, id) = begun(Flow::Withdrawal);
    world.tell(id, Command::Hold);
    world.tell(id, sent("tr_1"));
    let payout: PayoutId = "po_1".parse().unwrap();
    world.tell(id, WithdrawalCommand::RecordPayout(payout.clone()));
    let seen = world.stage(id);
    let failed = world.step(
        id,
        WithdrawalCommand::FailPayout(Some(payout.clone()), reason(FailureCode::PayoutFailed)),
    );
    let note = world.step(id, WithdrawalCommand::SettlePayout(Some(payout.clone())));
    world.tell(id, WithdrawalCommand::SettlePayout(Some(payout)));
    let before = world.balance(WALLET);
    let stale = [failed.clone().seen_at(seen).before_others(), note];
    assert_eq!(world.settle(&stale), [Outcome::Overtaken, Outcome::Overtaken]);
    assert_eq!(world.balance(WALLET), before);
    // Decided again by the current stage, it is still a contradiction.
    let now = failed.seen_at(Stage::Completed);
    assert!(is_contradiction(&world.settle(&[now])[0]));
}

/// One Stripe object never belongs to two transactions: whichever step brings it, the second needs an operator, and other jobs are not affected.
#[test]
fn an_object_of_another_transaction_is_a_foreign_object_and_changes_nothing() {
    let brought: [(&[Command], Command); 3] = [
        (&[Command::Hold], sent("tr_1")),
        (&[Command::Hold, sent("tr_2")], started("po_1")),
        (
            &[Command::Hold, sent("tr_2")],
            Command::from(WithdrawalCommand::SettlePayout(Some("po_1".parse().unwrap()))),
        ),
    ];
    for (before, command) in brought {
        let mut teller = Teller::new(Currency::USD);
        let mut world = World::new(Currency::USD, [50_000, 0]);
        let first = teller.begin(Flow::Withdrawal, 10_000, None);
        world.add(teller.last());
        for command in [Command::Hold, sent("tr_1"), started("po_1")] {
            world.tell(first, command);
        }
        let second = teller.begin(Flow::Withdrawal, 7_000, None);
        world.add(teller.last());
        for command in before {
            world.tell(second, command.clone());
        }
        let (stage, balance) = (world.stage(second), world.balance(WALLET));
        let note = Command::Note {
            kind: TimelineKind::Waiting,
            message: "after it".to_owned(),
            detail: None,
            at: stage,
            once: None,
        };
        let steps = [
            world.step(second, command.clone()).before_others(),
            world.step(second, note),
        ];
        let outcomes = world.settle(&steps);
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, Outcome::ForeignObject(_))),
            "{command:?}: {outcomes:?}"
        );
        assert_eq!((world.stage(second), world.balance(WALLET)), (stage, balance));
        assert_eq!(world.alarms, [AlarmKind::ForeignObject]);
        // The first transaction's own object can be reported again without harm.
        assert_eq!(world.tell(first, sent("tr_1")), Outcome::AlreadyApplied);
    }
}
