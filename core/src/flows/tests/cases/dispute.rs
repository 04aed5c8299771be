use super::Case;
use crate::flows::testing::{AVAILABLE, FROZEN, at, entry, transaction, usd};
use crate::flows::{Command, Flow, Stage};
use crate::ledger::Account;

pub(super) fn cases() -> Vec<Case> {
    let deposit = at(Stage::Completed, transaction(9, Flow::Deposit, usd(10_000)));
    let case = |from, command| Case::new(Flow::Dispute, from, command).of(deposit.clone());
    let won = || Command::WinDispute {
        message: "won".to_owned(),
    };
    vec![
        case(Stage::Accepted, Command::OpenDispute)
            .to(Stage::Disputed)
            .moves(AVAILABLE, FROZEN, 10_000),
        case(Stage::Accepted, Command::OpenDispute)
            .when("the wallet has 30.00")
            .has(3_000)
            .to(Stage::Disputed)
            .moves(AVAILABLE, FROZEN, 3_000)
            .owes(7_000),
        case(Stage::Accepted, won()).to(Stage::Cancelled),
        case(Stage::Accepted, Command::LoseDispute { taken: None })
            .to(Stage::Completed)
            .moves(AVAILABLE, Account::RECEIVABLE, 10_000),
        case(Stage::Accepted, Command::LoseDispute { taken: None })
            .when("the wallet has 30.00")
            .has(3_000)
            .to(Stage::Completed)
            .moves(AVAILABLE, Account::RECEIVABLE, 3_000)
            .owes(7_000),
        case(Stage::Disputed, won())
            .held(10_000)
            .to(Stage::Cancelled)
            .moves(FROZEN, AVAILABLE, 10_000),
        case(Stage::Disputed, won())
            .when("30.00 are held, 70.00 were caught since")
            .held(3_000)
            .to(Stage::Cancelled)
            .moves(FROZEN, AVAILABLE, 3_000)
            .moves(Account::RECEIVABLE, AVAILABLE, 7_000),
        case(Stage::Disputed, Command::LoseDispute { taken: None })
            .held(10_000)
            .to(Stage::Completed)
            .moves(FROZEN, Account::RECEIVABLE, 10_000),
        case(Stage::Disputed, Command::LoseDispute { taken: None })
            .when("30.00 are held, 70.00 owed")
            .held(3_000)
            .to(Stage::Completed)
            .moves(FROZEN, Account::RECEIVABLE, 3_000),
        case(
            Stage::Disputed,
            Command::BookDispute(entry("txn_1", usd(-10_000), usd(1_500))),
        )
        .when("Stripe withdraws the amount and its fee")
        .moves(Account::RECEIVABLE, Account::CLEARING, 10_000)
        .moves(Account::STRIPE_FEES, Account::CLEARING, 1_500),
        case(
            Stage::Cancelled,
            Command::BookDispute(entry("txn_2", usd(10_000), usd(0))),
        )
        .when("Stripe gives the amount back")
        .moves(Account::CLEARING, Account::RECEIVABLE, 10_000),
    ]
}
