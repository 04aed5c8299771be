use super::Case;
use crate::flows::testing::{AVAILABLE, HELD, at, entry, reason, transaction, usd};
use crate::flows::{Command, RefundCommand};
use crate::ledger::Account;
use crate::transactions::{Canceller, FailureCode, Flow, Stage};

fn case(flow: Flow, from: Stage, command: Command) -> Case {
    let deposit = at(Stage::Completed, transaction(9, Flow::Deposit, usd(10_000)));
    Case::new(flow, from, command).of(deposit)
}

fn created() -> Command {
    RefundCommand::Record("re_1".parse().unwrap(), String::new()).into()
}

fn paid() -> Command {
    RefundCommand::Settle("re_1".parse().unwrap()).into()
}

fn charged() -> Command {
    Command::BookFee(entry("txn_1", usd(-10_000), usd(30)))
}

fn failed() -> Command {
    RefundCommand::Fail("re_1".parse().unwrap(), reason(FailureCode::RefundFailed)).into()
}

pub(super) fn cases() -> Vec<Case> {
    asked_for().into_iter().chain(found()).collect()
}

fn asked_for() -> Vec<Case> {
    let case = |from, command| case(Flow::DepositRefund, from, command);
    let refuse = || Command::Refuse(reason(FailureCode::StripeRefused));
    let mut cases = vec![
        case(Stage::Accepted, Command::Hold)
            .to(Stage::Held)
            .moves(AVAILABLE, HELD, 10_000),
        case(Stage::Accepted, refuse()).to(Stage::Failed),
        case(Stage::Accepted, Command::Cancel(Canceller::Owner)).to(Stage::Cancelled),
        case(Stage::Held, created()).to(Stage::Refunding),
        case(Stage::Held, refuse())
            .to(Stage::Failed)
            .moves(HELD, AVAILABLE, 10_000),
        case(Stage::Held, Command::Cancel(Canceller::Owner))
            .to(Stage::Cancelled)
            .moves(HELD, AVAILABLE, 10_000),
    ];
    for from in [Stage::Held, Stage::Refunding] {
        cases.extend([
            case(from, paid())
                .to(Stage::Completed)
                .moves(HELD, Account::CLEARING, 10_000),
            case(from, failed())
                .to(Stage::Failed)
                .moves(HELD, AVAILABLE, 10_000),
        ]);
    }
    for (from, when) in [
        (
            Stage::Refunding,
            "Stripe charges for the refund when it takes the money",
        ),
        (
            Stage::Completed,
            "what Stripe charges for the refund becomes known",
        ),
        (Stage::Failed, "the refund failed, and Stripe has charged for it"),
    ] {
        cases.push(
            case(from, charged())
                .when(when)
                .moves(Account::STRIPE_FEES, Account::CLEARING, 30),
        );
    }
    cases
}

fn found() -> Vec<Case> {
    let case = |from, command| case(Flow::OutsideRefund, from, command);
    let lacks = "the wallet has 30.00";
    let held = "30.00 are held, 70.00 owed";
    vec![
        case(Stage::Accepted, created())
            .to(Stage::Refunding)
            .moves(AVAILABLE, HELD, 10_000),
        case(Stage::Accepted, created())
            .when(lacks)
            .has(3_000)
            .to(Stage::Refunding)
            .moves(AVAILABLE, HELD, 3_000)
            .owes(7_000),
        case(Stage::Accepted, paid())
            .to(Stage::Completed)
            .moves(AVAILABLE, Account::CLEARING, 10_000),
        case(Stage::Accepted, paid())
            .when(lacks)
            .has(3_000)
            .to(Stage::Completed)
            .moves(AVAILABLE, Account::CLEARING, 3_000)
            .moves(Account::RECEIVABLE, Account::CLEARING, 7_000)
            .owes(7_000),
        case(Stage::Accepted, failed()).to(Stage::Failed),
        case(Stage::Refunding, paid())
            .held(10_000)
            .to(Stage::Completed)
            .moves(HELD, Account::CLEARING, 10_000),
        case(Stage::Refunding, paid())
            .when(held)
            .held(3_000)
            .to(Stage::Completed)
            .moves(HELD, Account::CLEARING, 3_000)
            .moves(Account::RECEIVABLE, Account::CLEARING, 7_000),
        case(Stage::Refunding, failed())
            .held(10_000)
            .to(Stage::Failed)
            .moves(HELD, AVAILABLE, 10_000),
        case(Stage::Refunding, failed())
            .when("30.00 are held, 70.00 were collected since")
            .held(3_000)
            .to(Stage::Failed)
            .moves(HELD, AVAILABLE, 3_000)
            .moves(Account::RECEIVABLE, AVAILABLE, 7_000),
        case(Stage::Completed, charged())
            .when("what Stripe charges for the refund becomes known")
            .moves(Account::STRIPE_FEES, Account::CLEARING, 30),
    ]
}
