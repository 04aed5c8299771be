use super::Case;
use crate::flows::testing::{AVAILABLE, HELD, at, entry, transaction, usd};
use crate::flows::{Command, DisputeCommand, DisputeEnd};
use crate::ledger::Account;
use crate::transactions::{Flow, Stage};

pub(super) fn cases() -> Vec<Case> {
    [while_it_is_open(), at_its_end(), after_its_end()]
        .into_iter()
        .flatten()
        .collect()
}

fn case(from: Stage, command: impl Into<Command>) -> Case {
    let deposit = at(Stage::Completed, transaction(9, Flow::Deposit, usd(10_000)));
    Case::new(Flow::Dispute, from, command).of(deposit)
}

fn open() -> DisputeCommand {
    DisputeCommand::Open(None)
}

fn end(said: DisputeEnd, minor: i64) -> DisputeCommand {
    let taken = usd(minor);
    DisputeCommand::End(said, taken)
}

fn while_it_is_open() -> Vec<Case> {
    let refund = || at(Stage::Completed, transaction(8, Flow::DepositRefund, usd(6_000)));
    let taken = |minor| DisputeCommand::Open(Some(usd(minor)));
    vec![
        case(Stage::Accepted, open())
            .to(Stage::Disputed)
            .moves(AVAILABLE, HELD, 10_000),
        case(Stage::Accepted, open())
            .when("the wallet has 30.00")
            .has(3_000)
            .to(Stage::Disputed)
            .moves(AVAILABLE, HELD, 3_000)
            .owes(7_000),
        case(Stage::Accepted, open())
            .when("60.00 were refunded before")
            .beside(refund())
            .to(Stage::Disputed)
            .moves(AVAILABLE, HELD, 4_000),
        case(Stage::Accepted, taken(2_500))
            .when("Stripe has taken 25.00")
            .to(Stage::Disputed)
            .moves(AVAILABLE, HELD, 2_500),
        case(
            Stage::Disputed,
            Command::BookDispute(entry("txn_1", usd(-10_000), usd(1_500))),
        )
        .when("Stripe withdraws the amount and its fee")
        .moves(Account::RECEIVABLE, Account::CLEARING, 10_000)
        .moves(Account::STRIPE_FEES, Account::CLEARING, 1_500),
        case(
            Stage::Disputed,
            Command::BookDispute(entry("txn_2", usd(10_000), usd(0))),
        )
        .when("Stripe gives the amount back")
        .moves(Account::CLEARING, Account::RECEIVABLE, 10_000),
    ]
}

fn at_its_end() -> Vec<Case> {
    vec![
        case(Stage::Accepted, end(DisputeEnd::InquiryClosed, 0)).to(Stage::Cancelled),
        case(Stage::Accepted, end(DisputeEnd::Lost, 10_000))
            .to(Stage::Completed)
            .moves(AVAILABLE, Account::RECEIVABLE, 10_000),
        case(Stage::Accepted, end(DisputeEnd::Prevented, 10_000))
            .when("the wallet has 30.00")
            .has(3_000)
            .to(Stage::Completed)
            .moves(AVAILABLE, Account::RECEIVABLE, 3_000)
            .owes(7_000),
        case(Stage::Disputed, end(DisputeEnd::Won, 0))
            .held(10_000)
            .to(Stage::Cancelled)
            .moves(HELD, AVAILABLE, 10_000),
        case(Stage::Disputed, end(DisputeEnd::Won, 0))
            .when("30.00 are held, 70.00 were collected since")
            .held(3_000)
            .to(Stage::Cancelled)
            .moves(HELD, AVAILABLE, 3_000)
            .moves(Account::RECEIVABLE, AVAILABLE, 7_000),
        case(Stage::Disputed, end(DisputeEnd::Won, 10_000))
            .when("won is what is said, and the money is gone")
            .held(10_000)
            .to(Stage::Completed)
            .moves(HELD, Account::RECEIVABLE, 10_000),
        case(Stage::Disputed, end(DisputeEnd::Lost, 0))
            .when("lost is what is said, and nothing was taken")
            .held(10_000)
            .to(Stage::Cancelled)
            .moves(HELD, AVAILABLE, 10_000),
        case(Stage::Disputed, end(DisputeEnd::Lost, 10_000))
            .held(10_000)
            .to(Stage::Completed)
            .moves(HELD, Account::RECEIVABLE, 10_000),
        case(Stage::Disputed, end(DisputeEnd::Lost, 10_000))
            .when("30.00 are held, 70.00 owed")
            .held(3_000)
            .to(Stage::Completed)
            .moves(HELD, Account::RECEIVABLE, 3_000),
        case(Stage::Disputed, end(DisputeEnd::Lost, 9_000))
            .when("Stripe took 10.00 less than the amount")
            .held(10_000)
            .to(Stage::Completed)
            .moves(HELD, Account::RECEIVABLE, 9_000)
            .moves(HELD, AVAILABLE, 1_000),
        case(Stage::Disputed, end(DisputeEnd::Lost, 6_500))
            .when("40.00 were claimed, and 65.00 are gone")
            .claimed(4_000)
            .held(4_000)
            .to(Stage::Completed)
            .moves(HELD, Account::RECEIVABLE, 4_000)
            .moves(AVAILABLE, Account::RECEIVABLE, 2_500),
    ]
}

fn after_its_end() -> Vec<Case> {
    let turn = |flow, minor, fee| {
        let dispute = at(Stage::Completed, transaction(9, Flow::Dispute, usd(10_000)));
        let command = Command::BookDispute(entry("txn_3", usd(minor), usd(fee)));
        Case::new(flow, Stage::Accepted, command).of(dispute).booked()
    };
    vec![
        turn(Flow::DisputeReturn, 10_000, -1_500)
            .when("the fee comes back as well")
            .to(Stage::Completed)
            .moves(Account::CLEARING, AVAILABLE, 10_000)
            .moves(Account::CLEARING, Account::STRIPE_FEES, 1_500),
        turn(Flow::DisputeLoss, -10_000, 0)
            .to(Stage::Completed)
            .moves(AVAILABLE, Account::CLEARING, 10_000),
        turn(Flow::DisputeLoss, -10_000, 1_500)
            .when("the wallet has 30.00, and a fee is taken")
            .has(3_000)
            .to(Stage::Completed)
            .moves(AVAILABLE, Account::CLEARING, 3_000)
            .moves(Account::RECEIVABLE, Account::CLEARING, 7_000)
            .moves(Account::STRIPE_FEES, Account::CLEARING, 1_500)
            .owes(7_000),
        Case::new(Flow::DebtPayment, Stage::Accepted, Command::Execute)
            .to(Stage::Completed)
            .moves(AVAILABLE, Account::RECEIVABLE, 10_000),
    ]
}
