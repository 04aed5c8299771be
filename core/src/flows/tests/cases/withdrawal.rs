use super::Case;
use crate::flows::testing::{AVAILABLE, HELD, reason, usd};
use crate::flows::{Command, WithdrawalCommand};
use crate::ledger::Account;
use crate::transactions::{Canceller, FailureCode, Flow, Stage};

fn refuse() -> Command {
    Command::Refuse(reason(FailureCode::PayoutAccountRefused))
}

fn reversed(minor: i64) -> Command {
    Command::RecordReversal("trr_1".parse().unwrap(), usd(minor))
}

fn case(from: Stage, command: impl Into<Command>) -> Case {
    Case::new(Flow::Withdrawal, from, command)
}

pub(super) fn cases() -> Vec<Case> {
    let sent = WithdrawalCommand::RecordTransfer("tr_1".parse().unwrap());
    let started = WithdrawalCommand::RecordPayout("po_1".parse().unwrap());
    let mut cases = vec![
        case(Stage::Accepted, Command::Hold)
            .to(Stage::Held)
            .moves(AVAILABLE, HELD, 10_000),
        case(Stage::Accepted, refuse()).to(Stage::Failed),
        case(Stage::Accepted, Command::Cancel(Canceller::Owner)).to(Stage::Cancelled),
        case(Stage::Held, sent)
            .to(Stage::Transferred)
            .moves(Account::IN_TRANSIT, Account::CLEARING, 10_000),
        case(Stage::Held, refuse())
            .to(Stage::Failed)
            .moves(HELD, AVAILABLE, 10_000),
        case(Stage::Held, Command::Cancel(Canceller::Owner))
            .to(Stage::Cancelled)
            .moves(HELD, AVAILABLE, 10_000),
        case(Stage::Transferred, started).to(Stage::PayingOut),
    ];
    for from in [Stage::Transferred, Stage::PayingOut] {
        let paid = WithdrawalCommand::SettlePayout(Some("po_1".parse().unwrap()));
        let failed =
            WithdrawalCommand::FailPayout(Some("po_1".parse().unwrap()), reason(FailureCode::PayoutFailed));
        cases.extend([
            case(from, paid)
                .to(Stage::Completed)
                .moves(HELD, Account::IN_TRANSIT, 10_000),
            case(from, failed).to(Stage::Returning),
        ]);
    }
    cases.push(
        case(Stage::Transferred, WithdrawalCommand::SettlePayout(None))
            .when("the account has paid itself out, and an operator has found that the bank has the money")
            .to(Stage::Completed)
            .moves(HELD, Account::IN_TRANSIT, 10_000),
    );
    let outside = WithdrawalCommand::RecordOutsideReversal("trr_1".parse().unwrap(), usd(4_000));
    cases.extend([
        case(Stage::Returning, reversed(10_000))
            .to(Stage::Failed)
            .moves(Account::CLEARING, Account::IN_TRANSIT, 10_000)
            .moves(HELD, AVAILABLE, 10_000),
        case(Stage::Returning, reversed(6_000))
            .when("somebody else took 40.00 before")
            .to(Stage::Failed)
            .moves(Account::CLEARING, Account::IN_TRANSIT, 6_000)
            .moves(HELD, AVAILABLE, 10_000),
        case(Stage::Returning, reversed(10_000))
            .when("somebody else's reversal, on the books already")
            .booked()
            .to(Stage::Failed)
            .moves(HELD, AVAILABLE, 10_000),
        case(Stage::Completed, outside)
            .when("somebody else took 40.00 of the transfer back")
            .moves(Account::CLEARING, Account::IN_TRANSIT, 4_000),
    ]);
    cases
}
