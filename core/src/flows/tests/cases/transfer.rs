use super::Case;
use crate::flows::testing::{AVAILABLE, OTHERS, PLATFORM_FEES, at, reason, transaction, usd};
use crate::flows::{Command, FailureCode, Flow, Stage};

pub(super) fn cases() -> Vec<Case> {
    let mut payment = at(Stage::Completed, transaction(9, Flow::Payment, usd(100_00)));
    payment.fee = Some(usd(3_00));
    let execute = |flow| Case::new(flow, Stage::Accepted, Command::Execute).to(Stage::Completed);
    let mut cases = vec![
        execute(Flow::Transfer).moves(AVAILABLE, OTHERS, 100_00),
        execute(Flow::Payment)
            .when("with a fee of 3.00")
            .fee(3_00)
            .moves(AVAILABLE, OTHERS, 97_00)
            .moves(AVAILABLE, PLATFORM_FEES, 3_00),
        execute(Flow::PaymentRefund)
            .when("40.00 of a payment of 100.00 with a fee of 3.00")
            .amount(40_00)
            .of(payment.clone())
            .moves(AVAILABLE, OTHERS, 38_80)
            .moves(PLATFORM_FEES, OTHERS, 1_20),
        execute(Flow::PaymentRefund)
            .when("all of a payment of 100.00 with a fee of 3.00")
            .of(payment)
            .moves(AVAILABLE, OTHERS, 97_00)
            .moves(PLATFORM_FEES, OTHERS, 3_00),
    ];
    for flow in [Flow::Transfer, Flow::Payment, Flow::PaymentRefund] {
        let refuse = Command::Refuse(reason(FailureCode::InsufficientFunds));
        cases.extend([
            Case::new(flow, Stage::Accepted, refuse).to(Stage::Failed),
            Case::new(flow, Stage::Accepted, Command::Cancel).to(Stage::Cancelled),
        ]);
    }
    cases
}
