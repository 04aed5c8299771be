//! Contradictions, as an operator reads them.

use std::collections::HashMap;

use crate::flows::testing::{OTHERS, WALLET, at, balance, entry, reason, transaction, usd};
use crate::flows::{
    Command, Context, DepositCommand, DisputeCommand, RefundCommand, SuspenseReturnCommand,
    WithdrawalCommand, decide,
};
use crate::ledger::{Leg, LockedBalances, PostingError};
use crate::money::MoneyError;
use crate::transactions::{Canceller, FailureCode, Flow, Stage, Transaction};

/// The sentence that the operator reads.
fn said(transaction: &Transaction, command: impl Into<Command>) -> String {
    let zero = usd(0);
    let balances = LockedBalances::new(HashMap::from([(WALLET, balance(WALLET, zero, zero, zero))]));
    let context = Context {
        balances: &balances,
        original: None,
        relatives: &[],
        suspended: &[],
        money_sent: false,
        booked: false,
        known_as: &[],
    };
    decide(transaction, context, &command.into())
        .unwrap_err()
        .to_string()
}

fn is(flow: Flow, stage: Stage) -> Transaction {
    at(stage, transaction(1, flow, usd(10_000)))
}

#[test]
fn a_command_of_another_flow_is_refused_whatever_the_stage() {
    let own: [(&[Flow], Command); 12] = [
        (&[Flow::Deposit], DepositCommand::CreditReview(usd(10_000)).into()),
        (
            &[Flow::Deposit],
            SuspenseReturnCommand::Succeed("re_1".parse().unwrap(), usd(10_000)).into(),
        ),
        (&[Flow::Withdrawal], WithdrawalCommand::SettlePayout(None).into()),
        (
            &[Flow::DepositRefund, Flow::OutsideRefund],
            RefundCommand::Settle("re_1".parse().unwrap()).into(),
        ),
        (&[Flow::Dispute], DisputeCommand::Open(None).into()),
        (
            &[Flow::PayoutReturn],
            Command::BeginPayoutReturn(reason(FailureCode::PayoutFailed)),
        ),
        (
            &[Flow::Withdrawal, Flow::PayoutReturn],
            Command::RecordReversal("trr_1".parse().unwrap(), usd(10_000)),
        ),
        (&[Flow::Withdrawal, Flow::DepositRefund], Command::Hold),
        (
            &[
                Flow::Transfer,
                Flow::Payment,
                Flow::PaymentRefund,
                Flow::RefundReturn,
                Flow::DebtPayment,
            ],
            Command::Execute,
        ),
        (
            &[
                Flow::Deposit,
                Flow::Dispute,
                Flow::DisputeReturn,
                Flow::DisputeLoss,
            ],
            Command::BookDispute(entry("txn_1", usd(10_000), usd(0))),
        ),
        (
            &[
                Flow::Deposit,
                Flow::Transfer,
                Flow::Payment,
                Flow::PaymentRefund,
                Flow::Withdrawal,
                Flow::DepositRefund,
            ],
            Command::Cancel(Canceller::Owner),
        ),
        (
            &[Flow::Deposit, Flow::Dispute],
            Command::CloseSuspense(usd(10_000)),
        ),
    ];
    for (flows, command) in own {
        let sentence = format!("the flow does not know {:?}", command.event());
        for flow in Flow::ALL.iter().filter(|flow| !flows.contains(flow)) {
            for stage in Stage::ALL {
                assert_eq!(said(&is(*flow, *stage), command.clone()), sentence);
            }
        }
    }
}

#[test]
fn what_cannot_be_is_told_by_its_stage_and_its_objects() {
    let paid = is(Flow::Withdrawal, Stage::Completed);
    assert_eq!(
        said(&paid, Command::Refuse(reason(FailureCode::StripeRefused))),
        "Refused cannot follow completed"
    );
    let sent = WithdrawalCommand::RecordTransfer("tr_2".parse().unwrap());
    assert_eq!(
        said(&paid, sent.clone()),
        "tr_2 cannot follow completed: nothing is recorded"
    );
    let mut known = paid;
    known.stripe_transfer_id = Some("tr_1".parse().unwrap());
    known.stripe_payout_id = Some("po_1".parse().unwrap());
    assert_eq!(
        said(&known, sent),
        "tr_2 cannot follow completed: tr_1 is recorded"
    );
    let started = WithdrawalCommand::RecordPayout("po_2".parse().unwrap());
    assert_eq!(said(&known, started), "payout po_2 is not the recorded po_1");
    let mut deposit = is(Flow::Deposit, Stage::AwaitingPayment);
    deposit.stripe_payment_intent_id = Some("pi_1".parse().unwrap());
    let came = DepositCommand::SettlePayment("pi_2".parse().unwrap(), usd(10_000));
    assert_eq!(said(&deposit, came), "intent pi_2 is not the recorded pi_1");
    let mut refund = is(Flow::OutsideRefund, Stage::Refunding);
    refund.stripe_refund_id = Some("re_1".parse().unwrap());
    let settled = RefundCommand::Settle("re_2".parse().unwrap());
    assert_eq!(said(&refund, settled), "refund re_2 is not the recorded re_1");
}

#[test]
fn what_cannot_be_is_told_by_its_amounts() {
    let credit = DepositCommand::CreditReview(usd(9_000));
    assert_eq!(
        said(&is(Flow::Deposit, Stage::InReview), credit),
        "0.00 usd lies in suspense, not 90.00 usd"
    );
    let moved = |minor| Command::BookDispute(entry("txn_1", usd(minor), usd(0)));
    assert_eq!(
        said(&is(Flow::DisputeLoss, Stage::Accepted), moved(-9_000)),
        "txn_1 moved -90.00 usd, not 100.00 usd"
    );
    assert_eq!(
        said(&is(Flow::Deposit, Stage::Completed), moved(-10_000)),
        "txn_1 moved -100.00 usd of a deposit that is credited"
    );
}

#[test]
fn what_a_row_lacks_is_told() {
    let mut alone = is(Flow::Transfer, Stage::Accepted);
    alone.counterparty_wallet_id = None;
    assert_eq!(
        said(&alone, Command::Execute),
        "a transfer without a counterparty"
    );
    let refund = is(Flow::PaymentRefund, Stage::Accepted);
    assert_eq!(said(&refund, Command::Execute), "a refund without its payment");
    let refund = is(Flow::DepositRefund, Stage::Accepted);
    assert_eq!(said(&refund, Command::Hold), "a refund without its deposit");
}

#[test]
fn what_money_and_books_refuse_is_told_in_their_own_words() {
    use crate::flows::Contradiction;

    let out_of_range = Contradiction::from(MoneyError::OutOfRange);
    assert_eq!(out_of_range.to_string(), "the amount is out of range");
    let refused = LockedBalances::default()
        .book(&Leg::pair(crate::ledger::Account::CLEARING, OTHERS, usd(1)), None)
        .unwrap_err();
    assert!(matches!(refused, PostingError::NotLocked(_)));
    assert_eq!(Contradiction::from(refused).to_string(), refused.to_string());
    let mut dispute = is(Flow::Dispute, Stage::Accepted);
    dispute.wallet_id = crate::flows::testing::OTHER;
    assert_eq!(
        said(&dispute, DisputeCommand::Open(None)),
        format!("wallet {} is not locked", dispute.wallet_id)
    );
}
