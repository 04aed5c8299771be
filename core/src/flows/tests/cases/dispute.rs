use super::Case;
use crate::flows::testing::{
    AVAILABLE, CLEARING, FROZEN, RECEIVABLE, STRIPE_FEES, at, entry, transaction, usd,
};
use crate::flows::{Command, Flow, Stage};

pub(super) fn cases() -> Vec<Case> {
    let deposit = at(Stage::Completed, transaction(9, Flow::Deposit, usd(100_00)));
    let case = |from, command| Case::new(Flow::Dispute, from, command).of(deposit.clone());
    let won = || Command::WinDispute {
        message: "won".to_owned(),
    };
    vec![
        case(Stage::Accepted, Command::OpenDispute)
            .to(Stage::Disputed)
            .moves(AVAILABLE, FROZEN, 100_00),
        case(Stage::Accepted, Command::OpenDispute)
            .when("the wallet has 30.00")
            .has(30_00)
            .to(Stage::Disputed)
            .moves(AVAILABLE, FROZEN, 30_00)
            .owes(70_00),
        case(Stage::Accepted, won()).to(Stage::Cancelled),
        case(Stage::Accepted, Command::LoseDispute)
            .to(Stage::Completed)
            .moves(AVAILABLE, RECEIVABLE, 100_00),
        case(Stage::Accepted, Command::LoseDispute)
            .when("the wallet has 30.00")
            .has(30_00)
            .to(Stage::Completed)
            .moves(AVAILABLE, RECEIVABLE, 30_00)
            .owes(70_00),
        case(Stage::Disputed, won())
            .held(100_00)
            .to(Stage::Cancelled)
            .moves(FROZEN, AVAILABLE, 100_00),
        case(Stage::Disputed, won())
            .when("30.00 are held, 70.00 were caught since")
            .held(30_00)
            .to(Stage::Cancelled)
            .moves(FROZEN, AVAILABLE, 30_00)
            .moves(RECEIVABLE, AVAILABLE, 70_00),
        case(Stage::Disputed, Command::LoseDispute)
            .held(100_00)
            .to(Stage::Completed)
            .moves(FROZEN, RECEIVABLE, 100_00),
        case(Stage::Disputed, Command::LoseDispute)
            .when("30.00 are held, 70.00 owed")
            .held(30_00)
            .to(Stage::Completed)
            .moves(FROZEN, RECEIVABLE, 30_00),
        case(
            Stage::Disputed,
            Command::BookDispute(entry("txn_1", usd(-100_00), usd(15_00))),
        )
        .when("Stripe withdraws the amount and its fee")
        .moves(RECEIVABLE, CLEARING, 100_00)
        .moves(STRIPE_FEES, CLEARING, 15_00),
        case(
            Stage::Cancelled,
            Command::BookDispute(entry("txn_2", usd(100_00), usd(0))),
        )
        .when("Stripe gives the amount back")
        .moves(CLEARING, RECEIVABLE, 100_00),
    ]
}
