use super::Case;
use crate::flows::testing::{AVAILABLE, CLEARING, STRIPE_FEES, SUSPENSE, entry, reason, usd};
use crate::flows::{Command, FailureCode, Flow, Stage};

fn paid(minor: i64) -> Command {
    Command::SettlePayment {
        intent: "pi_1".to_owned(),
        received: usd(minor),
    }
}

fn cancelled() -> Command {
    Command::CancelIntent {
        intent: "pi_1".to_owned(),
        reason: reason(FailureCode::PaymentCancelled),
    }
}

fn returned(minor: i64) -> Command {
    Command::ReturnSuspense {
        refund: "re_1".to_owned(),
        amount: usd(minor),
    }
}

pub(super) fn cases() -> Vec<Case> {
    let case = |from, command| Case::new(Flow::Deposit, from, command);
    let refuse = || Command::Refuse(reason(FailureCode::PaymentDeclined));
    let intent = Command::RecordIntent {
        intent: "pi_1".to_owned(),
        sealed_client_secret: None,
        message: String::new(),
    };
    let mut cases = vec![
        case(Stage::Accepted, intent).to(Stage::AwaitingPayment),
        case(Stage::Accepted, Command::Cancel).to(Stage::Cancelled),
    ];
    for from in [Stage::Accepted, Stage::AwaitingPayment] {
        cases.extend([
            case(from, paid(100_00))
                .to(Stage::Completed)
                .moves(CLEARING, AVAILABLE, 100_00),
            case(from, paid(90_00))
                .when("90.00 received")
                .to(Stage::InReview)
                .moves(CLEARING, SUSPENSE, 90_00),
            case(from, cancelled()).to(Stage::Cancelled),
            case(from, refuse()).to(Stage::Failed),
        ]);
    }
    cases.extend([
        case(Stage::InReview, Command::CreditReview { amount: usd(90_00) })
            .when("90.00 received")
            .to(Stage::Completed)
            .moves(SUSPENSE, AVAILABLE, 90_00),
        case(Stage::InReview, returned(90_00))
            .when("90.00 received")
            .to(Stage::Failed)
            .moves(SUSPENSE, CLEARING, 90_00),
        case(
            Stage::Completed,
            Command::BookFee(entry("txn_1", usd(100_00), usd(3_20))),
        )
        .when("what Stripe keeps of it becomes known")
        .moves(STRIPE_FEES, CLEARING, 3_20),
    ]);
    for from in [Stage::Failed, Stage::Cancelled] {
        cases.extend([
            case(from, paid(100_00))
                .when("money comes when nobody waits for it any more")
                .moves(CLEARING, SUSPENSE, 100_00),
            case(from, returned(100_00))
                .when("what came too late was returned to the payer")
                .moves(SUSPENSE, CLEARING, 100_00),
        ]);
    }
    cases
}
