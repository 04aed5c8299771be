use super::Case;
use crate::flows::testing::{AVAILABLE, FROZEN, reason};
use crate::flows::{Command, FailureCode, Flow, Stage};
use crate::ledger::Account;

pub(super) fn cases() -> Vec<Case> {
    let failed = Command::FailPayout {
        payout: Some("po_1".to_owned()),
        reason: reason(FailureCode::PayoutFailed),
    };
    let reversed = || Command::RecordReversal {
        reversal: "trr_1".to_owned(),
    };
    vec![
        Case::new(Flow::RefundReturn, Stage::Accepted, Command::Execute)
            .to(Stage::Completed)
            .moves(Account::CLEARING, AVAILABLE, 10_000),
        Case::new(Flow::PayoutReturn, Stage::Accepted, failed)
            .to(Stage::Returning)
            .moves(Account::IN_TRANSIT, FROZEN, 10_000),
        Case::new(Flow::PayoutReturn, Stage::Returning, reversed())
            .to(Stage::Completed)
            .moves(Account::CLEARING, Account::IN_TRANSIT, 10_000)
            .moves(FROZEN, AVAILABLE, 10_000),
        Case::new(Flow::PayoutReturn, Stage::Returning, reversed())
            .when("somebody else's reversal, on the books already")
            .booked()
            .to(Stage::Completed)
            .moves(FROZEN, AVAILABLE, 10_000),
    ]
}
