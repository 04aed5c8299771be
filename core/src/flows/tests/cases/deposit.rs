use super::Case;
use crate::flows::testing::{AVAILABLE, entry, reason, usd};
use crate::flows::{Command, DepositCommand, SuspenseReturnCommand};
use crate::ledger::Account;
use crate::transactions::{Canceller, FailureCode, Flow, RefKind, Stage};

fn paid(minor: i64) -> DepositCommand {
    DepositCommand::SettlePayment("pi_1".parse().unwrap(), usd(minor))
}

fn cancelled() -> DepositCommand {
    DepositCommand::CancelIntent("pi_1".parse().unwrap(), reason(FailureCode::PaymentCancelled))
}

fn returned(minor: i64) -> SuspenseReturnCommand {
    SuspenseReturnCommand::Succeed("re_1".parse().unwrap(), usd(minor))
}

fn begun(minor: i64) -> SuspenseReturnCommand {
    SuspenseReturnCommand::Begin("re_1".parse().unwrap(), usd(minor), String::new())
}

fn return_failed(minor: i64) -> SuspenseReturnCommand {
    SuspenseReturnCommand::Fail("re_1".parse().unwrap(), usd(minor), String::new())
}

fn case(from: Stage, command: impl Into<Command>) -> Case {
    Case::new(Flow::Deposit, from, command)
}

pub(super) fn cases() -> Vec<Case> {
    let refuse = || Command::Refuse(reason(FailureCode::PaymentDeclined));
    let intent = DepositCommand::RecordIntent {
        intent: "pi_1".parse().unwrap(),
        sealed_client_secret: None,
        message: String::new(),
    };
    let mut cases = vec![
        case(Stage::Accepted, intent).to(Stage::AwaitingPayment),
        case(Stage::Accepted, Command::Cancel(Canceller::Owner)).to(Stage::Cancelled),
    ];
    for from in [Stage::Accepted, Stage::AwaitingPayment] {
        cases.extend([
            case(from, paid(10_000))
                .to(Stage::Completed)
                .moves(Account::CLEARING, AVAILABLE, 10_000),
            case(from, paid(9_000))
                .when("90.00 received")
                .to(Stage::InReview)
                .moves(Account::CLEARING, Account::SUSPENSE, 9_000),
            case(from, cancelled()).to(Stage::Cancelled),
            case(from, refuse()).to(Stage::Failed),
        ]);
    }
    cases.extend([
        case(Stage::InReview, DepositCommand::CreditReview(usd(9_000)))
            .when("90.00 received")
            .suspended(9_000)
            .to(Stage::Completed)
            .moves(Account::SUSPENSE, AVAILABLE, 9_000),
        case(Stage::InReview, returned(9_000))
            .when("90.00 received")
            .suspended(9_000)
            .to(Stage::Failed)
            .moves(Account::SUSPENSE, Account::CLEARING, 9_000),
        case(Stage::InReview, returned(4_000))
            .when("90.00 received, a part refunded")
            .suspended(9_000)
            .moves(Account::SUSPENSE, Account::CLEARING, 4_000),
        case(Stage::InReview, Command::CloseSuspense(usd(20)))
            .when("nothing of the payment is left to give back, and 0.20 by another rate of conversion")
            .suspended(20)
            .to(Stage::Failed)
            .moves(Account::SUSPENSE, Account::PLATFORM_FEES, 20),
        case(Stage::Failed, Command::CloseSuspense(usd(-1_000)))
            .when("a dispute took 10.00 more than was paid")
            .suspended(-1_000)
            .moves(Account::PLATFORM_FEES, Account::SUSPENSE, 1_000),
        case(Stage::InReview, begun(9_000))
            .when("90.00 received, a refund of it is made and pending")
            .suspended(9_000)
            .moves(Account::SUSPENSE, Account::CLEARING, 9_000),
        case(Stage::InReview, returned(9_000))
            .when("90.00 received, the pending refund of it succeeds")
            .known_as(RefKind::RefundBegun)
            .to(Stage::Failed),
        case(Stage::InReview, return_failed(9_000))
            .when("90.00 received, the pending refund of it fails")
            .known_as(RefKind::RefundBegun)
            .moves(Account::CLEARING, Account::SUSPENSE, 9_000),
        case(Stage::InReview, return_failed(9_000))
            .when("90.00 received, a refund of it failed before anybody heard of it")
            .suspended(9_000),
        case(
            Stage::InReview,
            Command::BookDispute(entry("txn_1", usd(-9_000), usd(1_500))),
        )
        .when("90.00 received, and disputed")
        .suspended(9_000)
        .moves(Account::SUSPENSE, Account::CLEARING, 9_000)
        .moves(Account::STRIPE_FEES, Account::CLEARING, 1_500),
        case(Stage::InReview, DepositCommand::EndDispute(usd(9_000)))
            .when("the dispute left nothing in suspense")
            .to(Stage::Failed),
        case(
            Stage::Completed,
            Command::BookFee(entry("txn_1", usd(10_000), usd(320))),
        )
        .when("what Stripe keeps of it becomes known")
        .moves(Account::STRIPE_FEES, Account::CLEARING, 320),
        case(
            Stage::InReview,
            Command::BookFee(entry("txn_2", usd(-9_000), usd(30))),
        )
        .when("Stripe charges for a refund of what lies in suspense")
        .moves(Account::STRIPE_FEES, Account::CLEARING, 30),
    ]);
    for from in [Stage::Failed, Stage::Cancelled] {
        cases.extend([
            case(from, paid(10_000))
                .when("money comes when nobody waits for it any more")
                .moves(Account::CLEARING, Account::SUSPENSE, 10_000),
            case(from, returned(10_000))
                .when("what came too late was returned to the payer")
                .moves(Account::SUSPENSE, Account::CLEARING, 10_000),
            case(from, begun(10_000))
                .when("a refund of what came too late is made and pending")
                .suspended(10_000)
                .moves(Account::SUSPENSE, Account::CLEARING, 10_000),
            case(from, return_failed(10_000))
                .when("the refund of what came too late fails after it had succeeded")
                .known_as(RefKind::Refund)
                .moves(Account::CLEARING, Account::SUSPENSE, 10_000),
        ]);
    }
    cases
}
