use super::Case;
use crate::flows::Command;
use crate::flows::testing::{AVAILABLE, HELD, reason, usd};
use crate::ledger::Account;
use crate::transactions::{FailureCode, Flow, Stage};

pub(super) fn cases() -> Vec<Case> {
    let failed = Command::BeginPayoutReturn(reason(FailureCode::PayoutFailed));
    let reversed = |minor| Command::RecordReversal("trr_1".parse().unwrap(), usd(minor));
    vec![
        Case::new(Flow::RefundReturn, Stage::Accepted, Command::Execute)
            .to(Stage::Completed)
            .moves(Account::CLEARING, AVAILABLE, 10_000),
        Case::new(Flow::PayoutReturn, Stage::Accepted, failed)
            .to(Stage::Returning)
            .moves(Account::IN_TRANSIT, HELD, 10_000),
        Case::new(Flow::PayoutReturn, Stage::Returning, reversed(10_000))
            .to(Stage::Completed)
            .moves(Account::CLEARING, Account::IN_TRANSIT, 10_000)
            .moves(HELD, AVAILABLE, 10_000),
        Case::new(Flow::PayoutReturn, Stage::Returning, reversed(6_000))
            .when("somebody else took 40.00 before")
            .to(Stage::Completed)
            .moves(Account::CLEARING, Account::IN_TRANSIT, 6_000)
            .moves(HELD, AVAILABLE, 10_000),
        Case::new(Flow::PayoutReturn, Stage::Returning, reversed(10_000))
            .when("somebody else's reversal, on the books already")
            .booked()
            .to(Stage::Completed)
            .moves(HELD, AVAILABLE, 10_000),
    ]
}
