//! Transactions and balances for tests.

use chrono::DateTime;
use uuid::Uuid;

use super::BalanceEntry;
use crate::ids::{TransactionId, UserId, WalletId};
use crate::ledger::{Account, Balance};
use crate::money::{Currency, Money};
use crate::transactions::{FailureCode, FailureReason, Flow, Stage, Transaction};

/// The wallet of every sample transaction.
pub(crate) const WALLET: WalletId = WalletId::from_uuid(Uuid::from_u128(1));
/// The other wallet of transfers, payments and their refunds.
pub(crate) const OTHER: WalletId = WalletId::from_uuid(Uuid::from_u128(2));

pub(crate) const AVAILABLE: Account = Account::Available(WALLET);
pub(crate) const HELD: Account = Account::Held(WALLET);
pub(crate) const OTHERS: Account = Account::Available(OTHER);

/// An amount in cents.
pub(crate) fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD).unwrap()
}

/// An accepted transaction of [`WALLET`], with [`OTHER`] where the flow has a counterparty.
pub(crate) fn transaction(n: u128, flow: Flow, amount: Money) -> Transaction {
    let has_counterparty = matches!(flow, Flow::Transfer | Flow::Payment | Flow::PaymentRefund);
    let (id, owner) = (Uuid::from_u128(n), UserId::from_uuid(Uuid::nil()));
    Transaction {
        counterparty_wallet_id: has_counterparty.then_some(OTHER),
        ..Transaction::accepted(
            TransactionId::from_uuid(id),
            flow,
            WALLET,
            owner,
            amount,
            DateTime::UNIX_EPOCH,
        )
    }
}

/// The same transaction at this stage.
pub(crate) fn at(stage: Stage, mut transaction: Transaction) -> Transaction {
    transaction.stage = stage;
    transaction.status = stage.status();
    transaction
}

/// An active wallet with these balances; each has an owner of its own.
pub(crate) fn balance(wallet: WalletId, available: Money, held: Money, owed: Money) -> Balance {
    Balance {
        user_id: UserId::from_uuid(wallet.uuid()),
        is_active: true,
        available,
        held,
        owed,
    }
}

/// A movement of the platform's Stripe balance.
pub(crate) fn entry(id: &str, amount: Money, fee: Money) -> BalanceEntry {
    BalanceEntry {
        id: id.parse().unwrap(),
        amount,
        fee,
        available_on: DateTime::UNIX_EPOCH,
    }
}

/// A reason whose sentence no test checks.
pub(crate) fn reason(code: FailureCode) -> FailureReason {
    FailureReason::new(code, "for a reason")
}
