//! Transactions and balances for tests.

use chrono::DateTime;
use uuid::Uuid;

use super::{BalanceEntry, FailureCode, FailureReason, Flow, Stage};
use crate::ids::{TransactionId, UserId, WalletId};
use crate::ledger::{Account, Balance, PlatformAccount};
use crate::money::{Currency, Money};
use crate::transactions::Transaction;

/// The wallet of every sample transaction.
pub(crate) const WALLET: WalletId = WalletId::from_uuid(Uuid::from_u128(1));
/// The other wallet of transfers, payments and their refunds.
pub(crate) const OTHER: WalletId = WalletId::from_uuid(Uuid::from_u128(2));

pub(crate) const AVAILABLE: Account = Account::Available(WALLET);
pub(crate) const FROZEN: Account = Account::Frozen(WALLET);
pub(crate) const OTHERS: Account = Account::Available(OTHER);
pub(crate) const CLEARING: Account = Account::Platform(PlatformAccount::StripeClearing);
pub(crate) const IN_TRANSIT: Account = Account::Platform(PlatformAccount::StripeInTransit);
pub(crate) const STRIPE_FEES: Account = Account::Platform(PlatformAccount::StripeFees);
pub(crate) const PLATFORM_FEES: Account = Account::Platform(PlatformAccount::PlatformFees);
pub(crate) const SUSPENSE: Account = Account::Platform(PlatformAccount::PlatformSuspense);
pub(crate) const RECEIVABLE: Account = Account::Platform(PlatformAccount::PlatformReceivable);

/// An amount in cents.
pub(crate) fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD).unwrap()
}

/// An accepted transaction of [`WALLET`], with [`OTHER`] where the flow has a counterparty.
pub(crate) fn transaction(n: u128, flow: Flow, amount: Money) -> Transaction {
    let has_counterparty = matches!(flow, Flow::Transfer | Flow::Payment | Flow::PaymentRefund);
    Transaction {
        id: TransactionId::from_uuid(Uuid::from_u128(n)),
        wallet_id: WALLET,
        user_id: UserId::from_uuid(Uuid::nil()),
        transaction_type: flow.transaction_type(),
        flow,
        status: Stage::Accepted.status(),
        stage: Stage::Accepted,
        amount,
        fee: None,
        reference: None,
        counterparty_wallet_id: has_counterparty.then_some(OTHER),
        related_transaction_id: None,
        stripe_payment_intent_id: None,
        stripe_transfer_id: None,
        stripe_payout_id: None,
        stripe_refund_id: None,
        stripe_dispute_id: None,
        held: None,
        available_on: None,
        stripe_account_id: None,
        stripe_payment_method_id: None,
        encrypted_client_secret: None,
        encrypted_bank_id: None,
        payment_method: None,
        description: None,
        metadata: None,
        failure_reason: None,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}

/// The same transaction at this stage.
pub(crate) fn at(stage: Stage, mut transaction: Transaction) -> Transaction {
    transaction.stage = stage;
    transaction.status = stage.status();
    transaction
}

/// An active wallet with these balances.
pub(crate) fn balance(available: Money, frozen: Money, owed: Money) -> Balance {
    Balance {
        user_id: UserId::from_uuid(Uuid::nil()),
        is_active: true,
        available,
        frozen,
        owed,
    }
}

/// A movement of the platform's Stripe balance.
pub(crate) fn entry(id: &str, amount: Money, fee: Money) -> BalanceEntry {
    BalanceEntry {
        id: id.to_owned(),
        amount,
        fee,
        available_on: DateTime::UNIX_EPOCH,
    }
}

/// A reason whose words no test looks at.
pub(crate) fn reason(code: FailureCode) -> FailureReason {
    FailureReason::new(code, "for a reason")
}
