//! Who sees what of a transaction, without a database.

use uuid::Uuid;
use wallet_core::accept::Role;
use wallet_core::clock::{Clock, SystemClock};
use wallet_core::ids::{TransactionId, UserId};
use wallet_core::money::{Currency, Money};

use super::*;

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn caller(number: u128, role: Role) -> Caller {
    Caller {
        user_id: UserId::from_uuid(uuid(number)),
        role,
        request_id: None,
    }
}

/// A transaction of person 1 from wallet 10 to wallet 20, which is person 2's.
fn row(flow: Flow) -> Transaction {
    let now = SystemClock.now();
    Transaction {
        id: TransactionId::from_uuid(uuid(100)),
        wallet_id: WalletId::from_uuid(uuid(10)),
        user_id: UserId::from_uuid(uuid(1)),
        transaction_type: flow.transaction_type(),
        flow,
        status: Stage::AwaitingPayment.status(),
        stage: Stage::AwaitingPayment,
        amount: Money::from_minor(1_250, Currency::USD).unwrap(),
        fee: None,
        reference: None,
        counterparty_wallet_id: matches!(flow, Flow::Transfer | Flow::Payment | Flow::PaymentRefund)
            .then(|| WalletId::from_uuid(uuid(20))),
        related_transaction_id: None,
        stripe_payment_intent_id: None,
        stripe_transfer_id: None,
        stripe_payout_id: None,
        stripe_refund_id: None,
        stripe_dispute_id: None,
        held: None,
        claimed: None,
        requested: None,
        available_on: None,
        stripe_account_id: None,
        cancel_request: None,
        stripe_payment_method_id: None,
        encrypted_client_secret: Some("v1.sealed".to_owned()),
        encrypted_bank_id: None,
        encrypted_account_name: None,
        encrypted_sender_details: None,
        encrypted_receiver_details: None,
        payment_method: None,
        description: None,
        metadata: Some(serde_json::json!({ "lease": 3 })),
        failure_reason: Some("CODE: sentence".to_owned()),
        created_at: now,
        updated_at: now,
    }
}

#[test]
fn direction_is_seen_from_the_wallet_asked_about() {
    let seen = |flow, person| WalletTransaction::alone(row(flow), &caller(person, Role::User)).way();
    assert_eq!(seen(Flow::Deposit, 1), Direction::In);
    assert_eq!(seen(Flow::Withdrawal, 1), Direction::Out);
    for flow in [Flow::Transfer, Flow::Payment, Flow::PaymentRefund] {
        assert_eq!(seen(flow, 1), Direction::Out, "{flow:?}");
        assert_eq!(seen(flow, 2), Direction::In, "{flow:?}");
    }
    for flow in [
        Flow::DepositRefund,
        Flow::OutsideRefund,
        Flow::Dispute,
        Flow::DisputeLoss,
        Flow::DebtPayment,
    ] {
        assert_eq!(seen(flow, 1), Direction::Out, "{flow:?}");
    }
    for flow in [Flow::RefundReturn, Flow::PayoutReturn, Flow::DisputeReturn] {
        assert_eq!(seen(flow, 1), Direction::In, "{flow:?}");
    }
    let in_own_other_wallet = WalletTransaction::in_wallet(
        row(Flow::Transfer),
        WalletId::from_uuid(uuid(20)),
        &caller(1, Role::User),
        None,
    );
    assert_eq!(in_own_other_wallet.way(), Direction::In);
    assert!(!in_own_other_wallet.is_hidden());
}

#[test]
fn the_counterparty_sees_the_row_and_not_what_is_private() {
    for flow in [Flow::Transfer, Flow::Payment, Flow::PaymentRefund] {
        assert!(WalletTransaction::alone(row(flow), &caller(2, Role::User)).is_hidden());
        for (person, role) in [(1, Role::User), (3, Role::Support), (3, Role::Admin)] {
            assert!(!WalletTransaction::alone(row(flow), &caller(person, role)).is_hidden());
        }
    }
}

#[test]
fn the_client_secret_is_for_the_owner_of_a_deposit_that_waits() {
    let secret = |row, person, role| {
        let seen = WalletTransaction::alone(row, &caller(person, role));
        seen.sealed_secret().map(str::to_owned)
    };
    assert!(secret(row(Flow::Deposit), 1, Role::User).is_some());
    assert!(secret(row(Flow::Deposit), 3, Role::Admin).is_none());
    assert!(secret(row(Flow::Withdrawal), 1, Role::User).is_none());
    let done = Transaction {
        stage: Stage::Completed,
        status: Stage::Completed.status(),
        ..row(Flow::Deposit)
    };
    assert!(secret(done, 1, Role::User).is_none());
}
