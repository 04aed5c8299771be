use super::Case;
use crate::flows::Command;
use crate::flows::testing::{AVAILABLE, OTHERS, at, reason, transaction, usd};
use crate::ledger::Account;
use crate::transactions::{Canceller, FailureCode, Flow, Stage};

pub(super) fn cases() -> Vec<Case> {
    let mut payment = at(Stage::Completed, transaction(9, Flow::Payment, usd(10_000)));
    payment.fee = Some(usd(300));
    let execute = |flow| Case::new(flow, Stage::Accepted, Command::Execute).to(Stage::Completed);
    let mut cases = vec![
        execute(Flow::Transfer).moves(AVAILABLE, OTHERS, 10_000),
        execute(Flow::Payment)
            .when("with a fee of 3.00")
            .fee(300)
            .moves(AVAILABLE, OTHERS, 9_700)
            .moves(AVAILABLE, Account::PLATFORM_FEES, 300),
        execute(Flow::PaymentRefund)
            .when("40.00 of a payment of 100.00 with a fee of 3.00")
            .amount(4_000)
            .of(payment.clone())
            .moves(AVAILABLE, OTHERS, 3_880)
            .moves(Account::PLATFORM_FEES, OTHERS, 120),
        execute(Flow::PaymentRefund)
            .when("all of a payment of 100.00 with a fee of 3.00")
            .of(payment)
            .moves(AVAILABLE, OTHERS, 9_700)
            .moves(Account::PLATFORM_FEES, OTHERS, 300),
    ];
    for flow in [Flow::Transfer, Flow::Payment, Flow::PaymentRefund] {
        let refuse = Command::Refuse(reason(FailureCode::InsufficientFunds));
        cases.extend([
            Case::new(flow, Stage::Accepted, refuse).to(Stage::Failed),
            Case::new(flow, Stage::Accepted, Command::Cancel(Canceller::Owner)).to(Stage::Cancelled),
        ]);
    }
    cases
}
